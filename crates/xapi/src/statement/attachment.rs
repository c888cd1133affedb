//! What statements say of attached files.

use super::check::{Checked, Path, iri, language_map, list, object, optional, required, text};
use crate::json::Json;

/// The usage of a signature (1.0.3, Data 2.6; 2.0, 4.2.7).
pub const SIGNATURE: &str = "http://adlnet.gov/expapi/attachments/signature";

/// A statement's word on one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// SHA-2 of the file as the statement gives it.
    pub sha2: String,
    /// Its media type.
    pub content_type: String,
    /// Whether it can be had elsewhere, so that it need not be sent.
    pub has_url: bool,
    /// Whether it signs the statement.
    pub is_signature: bool,
}

pub(super) fn attachments(json: &Json, path: &Path<'_>) -> Checked {
    for (index, attachment) in list(json, path)?.iter().enumerate() {
        let path = Path::Item(path, index);
        let allowed = ["usageType", "display", "description", "contentType", "length", "sha2", "fileUrl"];
        object(attachment, &path, &allowed)?;
        iri(required(attachment, &path, "usageType")?, &Path::Key(&path, "usageType"))?;
        language_map(required(attachment, &path, "display")?, &Path::Key(&path, "display"))?;
        optional(attachment, &path, "description", language_map)?;
        let at = Path::Key(&path, "contentType");
        if !is_media_type(text(required(attachment, &path, "contentType")?, &at)?) {
            return at.refuse("must be a media type such as image/png");
        }
        match required(attachment, &path, "length")? {
            Json::Number(digits) if digits.parse::<u64>().is_ok() => {}
            _ => return Path::Key(&path, "length").refuse("must be a number of bytes"),
        }
        let at = Path::Key(&path, "sha2");
        let sum = text(required(attachment, &path, "sha2")?, &at)?;
        if sum.is_empty() || sum.len() > 200 || !sum.bytes().all(|byte| byte.is_ascii_graphic()) {
            return at.refuse("must be the SHA-2 of the file");
        }
        optional(attachment, &path, "fileUrl", iri)?;
    }
    Ok(())
}

fn is_media_type(text: &str) -> bool {
    let name = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*'%`|~".contains(&byte))
    };
    text.len() <= 200
        && !text.chars().any(char::is_control)
        && name.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

pub(super) fn claims(statement: &Json) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut add = |json: &Json| {
        for attachment in json.get("attachments").and_then(Json::items).unwrap_or_default() {
            let text = |key| attachment.text_of(key).unwrap_or_default().to_owned();
            claims.push(Claim {
                sha2: text("sha2"),
                content_type: text("contentType"),
                has_url: attachment.get("fileUrl").is_some(),
                is_signature: attachment.text_of("usageType") == Some(SIGNATURE),
            });
        }
    };
    add(statement);
    if let Some(object) =
        statement.get("object").filter(|it| it.text_of("objectType") == Some("SubStatement"))
    {
        add(object);
    }
    claims
}
