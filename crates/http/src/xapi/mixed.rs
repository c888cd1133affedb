//! `multipart/mixed` (RFC 2046, section 5.1.3): a statement, and the files attached to it.

use std::collections::HashMap;
use std::fmt::Write as _;

use belvedere_xapi::File;
use belvedere_xapi::value::{random_uuid, uuid_text};
use bytes::Bytes;

use super::answer::Refusal;

/// The longest boundary.
const BOUNDARY_BYTES_MAX: usize = 70;

/// The longest head of one part, in bytes.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// A part: its header lines, names in lower case, and its content.
struct Part {
    head: Vec<(String, String)>,
    content: Bytes,
}

impl Part {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The JSON of the first part, and the files of the others by their hash.
pub(super) fn taken_apart(
    content_type: &str,
    body: &Bytes,
    files_max: usize,
) -> Result<(Bytes, HashMap<String, Bytes>), Refusal> {
    let refuse = |why: &str| Err(Refusal::bad_request(format!("multipart/mixed: {why}")));
    let Some(boundary) = boundary_of(content_type) else { return refuse("the type must name a boundary") };
    let Some(parts) = parts(boundary, body, files_max + 1) else {
        return refuse(&format!(
            "the body is not what its type says, or has more than {files_max} attachments"
        ));
    };
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return refuse("has no parts") };
    let kind = first.header("content-type").unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return refuse("the first part must be application/json");
    }
    let mut files = HashMap::new();
    for part in parts {
        if part.header("content-transfer-encoding").is_none_or(|it| !it.eq_ignore_ascii_case("binary")) {
            return refuse("a part must have the Content-Transfer-Encoding binary");
        }
        let Some(sha2) = part.header("x-experience-api-hash").filter(|sha2| !sha2.is_empty()) else {
            return refuse("a part must have an X-Experience-API-Hash");
        };
        files.insert(sha2.to_owned(), part.content);
    }
    Ok((first.content, files))
}

fn boundary_of(content_type: &str) -> Option<&str> {
    let boundary = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX).then_some(boundary)
}

fn parts(boundary: &str, body: &Bytes, parts_max: usize) -> Option<Vec<Part>> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    // The first delimiter stands at the beginning, or after a preamble.
    let first = &delimiter.as_bytes()[2..];
    let mut at = if body.starts_with(first) { first.len() } else { finder.find(body)? + delimiter.len() };
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let head = rest[padding..].strip_prefix(b"\r\n")?;
        let near = &head[..head.len().min(HEAD_BYTES_MAX)];
        // A part may have no head at all.
        let (head_length, gap) =
            if near.starts_with(b"\r\n") { (0, 2) } else { (memchr::memmem::find(near, b"\r\n\r\n")?, 4) };
        let content_at = at + padding + 2 + head_length + gap;
        // The line end of the head may be that of the delimiter, if there is no content.
        let length = finder.find(&body[content_at - 2..])?;
        if parts.len() == parts_max {
            return None;
        }
        let content = body.slice(content_at..(content_at - 2 + length).max(content_at));
        let lines = std::str::from_utf8(&head[..head_length]).ok()?.split("\r\n");
        let head = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        });
        parts.push(Part { head: head.collect(), content });
        at = content_at - 2 + length + delimiter.len();
    }
}

/// The type and the text of a body with a JSON text and files.
pub(super) fn put_together(json: &str, files: &[File]) -> (String, Vec<u8>) {
    let boundary = uuid_text(&random_uuid());
    let size = files.iter().map(|file| file.content.len() + 300).sum::<usize>();
    let mut body = Vec::with_capacity(json.len() + size + 200);
    let mut head = format!("--{boundary}\r\nContent-Type: application/json\r\n\r\n");
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(json.as_bytes());
    for file in files {
        head.clear();
        let _ = write!(
            head,
            "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Transfer-Encoding: binary\r\n\
             X-Experience-API-Hash: {}\r\n\r\n",
            file.content_type, file.sha2
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&file.content);
    }
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/mixed; boundary={boundary}"), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_comes_apart() {
        let content = Bytes::from_static(b"\x00\r\n--x\r\n");
        let file =
            File { sha2: "ab".to_owned(), content_type: "text/plain".to_owned(), content: content.clone() };
        let (kind, body) = put_together("{\"a\":1}", &[file]);
        let (json, files) = taken_apart(&kind, &body.into(), 2).unwrap();
        assert_eq!((&json[..], files), (&b"{\"a\":1}"[..], HashMap::from([("ab".to_owned(), content)])));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let kind = "multipart/mixed; boundary=x";
        let json = "--x\r\nContent-Type:application/json\r\n\r\n{}";
        let file = "\r\n--x\r\nContent-Type:text/plain\r\nContent-Transfer-Encoding:binary\r\n\
                    X-Experience-API-Hash:ab\r\n\r\nabc";
        let apart = |kind: &str, body: String| taken_apart(kind, &body.into(), 1).map(drop);
        assert!(apart(kind, format!("{json}{file}\r\n--x--")).is_ok());
        assert!(apart(kind, format!("preamble\r\n{json}\r\n--x--")).is_ok());
        for body in [
            format!("{json}{file}"),
            format!("{json}{file}{file}\r\n--x--"),
            format!("{json}{}\r\n--x--", file.replace("binary", "base64")),
            format!("{json}{}\r\n--x--", file.replace("X-Experience-API-Hash", "Hash")),
            format!("{}\r\n--x--", json.replace("application/json", "text/plain")),
            "--x--".to_owned(),
            "--x\r\n\r\n{}\r\n--x--".to_owned(),
            String::new(),
        ] {
            assert!(apart(kind, body.clone()).is_err(), "{body}");
        }
        assert!(apart("multipart/mixed", format!("{json}\r\n--x--")).is_err());
        let whole = Bytes::from(format!("{json}{file}\r\n--x--"));
        for length in 0..whole.len() {
            let _ = taken_apart(kind, &whole.slice(..length), 1);
        }
    }
}
