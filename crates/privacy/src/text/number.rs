use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Hit, Looks, Scan, is_word};

impl<'k> Scan<'_, 'k> {
    /// A number that identifies somebody, beginning with the digit at `start`; else where to go on.
    pub(super) fn number(&self, start: usize) -> Result<Hit<'k>, usize> {
        let end = self.end_of_run(start, |byte| byte.is_ascii_digit());
        let is_part_of_another = self.is_word_before(start)
            || self.before(start) == b'.' && start >= 2 && self.bytes[start - 2].is_ascii_digit();
        if is_part_of_another {
            return Err(end);
        }
        let hit = match end - start {
            1..=3 if self.at(end) == b'.' && self.looks.has(Looks::IP) => self.ipv4(start),
            3 if self.at(end) == b'-' && self.looks.has(Looks::SSN) => self.ssn(start),
            4 | 13..=19 if self.looks.has(Looks::CARD) => self.card(start, end),
            _ => None,
        };
        hit.ok_or(end)
    }

    fn ipv4(&self, start: usize) -> Option<Hit<'k>> {
        let end = start
            + self.bytes[start..].iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let end = if self.before(end) == b'.' { end - 1 } else { end };
        let address: Ipv4Addr = self.text[start..end].parse().ok()?;
        let (next, after) = (self.at(end), self.at(end + 1));
        let goes_on = is_word(next) || next == b'.' && after.is_ascii_digit();
        let is_version = matches!(next, b'-' | b'+') && after.is_ascii_alphabetic()
            || next == b'.' && after.is_ascii_alphabetic() && matches!(self.before(start), b'-' | b'_')
            || self.follows_product(start);
        let is_somebody = is_somebody(address.into()) && !goes_on && !is_version;
        is_somebody.then_some(Hit { start, end, replacement: "[ip]", rule: "ip" })
    }

    /// Whether what begins at `start` is the version of a product: `Name/1.2.3.4` as in a User-Agent header (RFC 9110,
    /// section 10.1.5), `name==1.2.3.4`, `version 1.2.3.4`.
    fn follows_product(&self, start: usize) -> bool {
        let before = &self.bytes[self.floor.min(start)..start];
        if before.ends_with(b"==") {
            return true;
        }
        if let Some(before) = before.strip_suffix(b"/") {
            let name = self.start_of_run(start - 1, 64, |byte| is_word(byte) || b".-".contains(&byte));
            let name_len = start - 1 - name;
            let has_letter =
                before[before.len() - name_len.min(before.len())..].iter().any(u8::is_ascii_alphabetic);
            return has_letter && matches!(self.before(name), 0 | b' ' | b'(' | b';' | b'"' | b'\'');
        }
        let word = before.trim_ascii_end();
        word.len() >= 7
            && word.len() < before.len()
            && word[word.len() - 7..].eq_ignore_ascii_case(b"version")
    }

    /// An address (RFC 4291, section 2.2) whose first colon is at `colon`.
    pub(super) fn ipv6(&self, colon: usize) -> Option<Hit<'k>> {
        let start = self.start_of_run(colon, 5, |byte| byte.is_ascii_hexdigit());
        let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':' || *byte == b'.';
        let mut end = start + self.bytes[start..].iter().take(46).take_while(|byte| is_part(byte)).count();
        if self.is_word_before(start) || matches!(self.before(start), b':' | b'.') || is_word(self.at(end)) {
            return None;
        }
        while self.before(end) == b'.' || self.before(end) == b':' && !self.bytes[start..end].ends_with(b"::")
        {
            end -= 1;
        }
        let text = &self.text[start..end];
        // The path of a function, `a::b` or `dead::beef`, is no address.
        let is_path = text.bytes().filter(|byte| *byte == b':').count() == 2
            && !(colon - start >= 3 && text.bytes().any(|byte| byte.is_ascii_digit()));
        let address: Ipv6Addr = text.parse().ok()?;
        let is_somebody = is_somebody(IpAddr::V6(address).to_canonical()) && !is_path;
        is_somebody.then_some(Hit { start, end, replacement: "[ip]", rule: "ip" })
    }

    /// A US social security number, with its hyphens.
    fn ssn(&self, start: usize) -> Option<Hit<'k>> {
        let digits = self.bytes.get(start..start + 11)?;
        let is_digit = |index: usize| digits[index].is_ascii_digit();
        let in_shape =
            (0..11).all(|index| if matches!(index, 3 | 6) { digits[index] == b'-' } else { is_digit(index) });
        let (area, group, serial) = (&digits[..3], &digits[4..6], &digits[7..]);
        // Never given (Social Security Administration, RM 10201.035).
        let is_given =
            area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000";
        let stands_alone =
            self.before(start) != b'-' && !is_word(self.at(start + 11)) && self.at(start + 11) != b'-';
        let end = start + 11;
        (in_shape && is_given && stands_alone).then_some(Hit {
            start,
            end,
            replacement: "[ssn]",
            rule: "ssn",
        })
    }

    /// A card number (ISO/IEC 7812) in one run of digits, or in the groups that are printed on the card.
    fn card(&self, start: usize, run_end: usize) -> Option<Hit<'k>> {
        let end = if run_end - start != 4 {
            self.end_of_card(start, run_end)
        } else if matches!(self.at(run_end), b' ' | b'-') {
            [&[4, 4, 4, 4, 3][..], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]].into_iter().find_map(|groups| {
                self.end_of_card(start, self.end_of_groups(start, groups, self.at(run_end))?)
            })
        } else {
            None
        }?;
        Some(Hit { start, end, replacement: "[card]", rule: "credit_card" })
    }

    /// `end`, if a card number stands between it and `start`.
    fn end_of_card(&self, start: usize, end: usize) -> Option<usize> {
        let (next, after) = (self.at(end), self.at(end + 1));
        if is_word(next)
            || matches!(next, b'.' | b'-') && after.is_ascii_alphanumeric()
            || self.before(start) == b'-'
        {
            return None;
        }
        let mut digits = [0; 20];
        let mut len = 0;
        for byte in self.bytes[start..end].iter().filter(|byte| byte.is_ascii_digit()) {
            *digits.get_mut(len)? = byte - b'0';
            len += 1;
        }
        is_card(&digits[..len]).then_some(end)
    }

    fn end_of_groups(&self, start: usize, groups: &[usize], separator: u8) -> Option<usize> {
        let mut end = start;
        for (index, len) in groups.iter().enumerate() {
            if index > 0 {
                if self.at(end) != separator {
                    return None;
                }
                end += 1;
            }
            if !self.bytes.get(end..end + len)?.iter().all(u8::is_ascii_digit) {
                return None;
            }
            end += len;
        }
        Some(end)
    }
}

