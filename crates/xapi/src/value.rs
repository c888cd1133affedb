//! The simple values of the specification, each with the rule that makes text one of them.

use belvedere_storage::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use crate::Version;

/// A UUID in its text form (RFC 4122), as its 16 bytes.
#[must_use]
pub fn uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    let mut out = [0; 16];
    let mut digits = bytes.iter().filter(|byte| **byte != b'-');
    for byte in &mut out {
        let (high, low) = (hex(*digits.next()?)?, hex(*digits.next()?)?);
        *byte = high << 4 | low;
    }
    digits.next().is_none().then_some(out)
}

/// The text form of a UUID, in lower case.
#[must_use]
pub fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

/// A new random UUID (version 4).
#[must_use]
pub fn random_uuid() -> [u8; 16] {
    let mut bytes = [0; 16];
    #[expect(
        clippy::expect_used,
        reason = "without random numbers no id can be made; nothing sensible can go on"
    )]
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether text is an absolute IRI (RFC 3987): a scheme, a colon, and no character that IRIs cannot have.
#[must_use]
pub fn is_iri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && !rest.chars().any(|letter| {
            letter.is_control()
                || letter.is_whitespace()
                || matches!(letter, '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`')
        })
}

/// Whether text is `mailto:` and one address.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    let Some((user, host)) = text.strip_prefix("mailto:").and_then(|address| address.rsplit_once('@')) else {
        return false;
    };
    !user.is_empty()
        && !host.is_empty()
        && !host.starts_with('.')
        && is_iri(text)
        && !text.contains([',', '?'])
        && !user.contains('@')
}

/// Whether text is the hexadecimal form of a SHA-1.
#[must_use]
pub fn is_sha1(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Irregular tags that RFC 5646 lists, in lower case.
const GRANDFATHERED: [&str; 26] = [
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
    "art-lojban",
    "cel-gaulish",
    "no-bok",
    "no-nyn",
    "zh-guoyu",
    "zh-hakka",
    "zh-min",
    "zh-min-nan",
    "zh-xiang",
];

/// Whether text is a well-formed language tag (RFC 5646, section 2.1).
#[must_use]
pub fn is_language_tag(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    if GRANDFATHERED.contains(&text.as_str()) {
        return true;
    }
    let parts: Vec<&str> = text.split('-').collect();
    if parts
        .iter()
        .any(|part| !(1..=8).contains(&part.len()) || !part.bytes().all(|it| it.is_ascii_alphanumeric()))
    {
        return false;
    }
    let alpha = |part: &str| part.bytes().all(|letter| letter.is_ascii_alphabetic());
    let digit = |part: &str| part.bytes().all(|letter| letter.is_ascii_digit());
    if parts[0] == "x" {
        return parts.len() > 1;
    }
    if !alpha(parts[0]) || parts[0].len() < 2 {
        return false;
    }
    let mut rest = &parts[1..];
    let mut take = |limit: usize, fits: &dyn Fn(&str) -> bool| {
        for _ in 0..limit {
            match rest.split_first() {
                Some((first, others)) if fits(first) => rest = others,
                _ => break,
            }
        }
    };
    if parts[0].len() <= 3 {
        take(3, &|part| part.len() == 3 && alpha(part));
    }
    take(1, &|part| part.len() == 4 && alpha(part));
    take(1, &|part| part.len() == 2 && alpha(part) || part.len() == 3 && digit(part));
    take(8, &|part| part.len() >= 5 || part.len() == 4 && part.as_bytes()[0].is_ascii_digit());
    let mut singletons = Vec::new();
    while let Some((singleton, mut others)) = rest.split_first() {
        if *singleton == "x" {
            return !others.is_empty();
        }
        if singleton.len() != 1 || singletons.contains(singleton) {
            return false;
        }
        singletons.push(*singleton);
        let before = others.len();
        while others.first().is_some_and(|part| part.len() >= 2) {
            others = &others[1..];
        }
        if others.len() == before {
            return false;
        }
        rest = others;
    }
    true
}

/// Whether text is a duration (ISO 8601), such as `PT1H30M` or `P4W`, and how many seconds it lasts where a year has
/// 365 days and a month 30.
#[must_use]
pub fn duration_seconds(text: &str) -> Option<f64> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    let mut has_fraction = false;
    // Weeks stand alone.
    let days = if date.ends_with('W') {
        &[('W', 604_800.0)][..]
    } else {
        &[('Y', 31_536_000.0), ('M', 2_592_000.0), ('D', 86_400.0)]
    };
    for (part, units) in [(date, days), (time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)][..])] {
        let (mut rest, mut units) = (part, units);
        while !rest.is_empty() {
            let length = rest.find(|letter: char| letter.is_ascii_uppercase())?;
            let (number, unit) = (&rest[..length], rest[length..].chars().next()?);
            let place = units.iter().position(|(letter, _)| *letter == unit)?;
            let (whole, fraction) =
                number.split_once(['.', ',']).map_or((number, None), |(it, rest)| (it, Some(rest)));
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
            if has_fraction || !is_number(whole) || !fraction.is_none_or(is_number) {
                return None;
            }
            has_fraction = fraction.is_some();
            seconds += number.replace(',', ".").parse::<f64>().ok()? * units[place].1;
            units = &units[place + 1..];
            rest = &rest[length + 1..];
        }
    }
    Some(seconds)
}

