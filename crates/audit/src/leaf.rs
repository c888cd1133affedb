//! The bytes of an entry that are hashed. They never change: what is signed over them later must stay valid.

use sha2::{Digest, Sha256};

/// The version of the encoding.
const VERSION: u8 = 1;

/// An entry as the Merkle log sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// The entry's number, from 1.
    pub seq: u64,
    /// Microseconds since 1970, UTC.
    pub at: i64,
    /// The organisation's id.
    pub organisation: Option<[u8; 16]>,
    /// The project's number.
    pub project: Option<i64>,
    /// The kind of actor.
    pub actor_kind: &'a str,
    /// The actor's id.
    pub actor_id: Option<&'a str>,
    /// What was done.
    pub action: &'a str,
    /// The kind of thing it was done to.
    pub target_kind: Option<&'a str>,
    /// That thing's id.
    pub target_id: Option<&'a str>,
    /// How it ended.
    pub outcome: &'a str,
    /// The HTTP request.
    pub request_id: Option<&'a str>,
    /// SHA-256 of the sealed detail.
    pub detail_hash: [u8; 32],
    /// Random bytes, so that two entries never look alike and none can be guessed.
    pub nonce: [u8; 16],
}

impl Leaf<'_> {
    /// The entry as bytes: the version (1 byte), then the fields in their order.
    ///
    /// Numbers are big endian in 8 bytes; text is its length in UTF-8 (4 bytes, big endian) and its bytes; something
    /// optional is preceded by 1, or is a 0; ids, hashes and nonces are their bytes. So no two entries have the same
    /// bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.at.to_be_bytes());
        put_option(&mut bytes, self.organisation.as_ref(), |bytes, id| bytes.extend_from_slice(id));
        put_option(&mut bytes, self.project, |bytes, project| {
            bytes.extend_from_slice(&project.to_be_bytes())
        });
        put_text(&mut bytes, self.actor_kind);
        put_option(&mut bytes, self.actor_id, put_text);
        put_text(&mut bytes, self.action);
        put_option(&mut bytes, self.target_kind, put_text);
        put_option(&mut bytes, self.target_id, put_text);
        put_text(&mut bytes, self.outcome);
        put_option(&mut bytes, self.request_id, put_text);
        bytes.extend_from_slice(&self.detail_hash);
        bytes.extend_from_slice(&self.nonce);
        bytes
    }

    /// The leaf hash of the entry.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        leaf_hash(&self.to_bytes())
    }
}

/// `SHA-256(0x00 | entry)` (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn put_option<T>(bytes: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    bytes.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(bytes, value);
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    // Every text of an entry is cut to far less than 4 GiB before.
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf<'static> {
        Leaf {
            seq: 7,
            at: 1_795_435_445_250_001,
            organisation: Some([0xab; 16]),
            project: Some(3),
            actor_kind: "user",
            actor_id: Some("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            action: "sensitive_read",
            target_kind: Some("subject"),
            target_id: None,
            outcome: "success",
            request_id: None,
            detail_hash: [0x11; 32],
            nonce: [0x22; 16],
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The expected bytes were put together by hand from the description, the hash with `sha256sum`.
    #[test]
    fn the_encoding_and_the_hash_of_an_entry_never_change() {
        let expected = [
            "01",
            "0000000000000007",
            "000660f063ee67d1",
            "01abababababababababababababababab",
            "010000000000000003",
            "0000000475736572",
            "010000001a303141525a334e44454b54535634525246465136394735464156",
            "0000000e73656e7369746976655f72656164",
            "01000000077375626a656374",
            "00",
            "0000000773756363657373",
            "00",
            &"11".repeat(32),
            &"22".repeat(16),
        ]
        .concat();
        assert_eq!(hex(&leaf().to_bytes()), expected);
        assert_eq!(hex(&leaf().hash()), "91bea4042352c52d7a2f6e97e1c960e3f1590523e2601f1101506eeb694d40a9");
    }

    /// The leaf hash of the empty entry, from the test vectors of RFC 6962's reference implementation.
    #[test]
    fn the_leaf_hash_is_that_of_rfc_6962() {
        assert_eq!(hex(&leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn moving_text_between_fields_changes_the_bytes() {
        let moved = Leaf { target_kind: None, target_id: Some("subject"), ..leaf() };
        assert_ne!(moved.to_bytes(), leaf().to_bytes());
    }
}
