//! How values are sealed: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), a random nonce each time.
//!
//! A sealed value is one byte of version (1), 24 bytes of nonce, the ciphertext and 16 bytes of tag. Its associated data
//! name what it is and whose, so that a value copied into another's row does not open.

use belvedere_kernel::{KeyOwner, VaultError};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;

/// 256 random bits, or a key that is as good.
pub(crate) type KeyBytes = [u8; 32];

/// What a sealed value is, for its associated data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Something that belongs to the owner.
    Value,
    /// The owner's key itself.
    WrappedKey,
    /// The salt of a day.
    Salt,
}

/// A person's or the installation's place in `privacy_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerColumns {
    pub(crate) project_id: i64,
    pub(crate) owner_kind: i64,
    pub(crate) owner_id: Vec<u8>,
}

pub(crate) const SUBJECT_KIND: i64 = 1;

impl From<KeyOwner> for OwnerColumns {
    fn from(owner: KeyOwner) -> Self {
        match owner {
            KeyOwner::Subject(project, subject) => Self {
                project_id: project.0,
                owner_kind: SUBJECT_KIND,
                owner_id: subject.0.to_be_bytes().to_vec(),
            },
            KeyOwner::User(user) => Self { project_id: 0, owner_kind: 2, owner_id: user.to_bytes().to_vec() },
            KeyOwner::System => Self { project_id: 0, owner_kind: 3, owner_id: Vec::new() },
        }
    }
}

/// `purpose (1 byte) | owner kind (1) | project (8) | owner id`, numbers big endian.
pub(crate) fn associated_data(purpose: Purpose, owner: KeyOwner) -> Vec<u8> {
    let owner = OwnerColumns::from(owner);
    let mut bytes = Vec::with_capacity(10 + owner.owner_id.len());
    bytes.push(match purpose {
        Purpose::Value => 1,
        Purpose::WrappedKey => 2,
        Purpose::Salt => 3,
    });
    bytes.extend_from_slice(&owner.owner_kind.to_be_bytes()[7..]);
    bytes.extend_from_slice(&owner.project_id.to_be_bytes());
    bytes.extend_from_slice(&owner.owner_id);
    bytes
}

pub(crate) fn seal(key: &KeyBytes, associated_data: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let nonce = random::<NONCE_LEN>();
    let payload = Payload { msg: plain, aad: associated_data };
    // The one error of encrypting is a plaintext beyond 256 GiB.
    let ciphertext = cipher(key).encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Tampered)?;
    let mut sealed = Vec::with_capacity(1 + NONCE_LEN + ciphertext.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

pub(crate) fn open(key: &KeyBytes, associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let Some((&VERSION, rest)) = sealed.split_first() else { return Err(VaultError::Tampered) };
    let Some((nonce, ciphertext)) = rest.split_first_chunk::<NONCE_LEN>() else {
        return Err(VaultError::Tampered);
    };
    let payload = Payload { msg: ciphertext, aad: associated_data };
    cipher(key).decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Tampered)
}

pub(crate) fn open_key(
    key: &KeyBytes,
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<KeyBytes, VaultError> {
    open(key, associated_data, sealed)?.try_into().map_err(|_| VaultError::Tampered)
}

fn cipher(key: &KeyBytes) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without random numbers nothing can be sealed; nothing sensible can go on"
    )]
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::{ProjectId, SubjectId};

    use super::*;

    #[test]
    fn what_is_sealed_opens_for_the_same_owner_only() {
        let owner = |project, subject| {
            associated_data(Purpose::Value, KeyOwner::Subject(ProjectId(project), SubjectId(subject)))
        };
        let sealed = seal(&[1; 32], &owner(1, 2), b"ada@example.com").unwrap();
        assert_eq!(sealed.len(), 1 + 24 + 15 + 16);
        assert_eq!(open(&[1; 32], &owner(1, 2), &sealed).unwrap(), b"ada@example.com");
        for (key, owner) in [([2; 32], owner(1, 2)), ([1; 32], owner(1, 3)), ([1; 32], owner(2, 2))] {
            assert!(matches!(open(&key, &owner, &sealed), Err(VaultError::Tampered)));
        }
        assert_ne!(seal(&[1; 32], &owner(1, 2), b"ada@example.com").unwrap(), sealed);
    }

    #[test]
    fn every_changed_bit_and_every_missing_byte_is_noticed() {
        let sealed = seal(&[1; 32], b"", b"ada").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&[1; 32], b"", &altered).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(open(&[1; 32], b"", &sealed[..len]).is_err(), "{len} bytes");
        }
    }
}
