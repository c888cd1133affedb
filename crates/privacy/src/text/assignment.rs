//! Keys and values within a text: query strings, headers, JSON, and what programs print of their variables.

use memchr::memmem;

use super::{FILTERED, Hit, Scan, is_word};
use crate::key_rules::{KeyClass, Secret};

/// The most bytes of a key that count.
const KEY_LEN_MAX: usize = 64;

/// A key before a sign.
struct Key<'k> {
    secret: Secret<'k>,
    is_quoted: bool,
}

/// Values that say nothing.
const NOTHING: &[&[u8]] =
    &[b"null", b"none", b"nil", b"true", b"false", b"undefined", FILTERED.as_bytes(), b"[filtered"];

impl<'k> Scan<'_, 'k> {
    /// `key=value`, `key => value`.
    pub(super) fn equals_sign(&self, at: usize) -> Option<Hit<'k>> {
        let is_arrow = self.at(at + 1) == b'>';
        if self.at(at + 1) == b'=' || b"=!<>~+*/|&^%".contains(&self.before(at)) {
            return None;
        }
        let key = self.key_before(at)?;
        let start = self.skip_spaces(at + if is_arrow { 2 } else { 1 });
        if let Some(hit) = self.quoted_value(start, &key).or_else(|| self.bracketed_value(start, &key)) {
            return hit;
        }
        self.hit(start, self.end_of_bare(start), &key)
    }

    /// `"key": value`, `key: "value"`, `Header: value`.
    pub(super) fn field(&self, at: usize) -> Option<Hit<'k>> {
        let key = self.key_before(at)?;
        let start = self.skip_spaces(at + 1);
        if let Some(hit) = self.quoted_value(start, &key) {
            // In prose, a quoted sign is no secret: `unexpected token: '}'`.
            return hit.filter(|hit| {
                key.is_quoted || self.bytes[hit.start..hit.end].iter().any(|byte| is_word(*byte))
            });
        }
        if key.is_quoted {
            if let Some(hit) = self.bracketed_value(start, &key) {
                return hit;
            }
            return self.hit(start, self.end_of_bare(start), &key);
        }
        if matches!(key.secret.rule, "authorization" | "cookie") {
            let end = self.end_of_run(start, |byte| !b"\r\n\"'".contains(&byte));
            return self.hit(start, end, &key);
        }
        // In prose, only what does not look like a word: `invalid password: too short` stays.
        let end = self.end_of_bare(start);
        let value = &self.bytes[start..end];
        let has_digit = value.iter().any(u8::is_ascii_digit);
        let is_port = start == at + 1 && value.iter().all(u8::is_ascii_digit);
        if value.len() < 4 || !has_digit || is_port {
            return None;
        }
        self.hit(start, end, &key)
    }

    /// The secret key that ends before the sign at `at`, perhaps with quotation marks and spaces in between.
    fn key_before(&self, at: usize) -> Option<Key<'k>> {
        let mut end = self.start_of_run(at, 2, |byte| byte == b' ');
        let is_quoted = matches!(self.before(end), b'"' | b'\'') && end > self.floor;
        if is_quoted {
            end = self.start_of_run(end - 1, 8, |byte| byte == b'\\');
        }
        let start = self.start_of_run(end, KEY_LEN_MAX, |byte| is_word(byte) || b"-.[]$%".contains(&byte));
        if end - start < 3 {
            return None;
        }
        match self.keys.classify(&self.bytes[start..end]) {
            KeyClass::Secret(secret) => Some(Key { secret, is_quoted }),
            _ => None,
        }
    }

    fn skip_spaces(&self, start: usize) -> usize {
        start
            + self.bytes[start.min(self.bytes.len())..]
                .iter()
                .take(4)
                .take_while(|byte| **byte == b' ')
                .count()
    }

    /// A value in quotation marks, which may be escaped with any number of backslashes; `Some(None)` if there is one
    /// that is no secret.
    #[expect(clippy::option_option, reason = "whether there is a value, and whether it is to be replaced")]
    fn quoted_value(&self, start: usize, key: &Key<'k>) -> Option<Option<Hit<'k>>> {
        let prefixed = matches!(self.at(start), b'b' | b'B' | b'r' | b'R' | b'u' | b'U');
        let start = if prefixed && matches!(self.at(start + 1), b'"' | b'\'') { start + 1 } else { start };
        let quote = self.end_of_run(start.min(self.bytes.len()), |byte| byte == b'\\');
        let mark = self.at(quote);
        if !matches!(mark, b'"' | b'\'') || quote - start > 8 {
            return None;
        }
        let escapes = quote - start;
        let from = quote + 1;
        let mut end = from;
        loop {
            let Some(found) = memchr::memchr(mark, &self.bytes[end..]) else {
                end = self.bytes.len();
                break;
            };
            end += found;
            let backslashes = self.bytes[from..end].iter().rev().take_while(|byte| **byte == b'\\').count();
            // Without escapes, a mark behind an odd number of backslashes belongs to the value; with some, one behind
            // more of them does.
            if if escapes == 0 { backslashes % 2 == 0 } else { backslashes <= escapes } {
                end -= if escapes == 0 { 0 } else { backslashes };
                break;
            }
            end += 1;
        }
        Some(self.hit(from, end, key))
    }

    /// A list or object, brackets included; up to the end of the text if it was cut.
    #[expect(clippy::option_option, reason = "whether there is a value, and whether it is to be replaced")]
    fn bracketed_value(&self, start: usize, key: &Key<'k>) -> Option<Option<Hit<'k>>> {
        if !matches!(self.at(start), b'[' | b'{' | b'(')
            || self.bytes[start..].starts_with(FILTERED.as_bytes())
        {
            return None;
        }
        if key.secret.only_text {
            return Some(None);
        }
        let mut depth = 0_usize;
        let mut quote = None;
        let mut bytes = self.bytes.iter().enumerate().skip(start);
        while let Some((index, byte)) = bytes.next() {
            match (*byte, quote) {
                (b'\\', Some(_)) => drop(bytes.next()),
                (byte, Some(mark)) if byte == mark => quote = None,
                (_, Some(_)) => {}
                (b'"' | b'\'', None) => quote = Some(*byte),
                (b'[' | b'{' | b'(', None) => depth += 1,
                (b']' | b'}' | b')', None) => {
                    depth -= 1;
                    if depth == 0 {
                        return Some((index > start + 1).then(|| self.replace(start, index + 1, key)));
                    }
                }
                _ => {}
            }
        }
        Some(Some(self.replace(start, self.bytes.len(), key)))
    }

    /// The end of a value without quotation marks; the name of an authentication scheme is not all of it.
    fn end_of_bare(&self, start: usize) -> usize {
        let ends = |byte: u8| byte.is_ascii_whitespace() || b"&;,\"'<>()]}`|\\".contains(&byte);
        if self.bytes[start.min(self.bytes.len())..].starts_with(FILTERED.as_bytes()) {
            return start + FILTERED.len();
        }
        let end = self.end_of_run(start.min(self.bytes.len()), |byte| !ends(byte));
        let is_scheme = ["basic", "bearer", "digest", "negotiate", "token"]
            .iter()
            .any(|scheme| self.bytes[start.min(end)..end].eq_ignore_ascii_case(scheme.as_bytes()));
        if is_scheme && self.at(end) == b' ' { self.end_of_run(end + 1, |byte| !ends(byte)) } else { end }
    }

    /// The replacement of the value at `start..end`, if it is a secret.
    fn hit(&self, start: usize, end: usize, key: &Key<'k>) -> Option<Hit<'k>> {
        let value = self.bytes.get(start..end)?;
        let is_nothing =
            value.is_empty() || NOTHING.iter().any(|nothing| value.eq_ignore_ascii_case(nothing));
        let is_number = value.iter().all(|byte| byte.is_ascii_digit() || b".-+eE".contains(byte));
        let is_path = value.starts_with(b"/") || memmem::find(value, b":\\") == Some(1);
        if is_nothing || key.secret.only_text && is_number || key.secret.not_paths && is_path {
            return None;
        }
        Some(self.replace(start, end, key))
    }

    fn replace(&self, start: usize, end: usize, key: &Key<'k>) -> Hit<'k> {
        Hit { start, end, replacement: FILTERED, rule: key.secret.rule }
    }
}
