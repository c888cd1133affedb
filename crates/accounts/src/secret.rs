//! Random secrets, the hashes that are kept of them, and keyed lookups of what must not be readable.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::Secret;

/// What API tokens begin with, so that secret scanners can recognise a leaked one.
pub(crate) const TOKEN_PREFIX: &str = "bel_";

/// Length in characters of 256 bits in base 64 without padding.
pub(crate) const SECRET_LEN: usize = 43;

/// `prefix` and 256 random bits in base 64 for URLs (RFC 4648, section 5).
pub(crate) fn random_secret(prefix: &str) -> Secret {
    let mut text = prefix.to_owned();
    URL_SAFE_NO_PAD.encode_string(random_bytes::<32>(), &mut text);
    Secret(text)
}

/// 32 random hexadecimal digits, as Sentry's SDKs expect a public key.
pub(crate) fn random_public_key() -> String {
    format!("{:032x}", u128::from_be_bytes(random_bytes()))
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without random numbers no secret can be made; nothing sensible can go on"
    )]
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    bytes
}

/// SHA-256 of a random secret. It needs no salt and no stretching: 256 random bits cannot be guessed.
pub(crate) fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// The installation's key for values that must be found again but not read.
#[derive(Clone)]
pub(crate) struct LookupKey(pub(crate) [u8; 32]);

impl LookupKey {
    /// Under which an e-mail address is found; letter case and surrounding blanks do not matter.
    pub(crate) fn email(&self, email: &str) -> Vec<u8> {
        self.mac("email", email.trim().to_lowercase().as_bytes())
    }

    /// Under which the guesses at an account are counted, whether the account exists or not.
    pub(crate) fn account_bucket(&self, email_lookup: &[u8]) -> Vec<u8> {
        self.mac("guess.account", email_lookup)
    }

    /// Under which the guesses from an address are counted. IPv6 addresses count by their first 64 bits, which is
    /// what one subscriber is given.
    pub(crate) fn address_bucket(&self, address: &str) -> Vec<u8> {
        match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => self.mac("guess.v4", &address.octets()),
            Ok(IpAddr::V6(address)) => self.mac("guess.v6", &address.octets()[..8]),
            Err(_) => self.mac("guess.text", address.as_bytes()),
        }
    }

    /// The value that forms of a session send back. Derived from the cookie, so that the database holds neither.
    pub(crate) fn csrf(&self, session_secret: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac("csrf", session_secret.as_bytes()))
    }

    /// HMAC-SHA256 (RFC 2104) of `value`; `purpose`, which holds no zero byte, keeps the uses apart.
    fn mac(&self, purpose: &str, value: &[u8]) -> Vec<u8> {
        // A key shorter than the block is filled up with zeros.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_256_random_bits_and_public_keys_32_digits() {
        let token = random_secret(TOKEN_PREFIX);
        assert_eq!(token.0.len(), TOKEN_PREFIX.len() + SECRET_LEN);
        assert_eq!(URL_SAFE_NO_PAD.decode(&token.0[4..]).unwrap().len(), 32);
        assert_ne!(token, random_secret(TOKEN_PREFIX));
        let key = random_public_key();
        assert!(
            key.len() == 32 && key.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
            "{key}"
        );
    }

    #[test]
    fn a_secret_is_hashed_with_sha_256() {
        let hex = hash("abc").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn e_mail_addresses_are_found_whatever_their_case_and_apart_from_other_uses() {
        let key = LookupKey([7; 32]);
        assert_eq!(key.email(" Ada@Example.org "), key.email("ada@example.org"));
        assert_ne!(key.email("ada@example.org"), key.email("bob@example.org"));
        assert_ne!(key.email("ada@example.org"), LookupKey([8; 32]).email("ada@example.org"));
        assert_ne!(key.email("x"), key.address_bucket("x"));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address_and_a_mapped_ipv4_address_is_ipv4() {
        let key = LookupKey([7; 32]);
        assert_eq!(key.address_bucket("2001:db8:1:2::1"), key.address_bucket("2001:db8:1:2:ffff::9"));
        assert_ne!(key.address_bucket("2001:db8:1:2::1"), key.address_bucket("2001:db8:1:3::1"));
        assert_eq!(key.address_bucket("::ffff:203.0.113.9"), key.address_bucket("203.0.113.9"));
        assert_ne!(key.address_bucket("203.0.113.8"), key.address_bucket("203.0.113.9"));
    }
}
