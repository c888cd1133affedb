//! How numbers and instants are written for people.

use std::fmt;

use askama::filters::HtmlSafe;
use belvedere_storage::Timestamp;

/// A number with a comma between groups of three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl HtmlSafe for Count {}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A number of bytes in the unit that keeps it short: `810 bytes`, `1.2 KB`, `48 MB`; a kilobyte has 1,024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl HtmlSafe for Bytes {}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_024 {
            return write!(f, "{} bytes", self.0);
        }
        let mut tenths = self.0.saturating_mul(10) / 1_024;
        let mut units = ["KB", "MB", "GB", "TB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        while tenths >= 10_240
            && let Some(next) = units.next()
        {
            tenths /= 1_024;
            unit = next;
        }
        if tenths < 100 && !tenths.is_multiple_of(10) {
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        } else {
            write!(f, "{} {unit}", tenths / 10)
        }
    }
}

/// An instant as the time that has passed since, inside `<time>` with the whole instant as its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ago {
    pub(crate) at: Timestamp,
    pub(crate) now: Timestamp,
}

impl HtmlSafe for Ago {}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = to_the_second(self.at);
        write!(f, r#"<time datetime="{at}" title="{at}" data-ago>{}</time>"#, elapsed(self.at, self.now))
    }
}

/// An instant as date and time of day in UTC, inside `<time>` with the whole instant as its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(pub(crate) Timestamp);

impl HtmlSafe for At {}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.to_datetime();
        write!(
            f,
            r#"<time datetime="{whole}" title="{whole}">{} {} {}, {:02}:{:02}:{:02} UTC</time>"#,
            time.day(),
            month(time.month()),
            time.year(),
            time.hour(),
            time.minute(),
            time.second(),
            whole = self.0,
        )
    }
}

/// `23 Nov` in UTC.
pub(crate) fn day(at: Timestamp) -> String {
    let time = at.to_datetime();
    format!("{} {}", time.day(), month(time.month()))
}

/// `14:00` in UTC.
pub(crate) fn hour(at: Timestamp) -> String {
    let time = at.to_datetime();
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// `14:03:07` in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    let time = at.to_datetime();
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// How `now` compares with `before`: `+12 %`, `−8 %`, or nothing where a comparison says nothing.
pub(crate) fn change(before: u64, now: u64) -> Option<String> {
    if before == 0 {
        return None;
    }
    let (before, now) = (i128::from(before), i128::from(now));
    let percent = ((now - before) * 200 + before * (now - before).signum()) / (before * 2);
    Some(match percent {
        0 => "±0 %".to_owned(),
        1.. => format!("+{} %", Count(u64::try_from(percent).unwrap_or(u64::MAX))),
        _ => format!("\u{2212}{} %", Count(u64::try_from(-percent).unwrap_or(u64::MAX))),
    })
}

/// `part` of `whole` in percent, with two digits rounded down so that 100 % is all of it; `none` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match hundredths(part, whole) {
        None => "none".to_owned(),
        Some(share) => format!("{} %", decimal(share)),
    }
}

/// How the share `now` (part, whole) differs from `before`, in percentage points: `+1.5 points`, `\u{2212}0.31 points`.
pub(crate) fn points(before: (u64, u64), now: (u64, u64)) -> Option<String> {
    let (before, now) = (hundredths(before.0, before.1)?, hundredths(now.0, now.1)?);
    let sign = match now.cmp(&before) {
        std::cmp::Ordering::Less => "\u{2212}",
        std::cmp::Ordering::Equal => "±",
        std::cmp::Ordering::Greater => "+",
    };
    let difference = now.abs_diff(before);
    let unit = if difference == 100 { "point" } else { "points" };
    Some(format!("{sign}{} {unit}", decimal(difference)))
}

fn hundredths(part: u64, whole: u64) -> Option<u64> {
    let share = (u128::from(part) * 10_000).checked_div(u128::from(whole))?;
    Some(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Hundredths as a number without zeros at its end.
fn decimal(hundredths: u64) -> String {
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    match rest {
        0 => Count(whole).to_string(),
        _ if rest.is_multiple_of(10) => format!("{}.{}", Count(whole), rest / 10),
        _ => format!("{}.{rest:02}", Count(whole)),
    }
}

/// A number with at most two decimals, more where it is small: `1,234.5`, `\u{2212}3`, `0.000012`, `1.500e20`.
pub(crate) fn amount(number: f64) -> String {
    let size = number.abs();
    let text = match size {
        size if size >= 1e15 => format!("{size:.3e}"),
        size if size >= 0.005 || size == 0.0 => decimal((size * 100.0).round() as u64),
        size if size >= 0.000_001 => format!("{size:.6}").trim_end_matches('0').to_owned(),
        size => format!("{size:.3e}"),
    };
    if number < 0.0 { format!("\u{2212}{text}") } else { text }
}

/// `n` with the singular or plural of what is counted: `1 frame`, `6 frames`.
pub(crate) fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", Count(n as u64), if n == 1 { one } else { many })
}

/// `850 B`, `12.3 kB`, `4.0 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", Count(bytes / size), bytes % size * 10 / size),
        None => format!("{bytes} B"),
    }
}