/// A duration of ISO 8601 as it counts in comparisons: without fractions of a second beyond its hundredths.
pub(crate) fn duration_in_hundredths(text: &str) -> String {
    let cut = || {
        let (whole, fraction) = text.strip_suffix('S')?.split_once(['.', ','])?;
        let digits = fraction.get(..2).unwrap_or(fraction).trim_end_matches('0');
        Some(if digits.is_empty() { format!("{whole}S") } else { format!("{whole}.{digits}S") })
    };
    cut().unwrap_or_else(|| text.to_owned())
}

/// An instant: RFC 3339 in version 2, and any extended form of ISO 8601 with a time of day in version 1, where a missing
/// offset is UTC. A negative offset of zero is refused in both.
#[must_use]
pub fn timestamp(text: &str, version: Version) -> Option<Timestamp> {
    let is_lenient = version == Version::One;
    let number =
        |text: Option<&str>| text.filter(|it| it.bytes().all(|it| it.is_ascii_digit()))?.parse::<u16>().ok();
    let (date, rest) = (text.get(..10)?, text.get(11..)?);
    if date.as_bytes()[4] != b'-'
        || date.as_bytes()[7] != b'-'
        || !matches!(text.as_bytes()[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let month = Month::try_from(u8::try_from(number(date.get(5..7))?).ok()?).ok()?;
    let day = u8::try_from(number(date.get(8..10))?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(date.get(..4))?), month, day).ok()?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) if is_lenient || rest.contains('.') => (clock, Some(fraction)),
        Some(_) => return None,
        None => (clock, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let pair = |text: &str| {
        (text.len() == 2).then(|| number(Some(text))).flatten().and_then(|it| u8::try_from(it).ok())
    };
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute, second] => (pair(hour)?, pair(minute)?, pair(second)?),
        [hour, minute] if is_lenient && fraction.is_none() => (pair(hour)?, pair(minute)?, 0),
        _ => return None,
    };
    let nanosecond = match fraction {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            format!("{digits:0<9}").get(..9)?.parse().ok()?
        }
        Some(_) => return None,
    };
    // A leap second counts as the last moment before it.
    let (second, nanosecond) = if second == 60 { (59, 999_999_999) } else { (second, nanosecond) };
    let time = Time::from_hms_nano(hour, minute, second, nanosecond).ok()?;
    let offset = match zone {
        "Z" | "z" => UtcOffset::UTC,
        "" if is_lenient => UtcOffset::UTC,
        _ => offset(zone, is_lenient)?,
    };
    Some(PrimitiveDateTime::new(date, time).assume_offset(offset).into())
}

