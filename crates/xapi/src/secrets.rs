//! Keyed hashes: the database alone tells neither who is meant nor what a statement says.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The store's own key.
#[derive(Clone)]
pub(crate) struct Secrets(Hmac<Sha256>);

impl Secrets {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        // A key shorter than the block is filled up with zeros.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        Self(Hmac::new(&block.into()))
    }

    /// 16 bytes of HMAC-SHA-256; `purpose` keeps the uses apart.
    pub(crate) fn mac(&self, purpose: u8, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(&[purpose]);
        for part in parts {
            mac.update(part);
        }
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Of a statement's canonical text.
    pub(crate) fn digest(&self, text: &str) -> [u8; 16] {
        self.mac(1, &[text.as_bytes()])
    }

    /// Of how a project words a person.
    pub(crate) fn form(&self, project: i64, text: &str) -> [u8; 16] {
        self.mac(2, &[&project.to_be_bytes(), text.as_bytes()])
    }

    /// Of where a list goes on.
    pub(crate) fn seal(&self, token: &[u8]) -> [u8; 16] {
        self.mac(3, &[token])
    }

    pub(crate) fn is_sealed(&self, token: &[u8], seal: &[u8]) -> bool {
        self.seal(token).ct_eq(seal).into()
    }
}
