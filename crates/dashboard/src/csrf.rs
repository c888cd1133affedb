//! The anti-forgery value of forms.
//!
//! A page holds the session's value masked with random bytes of its own, so that no two pages contain the same text:
//! pages are compressed, and the length of a compressed page must not tell what a fixed secret in it is (the BREACH
//! attack).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// `token` as a form may carry it; different each time.
pub(crate) fn mask(token: &str) -> String {
    let mut masked = vec![0_u8; token.len() * 2];
    let (pad, hidden) = masked.split_at_mut(token.len());
    if getrandom::fill(pad).is_err() {
        // Without random numbers no form may be sent: this value is refused.
        return String::new();
    }
    for ((hidden, pad), byte) in hidden.iter_mut().zip(&*pad).zip(token.bytes()) {
        *hidden = pad ^ byte;
    }
    URL_SAFE_NO_PAD.encode(masked)
}

/// Whether `sent` was made by [`mask`] from `token`; takes as long for any two values of equal length.
pub(crate) fn verify(token: &str, sent: &str) -> bool {
    let Ok(masked) = URL_SAFE_NO_PAD.decode(sent) else { return false };
    if token.is_empty() || masked.len() != token.len() * 2 {
        return false;
    }
    let (pad, hidden) = masked.split_at(token.len());
    let shown: Vec<u8> = pad.iter().zip(hidden).map(|(pad, hidden)| pad ^ hidden).collect();
    shown.ct_eq(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_values_differ_each_time_and_all_verify() {
        let (first, second) = (mask("8c1f0a"), mask("8c1f0a"));
        assert_ne!(first, second);
        assert!(verify("8c1f0a", &first) && verify("8c1f0a", &second));
    }

    #[test]
    fn anything_else_is_refused() {
        let masked = mask("8c1f0a");
        for (token, sent) in [
            ("8c1f0b", masked.as_str()),
            ("8c1f0a0", &masked),
            ("8c1f0a", "8c1f0a"),
            ("8c1f0a", ""),
            ("", ""),
            ("8c1f0a", "%"),
        ] {
            assert!(!verify(token, sent), "{token} {sent}");
        }
    }
}
