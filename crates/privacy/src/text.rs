//! Personal data and secrets inside a string, found by what they look like.
//!
//! The scanner stops at the few bytes that all of them have (`@`, digits, `:`, `=`, ..) and looks around each. Looking
//! back is limited everywhere and looking forward never repeats, so that the time is linear in the length.

mod assignment;
mod number;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use number::is_card_number;

use crate::key_rules::KeyRules;

/// What to look for, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looks(u8);

impl Looks {
    const EMAIL: u8 = 1;
    const CARD: u8 = 2;
    const SSN: u8 = 4;
    const IP: u8 = 8;
    const TOKEN: u8 = 16;
    const ASSIGNMENT: u8 = 32;
    const USERINFO: u8 = 64;

    /// Everything.
    pub(crate) const TEXT: Self = Self(127);
    /// What can stand in a line of source code without being code: no assignments and no addresses of hosts.
    pub(crate) const CODE: Self = Self(Self::EMAIL | Self::CARD | Self::TOKEN);
    /// The secret parts of an address or file name, and nothing that another part may look like.
    pub(crate) const LOCATION: Self = Self(Self::ASSIGNMENT | Self::USERINFO);
    /// A version may look like an IP address.
    pub(crate) const VERSION: Self = Self(Self::TEXT.0 & !Self::IP);
    /// The name of a key.
    pub(crate) const KEY: Self = Self(Self::TEXT.0 & !Self::ASSIGNMENT);

    fn has(self, look: u8) -> bool {
        self.0 & look != 0
    }
}

/// Stands for a value that was removed because of its key.
pub(crate) const FILTERED: &str = "[Filtered]";

/// How often a text is looked at again because a replacement may have uncovered something.
const PASSES_MAX: usize = 8;

/// Something to be replaced.
struct Hit<'k> {
    start: usize,
    end: usize,
    replacement: &'static str,
    rule: &'k str,
}

/// `text` without what was looked for, or `None` if nothing was there; `found` is told the rule of each replacement.
pub(crate) fn scrub(
    text: &str,
    looks: Looks,
    keys: &KeyRules,
    mut found: impl FnMut(&str),
) -> Option<String> {
    let mut scrubbed = pass(text, looks, keys, &mut found)?;
    for _ in 1..PASSES_MAX {
        match pass(&scrubbed, looks, keys, &mut found) {
            Some(again) => scrubbed = again,
            None => break,
        }
    }
    Some(scrubbed)
}

fn pass(text: &str, looks: Looks, keys: &KeyRules, found: &mut impl FnMut(&str)) -> Option<String> {
    let mut scan = Scan { text, bytes: text.as_bytes(), looks, keys, floor: 0, token_floor: 0 };
    let mut out = String::new();
    let mut at = 0;
    while let Some(skipped) = scan.bytes.get(at..)?.iter().position(|byte| TRIGGERS[usize::from(*byte)]) {
        at += skipped;
        match scan.look(at) {
            Ok(hit) => {
                if out.is_empty() {
                    out.reserve(text.len());
                }
                out.push_str(&text[scan.floor..hit.start]);
                out.push_str(hit.replacement);
                found(hit.rule);
                scan.floor = hit.end;
                at = hit.end;
            }
            Err(next) => at = next,
        }
    }
    if scan.floor == 0 {
        return None;
    }
    out.push_str(&text[scan.floor..]);
    Some(out)
}

const TRIGGERS: [bool; 256] = {
    let mut triggers = [false; 256];
    let bytes = b"@%:=-JBb0123456789";
    let mut index = 0;
    while index < bytes.len() {
        triggers[bytes[index] as usize] = true;
        index += 1;
    }
    triggers
};

struct Scan<'t, 'k> {
    text: &'t str,
    bytes: &'t [u8],
    looks: Looks,
    keys: &'k KeyRules,
    /// Where the last replaced part ends: no look goes back behind it.
    floor: usize,
    /// Up to here no JSON web token begins.
    token_floor: usize,
}

