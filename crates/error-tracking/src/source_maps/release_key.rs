use belvedere_storage::Id;
use sha2::{Digest, Sha256};

/// Marks hashes of releases.
#[derive(Debug)]
pub(crate) enum ReleaseKey {}

/// A release as a key of fixed length: the first 16 bytes of a SHA-256.
pub(crate) fn release_key(release: &str) -> Id<ReleaseKey> {
    let mut hasher = Sha256::new();
    // Never the same as another kind of key that is made of a text.
    hasher.update(b"release\0");
    hasher.update(release);
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize()[..16]);
    Id::from_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_differ_by_their_keys_and_a_key_stays_the_same() {
        assert_eq!(
            u128::from_be_bytes(release_key("shop@1.0.0").to_bytes()),
            0xadf9a2f7_1c4753fb_f4233156_54c7dfff
        );
        assert_ne!(release_key("shop@1.0.0"), release_key("shop@1.0.1"));
    }
}
