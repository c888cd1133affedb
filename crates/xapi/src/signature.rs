//! Signed statements: a JSON web signature (RFC 7515, compact) as an attachment, by RSA and SHA-2.
//!
//! The payload must be the statement; where the header has a certificate, the signature must be that of its key. Whether
//! the certificate is to be trusted is for whoever reads the statement: the store knows no authorities.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};

use crate::json::Json;
use crate::statement::{Path, SIGNATURE, Statement, compare};
use crate::{Version, XapiError};

/// Whether `jws` signs `statement`.
pub(crate) fn check(
    statement: &Json,
    content_type: &str,
    jws: &[u8],
    version: Version,
    depth_max: usize,
) -> Result<(), XapiError> {
    let refuse = |why: &str| Err(XapiError::invalid("signature", why));
    if content_type != "application/octet-stream" {
        return refuse("must be of the type application/octet-stream");
    }
    let text = std::str::from_utf8(jws).unwrap_or_default().trim();
    let [header, payload, signature] = text.split('.').collect::<Vec<_>>()[..] else {
        return refuse("must be a JSON web signature in its compact form");
    };
    let signed = &text[..header.len() + 1 + payload.len()];
    let (Ok(header), Ok(payload), Ok(signature)) =
        (URL_SAFE_NO_PAD.decode(header), URL_SAFE_NO_PAD.decode(payload), URL_SAFE_NO_PAD.decode(signature))
    else {
        return refuse("must be in base 64 for URLs");
    };
    let (Ok(header), Ok(payload)) = (Json::parse(&header, depth_max), Json::parse(&payload, depth_max))
    else {
        return refuse("must have JSON as its header and payload");
    };
    let algorithm: &'static RsaParameters = match header.text_of("alg") {
        Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
        Some("RS384") => &RSA_PKCS1_2048_8192_SHA384,
        Some("RS512") => &RSA_PKCS1_2048_8192_SHA512,
        _ => return refuse("must be by RS256, RS384 or RS512"),
    };
    let Ok(payload) = Statement::check(payload, version, &Path::Root) else {
        return refuse("must have a statement as its payload");
    };
    if compare::canonical(&unsigned(payload.json)) != compare::canonical(&unsigned(statement.clone())) {
        return refuse("is of another statement");
    }
    if let Some(chain) = header.get("x5c") {
        let first = chain.items().and_then(|chain| chain.first()).and_then(Json::text);
        let certificate = first.and_then(|text| STANDARD.decode(text).ok());
        let Some(key) = certificate.as_deref().and_then(public_key) else {
            return refuse("has an x5c that does not begin with a certificate of an RSA key");
        };
        if UnparsedPublicKey::new(algorithm, key).verify(signed.as_bytes(), &signature).is_err() {
            return refuse("is not by the key of its certificate");
        }
    }
    Ok(())
}

/// The statement without its signature, and without attachments if there are no others.
fn unsigned(mut statement: Json) -> Json {
    if let Some(Json::List(attachments)) = statement.get_mut("attachments") {
        attachments.retain(|it| it.text_of("usageType") != Some(SIGNATURE));
        if attachments.is_empty() {
            statement.remove("attachments");
        }
    }
    statement
}

/// One element of DER (X.690): its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (bytes, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// rsaEncryption, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The RSAPublicKey (RFC 8017) of a certificate (RFC 5280).
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut fields, _) = element(certificate)? else { return None };
    // The version is left out in certificates of version 1.
    if fields.first() == Some(&0xa0) {
        fields = element(fields)?.2;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        fields = element(fields)?.2;
    }
    let (SEQUENCE, info, _) = element(fields)? else { return None };
    let (SEQUENCE, algorithm, rest) = element(info)? else { return None };
    let (_, algorithm, _) = element(algorithm)?;
    let (BIT_STRING, key, _) = element(rest)? else { return None };
    key.strip_prefix(&[0]).filter(|_| algorithm == RSA)
}

#[cfg(test)]
mod tests;
