//! Forms with files (RFC 7578), taken apart where they lie.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem;

/// The most parts of one form.
const PARTS_MAX: usize = 100;

/// The longest headers of a part, in bytes.
const HEADERS_BYTES_MAX: usize = 8 << 10;

/// The longest boundary, in bytes (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// Why a body is no form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum MultipartError {
    #[error("Content-Type is not multipart/form-data with a boundary of 1 to {BOUNDARY_BYTES_MAX} bytes")]
    Boundary,
    #[error("the form begins without its boundary")]
    Start,
    #[error("part {0} of the form has headers that cannot be read, or longer than {HEADERS_BYTES_MAX} bytes")]
    Headers(usize),
    #[error("part {0} of the form does not end")]
    End(usize),
    #[error("the form has more than {PARTS_MAX} parts")]
    TooMany,
}

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// Of a file, its name.
    pub(super) filename: Option<String>,
    pub(super) content_type: Option<String>,
    /// Where its content lies.
    pub(super) content: Range<usize>,
}

/// The boundary of a Content-Type.
pub(super) fn boundary_of(content_type: &str) -> Result<String, MultipartError> {
    let (kind, rest) = content_type.split_once(';').ok_or(MultipartError::Boundary)?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::Boundary);
    }
    let found = parameters(rest).and_then(|mut found| found.remove("boundary"));
    let boundary = found.ok_or(MultipartError::Boundary)?;
    if (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) {
        Ok(boundary)
    } else {
        Err(MultipartError::Boundary)
    }
}

/// The parts of a form, in their order.
pub(super) fn parse(body: &[u8], boundary: &str) -> Result<Vec<Part>, MultipartError> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    // The first delimiter may stand at the very beginning, or after a preamble that nobody reads.
    let mut at = if body.starts_with(&delimiter.as_bytes()[2..]) {
        delimiter.len() - 2
    } else {
        finder.find(body).ok_or(MultipartError::Start)? + delimiter.len()
    };
    let mut parts = Vec::new();
    loop {
        let number = parts.len() + 1;
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() == PARTS_MAX {
            return Err(MultipartError::TooMany);
        }
        // White space may follow a delimiter (RFC 2046, 5.1.1).
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let start = at + padding;
        if !body.get(start..).unwrap_or_default().starts_with(b"\r\n") {
            return Err(MultipartError::Headers(number));
        }
        // The empty line ends the headers; its first line feed is that of the delimiter if there are none.
        let head = &body[start..body.len().min(start + HEADERS_BYTES_MAX)];
        let length = memmem::find(head, b"\r\n\r\n").ok_or(MultipartError::Headers(number))?;
        let headers = std::str::from_utf8(&head[..length]).map_err(|_| MultipartError::Headers(number))?;
        let content = start + length + 4;
        // An empty content shares its line feed with the delimiter that follows.
        let end = finder.find(&body[content - 2..]).ok_or(MultipartError::End(number))? + content - 2;
        let content = content.min(end)..end;
        parts.push(read_headers(headers, content).ok_or(MultipartError::Headers(number))?);
        at = end + delimiter.len();
    }
}

fn read_headers(headers: &str, content: Range<usize>) -> Option<Part> {
    let header = |wanted: &str| {
        headers.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let (kind, rest) = header("content-disposition")?.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let mut found = parameters(rest)?;
    Some(Part {
        name: found.remove("name")?,
        filename: found.remove("filename"),
        content_type: header("content-type").map(str::to_owned),
        content,
    })
}

/// The parameters of a header, quoted or not, by their names in lower case; what browsers escape stays escaped.
fn parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_matches([' ', '\t', ';']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let length;
            (value, length) = unquote(quoted)?;
            rest = &quoted[length..];
        } else {
            let end = after.find(';').unwrap_or(after.len());
            value = after[..end].trim().to_owned();
            rest = &after[end..];
        }
        rest = rest.trim_matches([' ', '\t', ';']);
        found.entry(name.trim().to_ascii_lowercase()).or_insert(value);
    }
    Some(found)
}

