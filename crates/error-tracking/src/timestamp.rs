use std::time::Duration;

use belvedere_storage::Timestamp;
use serde_json::Value;
use time::macros::format_description;
use time::{Date, PrimitiveDateTime};

/// How far the client's clock may be off at sending before its times are corrected: below that, the way of the
/// request explains the difference.
const SKEW_MIN: Duration = Duration::from_secs(60);

/// How far ahead of its reception an event may have happened.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// How long before its reception an event may have happened.
const BEHIND_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// When an event happened, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// The time to go by.
    pub(crate) at: Timestamp,
    /// What was added to the client's times, in microseconds; 0 if its clock is right.
    pub(crate) correction_micros: i64,
    /// Whether the corrected time still was outside the accepted window.
    pub(crate) was_clamped: bool,
}

/// Corrects the client's `timestamp` by its clock's error at sending, and clamps it into 30 days before and 10
/// minutes after reception.
pub(crate) fn correct(
    timestamp: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> Occurrence {
    let error_micros =
        sent_at.map_or(0, |sent_at| received_at.as_micros().saturating_sub(sent_at.as_micros()));
    let is_off = Duration::from_micros(error_micros.unsigned_abs()) > SKEW_MIN;
    let correction_micros = if is_off { error_micros } else { 0 };
    let told = timestamp.unwrap_or(received_at);
    let corrected = match timestamp {
        Some(told) => Timestamp::from_micros(told.as_micros().saturating_add(correction_micros)),
        None => told,
    };
    let at = corrected.clamp(received_at.minus(BEHIND_MAX), received_at.plus(AHEAD_MAX));
    Occurrence { at, correction_micros, was_clamped: at != corrected }
}

/// Reads a time as Sentry's clients write it: seconds since 1970 as a number (milliseconds, if it is too large for
/// seconds) or as digits, RFC 3339, or the same without a zone, which means UTC.
pub(crate) fn parse_timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => from_seconds(number.as_f64()?),
        Value::String(text) => parse_text(text.trim()),
        _ => None,
    }
}

fn parse_text(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return from_seconds(seconds);
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let date = Date::parse(date, format_description!("[year]-[month]-[day]")).ok()?;
    let time = time.strip_suffix('Z').unwrap_or(time);
    let whole = format_description!("[hour]:[minute]:[second]");
    let fraction = format_description!("[hour]:[minute]:[second].[subsecond]");
    let time = time::Time::parse(time, whole).or_else(|_| time::Time::parse(time, fraction)).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

/// Beyond the year 5138 in seconds lies every millisecond since 1973.
const SECONDS_MAX: f64 = 1e11;

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn from_seconds(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() > SECONDS_MAX { number / 1_000.0 } else { number };
    // 253402300800 is the year 10000, after which RFC 3339 has no text.
    (seconds.is_finite() && seconds > 0.0 && seconds < 253_402_300_800.0)
        .then(|| Timestamp::from_micros((seconds * 1e6).round() as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_way_of_writing_a_time_is_read() {
        let expected = at("2026-11-23T12:26:37.768Z");
        for value in [
            json!(1_795_436_797.768),
            json!(1_795_436_797_768_i64),
            json!("1795436797.768"),
            json!("2026-11-23T12:26:37.768Z"),
            json!("2026-11-23T13:26:37.768+01:00"),
            json!("2026-11-23T12:26:37.768"),
            json!("2026-11-23 12:26:37.768Z"),
        ] {
            assert_eq!(parse_timestamp(&value), Some(expected), "{value}");
        }
        assert_eq!(parse_timestamp(&json!("2026-11-23T12:26:37")), Some(at("2026-11-23T12:26:37Z")));
        assert_eq!(parse_timestamp(&json!("2026-11-23")), Some(at("2026-11-23T00:00:00Z")));
        for value in [json!("noon"), json!(-5), json!(0), json!(1e300), json!("inf"), json!([]), json!(null)]
        {
            assert_eq!(parse_timestamp(&value), None, "{value}");
        }
    }

    #[test]
    fn a_clock_that_is_off_by_more_than_a_minute_is_corrected() {
        let received = at("2026-11-23T12:00:00Z");
        let told = Some(at("2026-11-23T13:59:50Z"));
        let occurrence = correct(told, Some(at("2026-11-23T14:00:00Z")), received);
        assert_eq!(occurrence.at, at("2026-11-23T11:59:50Z"));
        assert_eq!((occurrence.correction_micros, occurrence.was_clamped), (-7_200_000_000, false));
    }

    #[test]
    fn a_small_difference_is_the_way_of_the_request_and_not_corrected() {
        let received = at("2026-11-23T12:00:00Z");
        let occurrence =
            correct(Some(at("2026-11-23T11:59:05Z")), Some(at("2026-11-23T11:59:10Z")), received);
        assert_eq!(
            occurrence,
            Occurrence { at: at("2026-11-23T11:59:05Z"), correction_micros: 0, was_clamped: false }
        );
    }

    #[test]
    fn future_and_ancient_times_are_clamped_and_marked() {
        let received = at("2026-11-23T12:00:00Z");
        let future = correct(Some(at("2030-01-01T00:00:00Z")), None, received);
        assert_eq!((future.at, future.was_clamped), (at("2026-11-23T12:10:00Z"), true));
        let ancient = correct(Some(at("2020-01-01T00:00:00Z")), None, received);
        assert_eq!((ancient.at, ancient.was_clamped), (at("2026-10-24T12:00:00Z"), true));
        let none = correct(None, Some(at("2020-01-01T00:00:00Z")), received);
        assert_eq!((none.at, none.was_clamped), (received, false));
    }

    proptest! {
        #[test]
        fn any_clock_ends_within_the_window(told in any::<i64>(), sent in any::<i64>()) {
            let received = at("2026-11-23T12:00:00Z");
            let occurrence = correct(Some(Timestamp::from_micros(told)), Some(Timestamp::from_micros(sent)), received);
            prop_assert!(occurrence.at >= at("2026-10-24T12:00:00Z") && occurrence.at <= at("2026-11-23T12:10:00Z"));
        }

        #[test]
        fn any_text_gets_an_answer(text in ".{0,40}") {
            let _ = parse_timestamp(&Value::String(text));
        }
    }
}