/// Whether an address can be a person's: not the machine itself, nobody's, a mask, or a number like `120.0.0.0`, with
/// which browsers hide their version.
fn is_somebody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            first != 0 && first != 127 && first < 240 && rest != [0, 0, 0]
        }
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unspecified(),
    }
}

/// Whether `number`, from a JSON number, is a card number.
pub(crate) fn is_card_number(mut number: u64) -> bool {
    let mut digits = [0_u8; 20];
    let mut len = 0;
    while number > 0 {
        digits[len] = u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        len += 1;
    }
    digits[..len].reverse();
    is_card(&digits[..len])
}

/// Whether these digits have the length and the beginning that an issuer uses, and the right check digit (Luhn, ISO/IEC
/// 7812-1 annex B). Times in milli-, micro- or nanoseconds begin with 1, which no issuer does.
fn is_card(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let prefix = digits[..4].iter().fold(0_u32, |prefix, digit| prefix * 10 + u32::from(*digit));
    let is_issued = match prefix {
        // Visa
        4000..=4999 => matches!(digits.len(), 13 | 16 | 19),
        // Mastercard
        5100..=5599 | 2221..=2720 => digits.len() == 16,
        // American Express
        3400..=3499 | 3700..=3799 => digits.len() == 15,
        // Diners Club
        3000..=3059 | 3600..=3699 | 3800..=3999 => matches!(digits.len(), 14 | 16),
        // JCB, Discover, UnionPay
        3528..=3589 | 6011 | 6440..=6599 | 6200..=6299 => matches!(digits.len(), 16 | 19),
        // Maestro
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => true,
        _ => false,
    };
    let is_same_digit = digits.iter().all(|digit| *digit == digits[0]);
    is_issued && !is_same_digit && {
        let sum: u32 = digits
            .iter()
            .rev()
            .enumerate()
            .map(|(index, digit)| {
                let value = u32::from(*digit) << (index % 2);
                if value > 9 { value - 9 } else { value }
            })
            .sum();
        sum.is_multiple_of(10)
    }
}
