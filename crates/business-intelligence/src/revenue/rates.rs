//! Rates of exchange by day, as they were imported.

use std::collections::HashMap;

use super::currency::Currency;
use super::monthly::divide;

/// A rate of 1, in the integers that rates are kept as.
pub const RATE_ONE: i64 = 1_000_000_000;
/// The greatest rate.
pub const RATE_MAX: i64 = 1_000_000 * RATE_ONE;

const DAY_MICROS: i64 = 86_400_000_000;

/// The day of an instant in UTC, numbered since 1970-01-01: what rates go by.
#[must_use]
pub fn rate_day(micros: i64) -> i64 {
    micros.div_euclid(DAY_MICROS)
}

/// A day as `2026-11-29`.
#[must_use]
pub fn show_day(day: i64) -> String {
    let at = jiff::Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or_default();
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// The number of a day such as `2026-11-29`.
#[must_use]
pub fn read_day(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
    let at = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(at.as_second().div_euclid(86_400))
}

/// A decimal such as `1.0832` in billionths, more than 0 and at most [`RATE_MAX`].
///
/// # Errors
/// What is wrong with it.
pub fn read_rate(text: &str) -> Result<i64, String> {
    let wrong = || "must be a decimal such as 1.0832, of at most 9 decimals".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return Err(wrong());
    }
    let rate = format!("{whole}{part:0<9}").parse::<i64>().map_err(|_| wrong())?;
    if rate == 0 || rate > RATE_MAX {
        return Err(format!("must be more than 0 and at most {}", RATE_MAX / RATE_ONE));
    }
    Ok(rate)
}

/// How much of another currency one unit of a currency was worth on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The day in UTC, numbered since 1970-01-01.
    pub day: i64,
    /// One unit of this,
    pub from: Currency,
    /// in this.
    pub to: Currency,
    /// Billionths: 1.0832 is 1,083,200,000.
    pub billionths: i64,
}

/// There is no rate for a day, and none is guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no rate from {from} to {to} for {}", show_day(*day))]
pub struct MissingRate {
    /// The day in UTC, numbered since 1970-01-01.
    pub day: i64,
    /// From this currency
    pub from: Currency,
    /// to this one.
    pub to: Currency,
}

/// The rates to one currency.
#[derive(Debug, Clone)]
pub struct Rates {
    to: Currency,
    by_day: HashMap<(i64, Currency), i64>,
}

impl Rates {
    /// Those of `rates` that lead to `to`.
    pub fn new(to: Currency, rates: impl IntoIterator<Item = Rate>) -> Self {
        let own = rates.into_iter().filter(|rate| rate.to == to);
        Self { to, by_day: own.map(|rate| ((rate.day, rate.from), rate.billionths)).collect() }
    }

    /// What it is converted to.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.to
    }

    /// An amount at the rate of a day, in minor units, to the nearest, halves away from zero.
    ///
    /// # Errors
    /// [`MissingRate`] names the day and the pair. Nothing is nothing at any rate.
    pub fn convert(&self, minor: i64, from: Currency, day: i64) -> Result<i64, MissingRate> {
        if from == self.to || minor == 0 {
            return Ok(minor);
        }
        let rate = self.by_day.get(&(day, from)).copied();
        let rate = rate.ok_or(MissingRate { day, from, to: self.to })?;
        let ten = |digits: u32| 10_i128.pow(digits);
        let numerator = i128::from(minor) * i128::from(rate) * ten(self.to.digits());
        let converted = divide(numerator, i128::from(RATE_ONE) * ten(from.digits()));
        Ok(i64::try_from(converted).unwrap_or(if minor < 0 { i64::MIN } else { i64::MAX }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Currency {
        Currency::find(code).unwrap()
    }

    #[test]
    fn amounts_are_converted_by_the_rate_of_their_day() {
        let day = read_day("2026-11-29").unwrap();
        let rate = |from, text: &str| Rate {
            day,
            from: of(from),
            to: of("EUR"),
            billionths: read_rate(text).unwrap(),
        };
        let rates = Rates::new(of("EUR"), [rate("USD", "0.9"), rate("JPY", "0.0061")]);
        assert_eq!(rates.convert(1_000, of("USD"), day), Ok(900));
        assert_eq!(rates.convert(-1_005, of("USD"), day), Ok(-905));
        // 1,000 yen are 6.10 euro.
        assert_eq!(rates.convert(1_000, of("JPY"), day), Ok(610));
        assert_eq!(rates.convert(1_000, of("EUR"), 0), Ok(1_000));
        let missing = rates.convert(1, of("USD"), day + 1).unwrap_err();
        assert_eq!(missing.to_string(), "there is no rate from USD to EUR for 2026-11-30");
    }

    #[test]
    fn days_and_rates_are_read_and_refused() {
        assert_eq!(read_day("1970-01-02"), Some(1));
        assert_eq!(show_day(read_day("2024-02-29").unwrap()), "2024-02-29");
        assert_eq!((read_day("2026-13-01"), read_day("20261129"), read_day("")), (None, None, None));
        assert_eq!(read_rate("1.0832"), Ok(1_083_200_000));
        assert_eq!(read_rate("157"), Ok(157 * RATE_ONE));
        for text in ["", "0", "0.0", "-1", "1.", ".5", "1,5", "1.0000000001", "1000001"] {
            assert!(read_rate(text).is_err(), "{text}");
        }
    }
}