fn offset(zone: &str, is_lenient: bool) -> Option<UtcOffset> {
    let (sign, rest) = zone.split_at_checked(1)?;
    let pair =
        |text: &str| text.bytes().all(|it| it.is_ascii_digit()).then(|| text.parse::<i8>().ok()).flatten();
    let (hours, minutes) = match (rest.len(), is_lenient) {
        (5, _) if rest.as_bytes()[2] == b':' => (pair(rest.get(..2)?)?, pair(rest.get(3..)?)?),
        (4, true) => (pair(rest.get(..2)?)?, pair(rest.get(2..)?)?),
        (2, true) => (pair(rest)?, 0),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || sign == "-" && hours == 0 && minutes == 0 {
        return None;
    }
    if sign == "-" {
        UtcOffset::from_hms(-hours, -minutes, 0).ok()
    } else {
        UtcOffset::from_hms(hours, minutes, 0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_one_form() {
        let id = "39e24cc4-69af-4b01-a824-1fdc6ea8a3AF";
        assert_eq!(uuid_text(&uuid(id).unwrap()), id.to_lowercase());
        for wrong in [
            "",
            "39e24cc4-69af-4b01-a824-1fdc6ea8a3a",
            "39e24cc469af4b01a8241fdc6ea8a3af",
            "39e24cc4-69af-4b01-a824-1fdc6ea8a3ag",
            "{39e24cc4-69af-4b01-a824-1fdc6ea8a3a}",
        ] {
            assert_eq!(uuid(wrong), None, "{wrong}");
        }
        let random = uuid_text(&random_uuid());
        assert_eq!(&random[14..15], "4");
    }

    #[test]
    fn iris_and_mailboxes() {
        for good in ["http://a", "urn:uuid:1", "tag:x,2020:y", "https://ex.org/ü?a=b#c", "mailto:a@b"] {
            assert!(is_iri(good), "{good}");
        }
        for bad in
            ["", "ab=c", "a b:c", "http://a b", "http:", "1:a", "http://<a>", "www.example.com", "http://a\n"]
        {
            assert!(!is_iri(bad), "{bad}");
        }
        assert!(is_mailbox("mailto:ada@example.org"));
        for bad in [
            "ada@example.org",
            "mailto:ada",
            "mailto:@x",
            "mailto:a@",
            "mailto:a b@c",
            "MAILTO:a@b",
            "mailto:a@b,c@d",
        ] {
            assert!(!is_mailbox(bad), "{bad}");
        }
        assert!(
            is_sha1("cd9b00a5611f94eaa7b1661edab976068e364975")
                && !is_sha1("cd9b00a5611f94eaa7b1661edab97606")
        );
    }

    #[test]
    fn language_tags() {
        for good in [
            "en",
            "en-US",
            "zh-Hans-CN",
            "de-1996",
            "sl-rozaj-biske",
            "en-a-bbb-x-a",
            "x-whatever",
            "i-klingon",
            "zh-cmn-Hans-CN",
            "es-419",
            "und",
            "de-CH-1901",
        ] {
            assert!(is_language_tag(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "en_US",
            "en-",
            "123",
            "en-abcdefghi",
            "a-DE",
            "en-a",
            "ar-a-aaa-b-bbb-a-ccc",
            "x",
            "should error",
        ] {
            assert!(!is_language_tag(bad), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("PT1H30M", 5_400.0),
            ("P4W", 2_419_200.0),
            ("PT0.5S", 0.5),
            ("P1DT1S", 86_401.0),
            ("P1Y2M", 36_720_000.0),
            ("PT4,5M", 270.0),
        ] {
            assert_eq!(duration_seconds(text), Some(seconds), "{text}");
        }
        for bad in [
            "", "P", "PT", "1H", "PT1", "P1S", "PT1.5H3M", "PT1M1H", "-PT1S", "P1.DT1S", "PTS", "P1YT",
            "P4W1D", "P1Y4W", "10",
        ] {
            assert_eq!(duration_seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_compared_by_hundredths_of_a_second() {
        for (text, expected) in [
            ("P1DT12H36M0.1237S", "P1DT12H36M0.12S"),
            ("PT0,129S", "PT0.12S"),
            ("PT1.10S", "PT1.1S"),
            ("PT1.009S", "PT1S"),
            ("PT1S", "PT1S"),
            ("PT4.567M", "PT4.567M"),
            ("P4W", "P4W"),
        ] {
            assert_eq!(duration_in_hundredths(text), expected, "{text}");
        }
    }

    #[test]
    fn timestamps() {
        let micros = |text, version| timestamp(text, version).map(Timestamp::as_micros);
        for version in [Version::One, Version::Two] {
            assert_eq!(micros("2026-11-23T13:04:05.2500019+01:00", version), Some(1_795_435_445_250_001));
            assert_eq!(micros("2026-11-23 12:04:05.250001Z", version), Some(1_795_435_445_250_001));
            for bad in [
                "",
                "yesterday",
                "2026-11-23",
                "2026-13-01T00:00:00Z",
                "2026-02-29T00:00:00Z",
                "2026-11-23T24:00:00Z",
                "2026-11-23T12:04:05-00:00",
                "2026-11-23T12:04:05-0000",
                "2026-11-23T12:04:05-00",
                "01/011/2015",
                "2026-11-23T12:04:05.Z",
                "2026-11-23T1:04:05Z",
                "2026-11-23T12:04:05+25:00",
                "ü026-11-23T12:04:05Z",
            ] {
                assert_eq!(timestamp(bad, version), None, "{bad} {version:?}");
            }
        }
        for only_in_one in
            ["2026-11-23T12:04:05", "2026-11-23T12:04Z", "2026-11-23T12:04:05+01", "2026-11-23T12:04:05+0100"]
        {
            assert!(timestamp(only_in_one, Version::One).is_some(), "{only_in_one}");
            assert!(timestamp(only_in_one, Version::Two).is_none(), "{only_in_one}");
        }
    }
}