impl<'k> Scan<'_, 'k> {
    /// What there is around the trigger at `at`, or where to go on.
    fn look(&mut self, at: usize) -> Result<Hit<'k>, usize> {
        let hit = match self.bytes[at] {
            b'@' if self.looks.has(Looks::EMAIL) => self.email(at, at + 1),
            b'%' if self.looks.has(Looks::EMAIL) && self.bytes[at..].starts_with(b"%40") => {
                self.email(at, at + 3)
            }
            b'0'..=b'9' => return self.number(at),
            b':' => self.colon(at),
            b'=' if self.looks.has(Looks::ASSIGNMENT) => self.equals_sign(at),
            b'-' => {
                let end = self.end_of_run(at, |byte| byte == b'-');
                return match self.private_key(at, end) {
                    Some(hit) => Ok(hit),
                    None => Err(end),
                };
            }
            b'J' if self.looks.has(Looks::TOKEN) => self.json_web_token(at),
            b'B' | b'b' if self.looks.has(Looks::TOKEN) => self.bearer(at),
            _ => None,
        };
        hit.ok_or(at + 1)
    }

    fn colon(&self, at: usize) -> Option<Hit<'k>> {
        if self.bytes[at..].starts_with(b"://") {
            return if self.looks.has(Looks::USERINFO) { self.userinfo(at + 3) } else { None };
        }
        let assignment = if self.looks.has(Looks::ASSIGNMENT) { self.field(at) } else { None };
        assignment.or_else(|| if self.looks.has(Looks::IP) { self.ipv6(at) } else { None })
    }

    /// An address (RFC 5321, loosely) around its sign, which is written from `sign` to `domain`.
    fn email(&self, sign: usize, domain: usize) -> Option<Hit<'k>> {
        let local = &self.text[self.floor.max(self.char_floor(sign, 256))..sign];
        let is_local = |c: char| c.is_alphanumeric() || ".!#$%&'*+-_~".contains(c);
        let start = sign - (local.len() - local.trim_end_matches(is_local).len());
        let local = self.text[start..sign].trim_start_matches(|c: char| c.is_ascii_punctuation());
        let start = sign - local.len();
        if local.is_empty() || local == "git" {
            return None;
        }
        let rest = &self.text[domain..self.char_ceiling(domain, 255)];
        let is_domain = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
        let host = &rest[..rest.len() - rest.trim_start_matches(is_domain).len()];
        let len = host_len(host)?;
        Some(Hit { start, end: domain + len, replacement: "[email]", rule: "email" })
    }

    /// User name and password in an address, between `start` and the at-sign (RFC 3986, section 3.2.1).
    fn userinfo(&self, start: usize) -> Option<Hit<'k>> {
        let rest = &self.bytes[start..self.bytes.len().min(start + 512)];
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>\\`".contains(byte);
        let until = |ends: &dyn Fn(&u8) -> bool| &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        let authority = until(&|byte| is_end(byte) || b"/?#".contains(byte));
        let mut sign = authority.iter().rposition(|byte| *byte == b'@');
        if sign.is_none() && !authority.starts_with(b"[") {
            // A colon that is not followed by a port speaks for a password with unescaped signs.
            let port = authority.iter().rposition(|byte| *byte == b':').map(|colon| &authority[colon + 1..]);
            if port.is_some_and(|port| !port.iter().all(u8::is_ascii_digit)) {
                sign = until(&is_end).iter().position(|byte| *byte == b'@');
            }
        }
        let end = start + sign.filter(|sign| *sign > 0)?;
        let is_new = &self.bytes[start..end] != FILTERED.as_bytes();
        is_new.then_some(Hit { start, end, replacement: FILTERED, rule: "url_credentials" })
    }

    fn end_of_run(&self, start: usize, is_part: impl Fn(u8) -> bool) -> usize {
        self.bytes[start..]
            .iter()
            .position(|byte| !is_part(*byte))
            .map_or(self.bytes.len(), |len| start + len)
    }

    /// Where the run of `is_part` begins that ends before `end`; at most `max` back.
    fn start_of_run(&self, end: usize, max: usize, is_part: impl Fn(u8) -> bool) -> usize {
        let floor = self.floor.max(end.saturating_sub(max));
        let len = self.bytes[floor..end].iter().rev().position(|byte| !is_part(*byte));
        len.map_or(floor, |len| end - len)
    }

    /// The byte before `at`; 0 at the start.
    fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |before| self.bytes[before])
    }

    /// The byte at `at`; 0 at the end.
    fn at(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn is_word_before(&self, at: usize) -> bool {
        is_word(self.before(at))
    }

    /// The first character boundary that is at most `max` before `at`.
    fn char_floor(&self, at: usize, max: usize) -> usize {
        self.text.ceil_char_boundary(at.saturating_sub(max))
    }

    /// The last character boundary that is at most `max` after `at`.
    fn char_ceiling(&self, at: usize, max: usize) -> usize {
        self.text.floor_char_boundary(self.text.len().min(at + max))
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How much of `host` is a host name with a top-level domain: letters, at least two, and not the ending of a file name
/// as in `icon@2x.png`.
fn host_len(host: &str) -> Option<usize> {
    const FILE_ENDINGS: &[&str] = &[
        "css", "gif", "html", "ico", "jpeg", "jpg", "js", "json", "jsx", "mjs", "png", "svg", "ts", "tsx",
        "webp",
    ];
    let mut end = host.len();
    while let Some(dot) = host[..end].rfind('.') {
        let label = &host[dot + 1..end];
        let letters = label.len() - label.trim_start_matches(char::is_alphabetic).len();
        let (top, rest) = label.split_at(letters);
        let is_top = top.chars().count() >= 2 && (rest.is_empty() || rest.starts_with('-'))
            || label.to_ascii_lowercase().starts_with("xn--");
        let is_file = FILE_ENDINGS.iter().any(|ending| top.eq_ignore_ascii_case(ending));
        let has_name = host[..dot].chars().any(char::is_alphanumeric);
        if is_top && !is_file && has_name {
            return Some(if rest.starts_with('-') && !label.starts_with("xn--") {
                dot + 1 + letters
            } else {
                end
            });
        }
        end = dot;
    }
    None
}
