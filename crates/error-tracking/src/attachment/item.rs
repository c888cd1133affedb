use belvedere_kernel::{ProjectId, ScrubRules};
use belvedere_storage::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::name::{clean_name, clean_word};
use super::sniff::sniff;
use super::{ATTACHMENT_BYTES_MAX, AttachmentFormat, SCRUBBED_BYTES_MAX};
use crate::event_id::EventId;

/// How much of a file lies in one row: SQLite and PostgreSQL both read a row whole.
const PIECE_BYTES: usize = 256 << 10;

/// Fast; files that do not shrink by a tenth are stored as they are.
const ZSTD_LEVEL: i32 = 3;

/// A file ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewAttachment {
    pub(crate) project: ProjectId,
    pub(crate) event_id: EventId,
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) kind: String,
    pub(super) format: AttachmentFormat,
    pub(super) size_bytes: usize,
    pub(super) sha256: [u8; 32],
    pub(super) is_scrubbed: bool,
    pub(super) received_at: Timestamp,
    pub(super) is_compressed: bool,
    pub(super) stored: Vec<u8>,
}

impl NewAttachment {
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.stored.chunks(PIECE_BYTES)
    }
}

/// An attachment's own headers. Those that are no strings count as missing.
#[derive(Deserialize, Default)]
struct Headers {
    filename: Option<Value>,
    content_type: Option<Value>,
    attachment_type: Option<Value>,
}

/// Where a file comes from.
pub(crate) struct AttachmentOrigin {
    pub(crate) project: ProjectId,
    pub(crate) event_id: Option<EventId>,
    pub(crate) received_at: Timestamp,
    /// Whether the project's rules for personal data apply to text.
    pub(crate) scrubs: bool,
}

/// Reads one attachment after the other.
pub(crate) struct AttachmentReader<'a> {
    rules: &'a dyn ScrubRules,
}

impl<'a> AttachmentReader<'a> {
    pub(crate) fn new(rules: &'a dyn ScrubRules) -> Self {
        Self { rules }
    }

    /// Sniffs, scrubs and compresses the file of an item.
    ///
    /// # Errors
    /// The reason, as a word, why it is not stored: `no_event` where the envelope names none, `too_large`, `invalid`.
    pub(crate) fn read(
        &self,
        headers: &[u8],
        payload: &[u8],
        origin: &AttachmentOrigin,
    ) -> Result<NewAttachment, &'static str> {
        let event_id = origin.event_id.ok_or("no_event")?;
        if payload.len() > ATTACHMENT_BYTES_MAX {
            return Err("too_large");
        }
        let headers: Headers = serde_json::from_slice(headers).unwrap_or_default();
        let told =
            |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = clean_word(&told(&headers.attachment_type));
        let format = sniff(payload);
        let scrubbed = (origin.scrubs && payload.len() <= SCRUBBED_BYTES_MAX)
            .then(|| self.scrubbed(origin.project, format, payload))
            .flatten();
        let bytes = scrubbed.as_deref().unwrap_or(payload);
        let compressed = match format {
            AttachmentFormat::Other | AttachmentFormat::Text | AttachmentFormat::Json => compress(bytes)?,
            _ => None,
        };
        Ok(NewAttachment {
            project: origin.project,
            event_id,
            name: clean_name(&told(&headers.filename)),
            content_type: clean_word(&told(&headers.content_type)),
            kind: if kind.is_empty() { "event.attachment".to_owned() } else { kind },
            format,
            size_bytes: bytes.len(),
            sha256: Sha256::digest(bytes).into(),
            is_scrubbed: scrubbed.is_some(),
            received_at: origin.received_at,
            is_compressed: compressed.is_some(),
            stored: compressed.unwrap_or_else(|| bytes.to_vec()),
        })
    }

    /// The text without what must not be stored; nothing if there was none of it.
    fn scrubbed(&self, project: ProjectId, format: AttachmentFormat, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut value = match format {
            AttachmentFormat::Json => serde_json::from_slice(bytes).ok()?,
            AttachmentFormat::Text => Value::String(std::str::from_utf8(bytes).ok()?.to_owned()),
            _ => return None,
        };
        if self.rules.scrub(project, &mut value).is_empty() {
            return None;
        }
        match value {
            Value::String(text) if format == AttachmentFormat::Text => Some(text.into_bytes()),
            value => serde_json::to_vec_pretty(&value).ok(),
        }
    }
}

fn compress(bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let compressed = zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(|_| "invalid")?;
    Ok((compressed.len() < bytes.len() - bytes.len() / 10).then_some(compressed))
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::Removal;

    use super::*;

    struct NoSecrets;

    impl ScrubRules for NoSecrets {
        fn scrub(&self, _: ProjectId, payload: &mut Value) -> Vec<Removal> {
            let removal = |path: &str| Removal { path: path.to_owned(), rule: "secret".to_owned() };
            match payload {
                Value::String(text) if text.contains("hunter2") => {
                    *text = text.replace("hunter2", "[removed]");
                    vec![removal("")]
                }
                Value::Object(object) if object.contains_key("password") => {
                    object.insert("password".to_owned(), "[removed]".into());
                    vec![removal("/password")]
                }
                _ => Vec::new(),
            }
        }
    }

    fn read(headers: &str, payload: &[u8], scrubs: bool) -> Result<NewAttachment, &'static str> {
        let origin = AttachmentOrigin {
            project: ProjectId(1),
            event_id: "3a60e31ab5474d65aaf86eedefe7d501".parse().ok(),
            received_at: Timestamp::default(),
            scrubs,
        };
        AttachmentReader::new(&NoSecrets).read(headers.as_bytes(), payload, &origin)
    }

    #[test]
    fn text_and_json_are_scrubbed_where_the_project_wants_it() {
        let log = read("{\"filename\":\"app.log\"}", b"login with hunter2\n", true).unwrap();
        assert_eq!((log.stored.as_slice(), log.is_scrubbed), (&b"login with [removed]\n"[..], true));
        let json = read("{}", b"{\"password\":\"hunter2\"}", true).unwrap();
        assert_eq!(String::from_utf8(json.stored).unwrap(), "{\n  \"password\": \"[removed]\"\n}");
        let plain = read("{}", b"login with hunter2\n", false).unwrap();
        assert_eq!((plain.stored.as_slice(), plain.is_scrubbed), (&b"login with hunter2\n"[..], false));
        let binary = read("{}", b"\x00hunter2", true).unwrap();
        assert_eq!(binary.stored, b"\x00hunter2");
    }

    #[test]
    fn what_shrinks_is_compressed_and_pieces_are_bounded() {
        let log = read("{}", &b"one line like another\n".repeat(10_000), true).unwrap();
        assert!(log.is_compressed && log.stored.len() < 10_000);
        assert_eq!(log.size_bytes, 220_000);
        let image = [&b"\xff\xd8\xff"[..], &[0; 600_000]].concat();
        let image = read("{}", &image, true).unwrap();
        assert!(!image.is_compressed);
        assert_eq!(image.pieces().map(<[u8]>::len).collect::<Vec<_>>(), [262_144, 262_144, 75_715]);
    }

    #[test]
    fn headers_of_the_wrong_type_count_as_missing() {
        let file = read("{\"filename\":7,\"content_type\":[],\"attachment_type\":null}", b"x", true).unwrap();
        assert_eq!(
            (file.name.as_str(), file.content_type.as_str(), file.kind.as_str()),
            ("attachment", "", "event.attachment")
        );
        assert_eq!(read("{}", &vec![0; ATTACHMENT_BYTES_MAX + 1], true).unwrap_err(), "too_large");
    }
}
