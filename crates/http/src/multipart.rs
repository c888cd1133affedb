//! Bodies of `multipart/form-data` (RFC 7578) that have been read whole, taken apart without copying.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// The longest head of one part, in bytes.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// Why a body is not what its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MultipartError {
    #[error("the content type must be multipart/form-data with a boundary")]
    Type,
    #[error("the body is not multipart/form-data with the boundary that its type names")]
    Damaged,
    #[error("more than {0} parts")]
    TooMany(usize),
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content: Bytes,
}

/// The parts of `body`, at most `parts_max`.
pub(crate) fn parse(
    headers: &HeaderMap,
    body: &Bytes,
    parts_max: usize,
) -> Result<Vec<Part>, MultipartError> {
    let boundary = boundary_of(headers).ok_or(MultipartError::Type)?;
    let delimiter = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    // The first delimiter stands at the beginning, or after a preamble.
    let first = &delimiter.as_bytes()[2..];
    let mut at = if body.starts_with(first) {
        first.len()
    } else {
        finder.find(body).ok_or(MultipartError::Damaged)? + delimiter.len()
    };
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let head = rest.strip_prefix(b"\r\n").ok_or(MultipartError::Damaged)?;
        let near = &head[..head.len().min(HEAD_BYTES_MAX)];
        let head_length = memchr::memmem::find(near, b"\r\n\r\n").ok_or(MultipartError::Damaged)?;
        let content_at = at + 2 + head_length + 4;
        // The line end of the head may be that of the delimiter, if there is no content.
        let length = finder.find(&body[content_at - 2..]).ok_or(MultipartError::Damaged)?;
        if parts.len() == parts_max {
            return Err(MultipartError::TooMany(parts_max));
        }
        let content = body.slice(content_at..(content_at - 2 + length).max(content_at));
        let (name, file_name) = names_of(&head[..head_length]).ok_or(MultipartError::Damaged)?;
        parts.push(Part { name, file_name, content });
        at = content_at - 2 + length + delimiter.len();
    }
}

fn boundary_of(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = kind.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX).then_some(boundary)
}

/// The field's and the file's name, which stand in its Content-Disposition.
fn names_of(head: &[u8]) -> Option<(String, Option<String>)> {
    let head = str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (mut name, mut file_name) = (None, None);
    for parameter in disposition.split(';').skip(1) {
        let Some((key, value)) = parameter.split_once('=') else { continue };
        let value = value.trim().trim_matches('"').to_owned();
        match key.trim() {
            key if key.eq_ignore_ascii_case("name") => name = Some(value),
            key if key.eq_ignore_ascii_case("filename") => file_name = Some(value),
            _ => {}
        }
    }
    Some((name?, file_name))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    fn parts(body: &str) -> Result<Vec<(String, Option<String>, String)>, MultipartError> {
        let parts =
            parse(&headers("multipart/form-data; boundary=\"xx\""), &Bytes::from(body.to_owned()), 3)?;
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        Ok(parts.into_iter().map(|part| (part.name, part.file_name, text(&part.content))).collect())
    }

    #[test]
    fn parts_have_names_and_contents() {
        let body = "--xx\r\nContent-Disposition: form-data; name=\"file_gzip\"; filename=\"ab\"\r\nContent-Type: a/b\r\n\r\n\
                    one\r\n--xy\r\n--xx\r\ncontent-disposition: form-data; name=empty\r\n\r\n\r\n--xx--\r\n";
        assert_eq!(
            parts(body).unwrap(),
            [
                ("file_gzip".to_owned(), Some("ab".to_owned()), "one\r\n--xy".to_owned()),
                ("empty".to_owned(), None, String::new()),
            ]
        );
        assert_eq!(parts("preamble\r\n--xx--").unwrap(), []);
    }

    #[test]
    fn what_is_damaged_or_too_much_is_refused() {
        let part = "--xx\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
        assert_eq!(parts(&format!("{}--xx--", part.repeat(3))).unwrap().len(), 3);
        assert_eq!(parts(&format!("{}--xx--", part.repeat(4))), Err(MultipartError::TooMany(3)));
        for body in
            ["", "--x", "--xx", "--xx\r\n", part, "--xx\r\nContent-Disposition: form-data\r\n\r\n1\r\n--xx--"]
        {
            assert_eq!(parts(body), Err(MultipartError::Damaged), "{body}");
        }
        for kind in [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=x",
        ] {
            assert_eq!(parse(&headers(kind), &Bytes::new(), 1), Err(MultipartError::Type), "{kind}");
        }
    }

    #[test]
    fn a_body_cut_anywhere_gets_an_answer() {
        let body = "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--xx--\r\n";
        for length in 0..body.len() {
            let _ = parts(&body[..length]);
        }
    }
}
