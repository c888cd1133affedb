use memchr::memmem;

use super::{Hit, Looks, Scan, is_word};

impl<'k> Scan<'_, 'k> {
    /// A private key in PEM (RFC 7468) whose run of dashes is at `start..end`; up to the end of the text if it was cut.
    pub(super) fn private_key(&self, start: usize, end: usize) -> Option<Hit<'k>> {
        let rest = &self.bytes[end..];
        if end - start < 5 || !self.looks.has(Looks::TOKEN) || !rest.starts_with(b"BEGIN ") {
            return None;
        }
        let label = &rest[..rest.len().min(64)];
        let label = &label[..memmem::find(label, b"-----")?];
        memmem::find(label, b"PRIVATE KEY")?;
        let stop = memmem::find(rest, b"-----END ").and_then(|stop| {
            let from = end + stop + 9;
            memmem::find(&self.bytes[from..], b"-----").map(|dashes| from + dashes + 5)
        });
        let end = stop.unwrap_or(self.bytes.len());
        Some(Hit { start, end, replacement: "[private_key]", rule: "private_key" })
    }

    /// A JSON web token (RFC 7519), which begins with `eyJ`: the J is at `at`.
    pub(super) fn json_web_token(&mut self, at: usize) -> Option<Hit<'k>> {
        let start = at.checked_sub(2)?;
        if start < self.floor.max(self.token_floor)
            || &self.bytes[start..at] != b"ey"
            || is_base64(self.before(start))
        {
            return None;
        }
        let header = self.end_of_run(start, is_base64);
        let part = |from: usize| {
            if self.at(from) == b'.' { Some(self.end_of_run(from + 1, is_base64)) } else { None }
        };
        let (claims, signature) = (part(header), part(header).and_then(part));
        let (Some(claims), Some(mut end)) = (claims, signature) else {
            // Nothing that begins within this run has a different end.
            self.token_floor = header;
            return None;
        };
        if header - start < 10 || claims - header < 5 {
            self.token_floor = header;
            return None;
        }
        // An encrypted one (RFC 7516) has five parts.
        while let Some(next) =
            if self.at(end) == b'.' { Some(self.end_of_run(end + 1, is_base64)) } else { None }
            && next > end + 1
        {
            end = next;
        }
        Some(Hit { start, end, replacement: "[token]", rule: "token" })
    }

    /// What follows the name of an authentication scheme (RFC 6750, RFC 7617), of which the B is at `at`.
    pub(super) fn bearer(&self, at: usize) -> Option<Hit<'k>> {
        let rest = &self.bytes[at..];
        let scheme = ["bearer ", "basic "].into_iter().find(|scheme| {
            rest.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
        })?;
        if self.is_word_before(at) {
            return None;
        }
        let start = self.end_of_run(at + scheme.len(), |byte| byte == b' ');
        let end = self.end_of_run(start, |byte| is_word(byte) || b".~+/=-".contains(&byte));
        let token = &self.bytes[start..end];
        // Words are not tokens: `basic authentication`.
        let is_mixed =
            token.iter().any(u8::is_ascii_lowercase) && token.iter().skip(1).any(u8::is_ascii_uppercase);
        let is_token = token.len() >= 6 && (is_mixed || token.iter().any(u8::is_ascii_digit));
        is_token.then_some(Hit { start, end, replacement: "[token]", rule: "token" })
    }
}

fn is_base64(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}
