//! Numbers and times of a query, as the range of values that they allow. No I/O.

use belvedere_storage::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use super::parse::{Comparison, QueryError, Word, at};

const DAY_MICROS: i64 = 86_400_000_000;

/// From the lowest to the highest count that is meant, both included.
pub(super) fn parse_count(word: &Word) -> Result<(i64, i64), QueryError> {
    let number: i64 = word.text.parse().ok().filter(|number| *number >= 0).ok_or_else(|| {
        at(word.at, "expected a whole number such as 100, with >, >=, < or <= in front if you like")
    })?;
    Ok(range(word.comparison, number, number))
}

/// From the first to the last microsecond that is meant, both included.
///
/// `-24h` is everything since 24 hours ago and `+24h` everything before; a day is all of it; anything else is an
/// instant. Units are `m`, `h`, `d` and `w`.
pub(super) fn parse_time(word: &Word, now: Timestamp) -> Result<(i64, i64), QueryError> {
    if let Some((sign, span)) = relative(&word.text) {
        let bound = now.as_micros().saturating_sub(span);
        return Ok(match (word.comparison, sign) {
            (Comparison::Equal, '+') | (Comparison::Below | Comparison::AtMost, _) => (i64::MIN, bound),
            _ => (bound, i64::MAX),
        });
    }
    let (first, last) = day(&word.text)
        .or_else(|| instant(&word.text))
        .ok_or_else(|| at(word.at, "expected a time such as -24h, 2026-11-20 or 2026-11-20T12:00:00Z"))?;
    Ok(range(word.comparison, first, last))
}

fn range(comparison: Comparison, first: i64, last: i64) -> (i64, i64) {
    match comparison {
        Comparison::Equal => (first, last),
        Comparison::Above => (last.saturating_add(1), i64::MAX),
        Comparison::AtLeast => (first, i64::MAX),
        Comparison::Below => (i64::MIN, first.saturating_sub(1)),
        Comparison::AtMost => (i64::MIN, last),
    }
}

/// `-24h` as its sign and its microseconds; at most ten years.
fn relative(text: &str) -> Option<(char, i64)> {
    let sign = text.chars().next().filter(|sign| matches!(sign, '-' | '+'))?;
    let unit = text.chars().last()?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        'w' => 7 * 24 * 60,
        _ => return None,
    };
    let number: i64 = text.get(1..text.len().checked_sub(1)?)?.parse().ok()?;
    let minutes = number.checked_mul(minutes)?;
    (0..=10 * 366 * 24 * 60).contains(&minutes).then_some((sign, minutes * 60_000_000))
}

fn day(text: &str) -> Option<(i64, i64)> {
    let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    let start = Timestamp::from(date.midnight().assume_utc()).as_micros();
    Some((start, start + DAY_MICROS - 1))
}

/// To the second, or as exact as it is written; UTC if no zone is named.
fn instant(text: &str) -> Option<(i64, i64)> {
    let is_exact = text.contains('.');
    let at = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        PrimitiveDateTime::parse(text, format).ok().map(PrimitiveDateTime::assume_utc)
    })?;
    let start = Timestamp::from(at).as_micros();
    Some((start, if is_exact { start } else { start + 999_999 }))
}