/// The text up to the closing quote, and where it goes on behind that.
fn unquote(quoted: &str) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((text, at + 1)),
            // Windows paths are sent unescaped: only these two are escaped.
            (at, '\\') if quoted[at + 1..].starts_with(['"', '\\']) => text.push(characters.next()?.1),
            (_, character) => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen<'a> = Vec<(String, Option<String>, &'a str)>;

    fn seen(body: &str) -> Result<Seen<'_>, MultipartError> {
        let parts = parse(body.as_bytes(), "XX")?;
        Ok(parts.into_iter().map(|part| (part.name, part.filename, &body[part.content])).collect())
    }

    #[test]
    fn fields_and_files_are_found_whatever_is_in_them() {
        let body = "a preamble\r\n--XX \t\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nline\r\n--X\r\n\r\n\r\n--XX\r\n\
                    content-type: text/plain\r\nCONTENT-DISPOSITION: form-data; filename=\"C:\\a \\\"b\\\".txt\"; name=file\r\n\r\n\r\n--XX\r\n\
                    Content-Disposition: form-data; name=\"\"; filename=\"; name=x\"\r\n\r\nx--XX--\r\n--XX--epilogue";
        assert_eq!(
            seen(body).unwrap(),
            [
                ("note".to_owned(), None, "line\r\n--X\r\n\r\n"),
                ("file".to_owned(), Some("C:\\a \"b\".txt".to_owned()), ""),
                (String::new(), Some("; name=x".to_owned()), "x--XX--"),
            ]
        );
        assert_eq!(seen("--XX--").unwrap(), []);
    }

    #[test]
    fn what_is_no_form_says_where() {
        let part = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n";
        for (body, error) in [
            ("", MultipartError::Start),
            ("no form", MultipartError::Start),
            ("--XX", MultipartError::Headers(1)),
            ("--XXY\r\n\r\n", MultipartError::Headers(1)),
            ("--XX\r\n\r\nx\r\n--XX--", MultipartError::Headers(1)),
            (
                "--XX\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--XX--",
                MultipartError::Headers(1),
            ),
            (
                "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--XX--",
                MultipartError::Headers(1),
            ),
            (part, MultipartError::End(1)),
            (&format!("{part}--XX"), MultipartError::Headers(2)),
            (&format!("{}--XX--", part.repeat(101)), MultipartError::TooMany),
            (&format!("--XX\r\nX: {}\r\n\r\n", "y".repeat(9_000)), MultipartError::Headers(1)),
        ] {
            assert_eq!(seen(body), Err(error), "{body:?}");
        }
        assert_eq!(seen(&format!("{}--XX--", part.repeat(100))).unwrap().len(), 100);
    }

    #[test]
    fn boundaries_are_quoted_or_not() {
        assert_eq!(boundary_of("multipart/form-data; boundary=abc").unwrap(), "abc");
        assert_eq!(boundary_of("Multipart/Form-Data; charset=x; BOUNDARY=\"a;b\"").unwrap(), "a;b");
        for wrong in ["", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x"] {
            assert_eq!(boundary_of(wrong), Err(MultipartError::Boundary), "{wrong}");
        }
        assert_eq!(
            boundary_of(&format!("multipart/form-data; boundary={}", "x".repeat(71))),
            Err(MultipartError::Boundary)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just(b"\r\n".to_vec()), Just(b"--XX".to_vec()), Just(b"--".to_vec()),
                    Just(b"Content-Disposition: form-data; name=\"a\"".to_vec()), Just(b"\"".to_vec()), Just(b";".to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..10),
                ],
                0..20,
            ),
        ) {
            let body = pieces.concat();
            if let Ok(parts) = parse(&body, "XX") {
                for part in parts {
                    prop_assert!(part.content.start <= part.content.end && part.content.end <= body.len());
                }
            }
        }

        #[test]
        fn files_come_back_as_they_were(
            files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..10),
        ) {
            let mut body = Vec::new();
            for file in &files {
                body.extend(b"--0f1e2d3c\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n");
                body.extend(file);
                body.extend(b"\r\n");
            }
            body.extend(b"--0f1e2d3c--\r\n");
            let parts = parse(&body, "0f1e2d3c").unwrap();
            let found: Vec<_> = parts.into_iter().map(|part| body[part.content].to_vec()).collect();
            prop_assert_eq!(found, files);
        }
    }
}
