//! Secrets and signatures as Standard Webhooks 1.0.0 describes them (<https://www.standardwebhooks.com>).
//!
//! What is signed is `<id>.<timestamp>.<body>` with HMAC-SHA256; the header holds `v1,<base64>` for each secret that is
//! valid, with blanks between them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret as text begins with.
const PREFIX: &str = "whsec_";

/// Bytes of a new secret; the specification wants 24 to 64.
const SECRET_BYTES: usize = 32;

/// What signs the deliveries of an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// A random secret.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; SECRET_BYTES];
        #[expect(
            clippy::expect_used,
            reason = "without random numbers no secret can be made; nothing sensible can go on"
        )]
        getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
        Self(bytes.to_vec())
    }

    /// The secret of these bytes; the specification wants 24 to 64.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as its receiver needs it: `whsec_` and base64.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut text = PREFIX.to_owned();
        BASE64_STANDARD.encode_string(&self.0, &mut text);
        text
    }

    /// One signature, `v1,` and base64; `timestamp` is that of the attempt in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        let mut text = "v1,".to_owned();
        BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut text);
        text
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// The header `webhook-signature`: a signature for each secret.
pub(crate) fn signatures(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &str) -> String {
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification's reference implementations.
    #[test]
    fn the_published_vector_is_signed_as_published() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret = SigningSecret(BASE64_STANDARD.decode(&text[PREFIX.len()..]).unwrap());
        assert_eq!(secret.reveal(), text);
        let body = r#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_valid_secret_signs() {
        let (new, old) = (SigningSecret(vec![1; 32]), SigningSecret(vec![2; 32]));
        let both = signatures(&[new.clone(), old.clone()], "msg_1", 7, "{}");
        assert_eq!(both, format!("{} {}", new.sign("msg_1", 7, "{}"), old.sign("msg_1", 7, "{}")));
        assert_ne!(new.sign("msg_1", 7, "{}"), old.sign("msg_1", 7, "{}"));
        assert_ne!(new.sign("msg_1", 7, "{}"), new.sign("msg_1", 8, "{}"));
    }

    #[test]
    fn secrets_are_random_long_enough_and_not_in_logs() {
        let secret = SigningSecret::random();
        assert_eq!((secret.0.len(), secret.reveal().len()), (32, 6 + 44));
        assert_ne!(secret, SigningSecret::random());
        assert_eq!(format!("{secret:?}"), "SigningSecret");
    }
}