/// `text` cut to at most `chars` characters, with an ellipsis if something was cut.
pub(crate) fn shorten(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` as a sentence.
pub(crate) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

fn elapsed(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    let units = [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    match units.iter().find(|(size, _)| seconds >= *size) {
        Some((size, unit)) => format!("{} {unit} ago", seconds / size),
        // A clock that is a little ahead still means the present.
        None if at.since(now).as_secs() < 60 => "now".to_owned(),
        None => "in the future".to_owned(),
    }
}

fn to_the_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_seconds() * 1_000_000)
}

fn month(month: impl Into<u8>) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES[usize::from(month.into()).saturating_sub(1) % 12]
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_written_in_the_unit_that_keeps_them_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1 KB"),
            (1_229, "1.2 KB"),
            (20_900, "20 KB"),
            (48 << 20, "48 MB"),
            (2 << 30, "2 GB"),
        ] {
            assert_eq!(super::Bytes(bytes).to_string(), text);
        }
    }

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_have_thousands_separators() {
        let written = [0, 7, 999, 1_000, 25_300, 1_234_567].map(|n| Count(n).to_string());
        assert_eq!(written, ["0", "7", "999", "1,000", "25,300", "1,234,567"]);
    }

    #[test]
    fn amounts_have_as_many_decimals_as_say_something() {
        let written = [0.0, 1_234.5, -3.004, 0.0125, 0.004, 0.000_012, 1.5e20, 3.0e-9].map(amount);
        let expected = ["0", "1,234.5", "\u{2212}3", "0.01", "0.004", "0.000012", "1.500e20", "3.000e-9"];
        assert_eq!(written, expected);
    }

    #[test]
    fn instants_are_written_as_the_time_since() {
        let now = at("2026-11-23T12:00:00Z");
        let ago = |text: &str| elapsed(at(text), now);
        assert_eq!(ago("2026-11-23T11:59:46.4Z"), "13 s ago");
        assert_eq!(ago("2026-11-23T11:00:01Z"), "59 min ago");
        assert_eq!(ago("2026-11-22T12:00:01Z"), "23 h ago");
        assert_eq!(ago("2026-11-20T12:00:00Z"), "3 d ago");
        assert_eq!(ago("2024-11-20T12:00:00Z"), "2 y ago");
        assert_eq!(ago("2026-11-23T12:00:30Z"), "now");
        assert_eq!(ago("2026-11-24T12:00:30Z"), "in the future");
        assert_eq!(
            Ago { at: at("2026-11-23T11:59:46.4Z"), now }.to_string(),
            r#"<time datetime="2026-11-23T11:59:46Z" title="2026-11-23T11:59:46Z" data-ago>13 s ago</time>"#
        );
        assert_eq!(
            At(at("2026-11-03T01:02:03.5Z")).to_string(),
            r#"<time datetime="2026-11-03T01:02:03.5Z" title="2026-11-03T01:02:03.5Z">3 Nov 2026, 01:02:03 UTC</time>"#
        );
    }

    #[test]
    fn changes_are_rounded_percentages_and_silent_without_a_basis() {
        assert_eq!(change(0, 10), None);
        assert_eq!(change(100, 112).as_deref(), Some("+12 %"));
        assert_eq!(change(1_000, 1_004).as_deref(), Some("±0 %"));
        assert_eq!(change(8, 7).as_deref(), Some("\u{2212}13 %"));
        assert_eq!(change(3, 0).as_deref(), Some("\u{2212}100 %"));
        assert_eq!(change(1, 2_001).as_deref(), Some("+200,000 %"));
    }

    #[test]
    fn shares_are_rounded_down_and_compared_in_points() {
        assert_eq!(percent(0, 0), "none");
        assert_eq!(percent(99_999, 100_000), "99.99 %");
        assert_eq!(percent(999, 1_000), "99.9 %");
        assert_eq!(percent(7, 7), "100 %");
        assert_eq!(percent(1, 3), "33.33 %");
        assert_eq!(points((99, 100), (995, 1_000)).as_deref(), Some("+0.5 points"));
        assert_eq!(points((1, 1), (9_969, 10_000)).as_deref(), Some("\u{2212}0.31 points"));
        assert_eq!(points((1, 2), (2, 4)).as_deref(), Some("±0 points"));
        assert_eq!(points((98, 100), (99, 100)).as_deref(), Some("+1 point"));
        assert_eq!(points((0, 0), (1, 1)), None);
    }

    #[test]
    fn bytes_are_written_in_their_largest_unit() {
        let written = [0, 999, 12_345, 4_000_000_000].map(bytes);
        assert_eq!(written, ["0 B", "999 B", "12.3 kB", "4.0 GB"]);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shorten("größer", 6), "größer");
        assert_eq!(shorten("größer", 3), "grö\u{2026}");
    }
}
