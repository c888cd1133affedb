//! The calendar of a project: where its days, weeks, months and quarters begin.

use belvedere_storage::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};

use crate::BusinessError;

/// A stretch of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeriodUnit {
    /// From midnight to midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
    /// Three months, from January, April, July or October.
    Quarter,
}

impl PeriodUnit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Quarter];

    /// The unit as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
        }
    }

    /// The unit that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == word)
    }

    fn span(self, count: i64) -> Span {
        let span = match self {
            Self::Day => Span::new().try_days(count),
            Self::Week => Span::new().try_weeks(count),
            Self::Month => Span::new().try_months(count),
            Self::Quarter => Span::new().try_months(count.saturating_mul(3)),
        };
        span.unwrap_or_default()
    }
}

/// The calendar of a time zone.
#[derive(Debug, Clone)]
pub struct Calendar(TimeZone);

/// That of UTC.
impl Default for Calendar {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

fn beyond(_: jiff::Error) -> BusinessError {
    BusinessError::invalid("period", "is beyond the calendar")
}

impl Calendar {
    /// The calendar of a time zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self(zone)
    }

    /// The calendar of the time zone of an IANA name; none where there is no such zone.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The IANA name of its time zone.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    fn local(&self, at: Timestamp) -> Result<Zoned, BusinessError> {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).map_err(beyond)?;
        Ok(at.to_zoned(self.0.clone()))
    }

    fn midnight(&self, date: Date) -> Result<Timestamp, BusinessError> {
        let start = date.to_zoned(self.0.clone()).and_then(|at| at.start_of_day()).map_err(beyond)?;
        Ok(Timestamp::from_micros(start.timestamp().as_microsecond()))
    }

    fn date(&self, unit: PeriodUnit, at: Timestamp) -> Result<Date, BusinessError> {
        let date = self.local(at)?.date();
        match unit {
            PeriodUnit::Day => Ok(date),
            PeriodUnit::Week => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(PeriodUnit::Day.span(since_monday)).map_err(beyond)
            }
            PeriodUnit::Month => Ok(date.first_of_month()),
            PeriodUnit::Quarter => {
                let since = i64::from((date.month() - 1) % 3);
                date.first_of_month().checked_sub(PeriodUnit::Month.span(since)).map_err(beyond)
            }
        }
    }

    /// Where the period that an instant lies in begins.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] beyond the years that there are.
    pub fn start(&self, unit: PeriodUnit, at: Timestamp) -> Result<Timestamp, BusinessError> {
        self.midnight(self.date(unit, at)?)
    }

    /// Where the period begins that is so many after that of an instant; before it if negative.
    ///
    /// # Errors
    /// As [`Calendar::start`].
    pub fn shifted(&self, unit: PeriodUnit, at: Timestamp, count: i64) -> Result<Timestamp, BusinessError> {
        self.midnight(self.date(unit, at)?.checked_add(unit.span(count)).map_err(beyond)?)
    }

    /// The begins of the last periods up to that of an instant, and its end: one more than `count`.
    ///
    /// # Errors
    /// As [`Calendar::start`].
    pub fn last(
        &self,
        unit: PeriodUnit,
        at: Timestamp,
        count: usize,
    ) -> Result<Vec<Timestamp>, BusinessError> {
        let count = i64::try_from(count).unwrap_or(1);
        (1 - count..=1).map(|number| self.shifted(unit, at, number)).collect()
    }

    /// The day of an instant, such as `2026-11-29`.
    ///
    /// # Errors
    /// As [`Calendar::start`].
    pub fn show(&self, at: Timestamp) -> Result<String, BusinessError> {
        Ok(self.local(at)?.date().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_where_the_zone_says() {
        let calendar = Calendar::new(TimeZone::get("Europe/Amsterdam").unwrap());
        // Sunday evening in UTC, Monday in Amsterdam.
        let at: Timestamp = "2026-03-29T22:30:00Z".parse().unwrap();
        for (unit, start, before) in [
            (PeriodUnit::Day, "2026-03-29T22:00:00Z", "2026-03-28T23:00:00Z"),
            (PeriodUnit::Week, "2026-03-29T22:00:00Z", "2026-03-22T23:00:00Z"),
            (PeriodUnit::Month, "2026-02-28T23:00:00Z", "2026-01-31T23:00:00Z"),
            (PeriodUnit::Quarter, "2025-12-31T23:00:00Z", "2025-09-30T22:00:00Z"),
        ] {
            assert_eq!(calendar.start(unit, at).unwrap().to_string(), start);
            assert_eq!(calendar.shifted(unit, at, -1).unwrap().to_string(), before);
        }
        let last = calendar.last(PeriodUnit::Month, at, 2).unwrap();
        let shown: Vec<_> = last.iter().map(|at| calendar.show(*at).unwrap()).collect();
        assert_eq!(shown, ["2026-02-01", "2026-03-01", "2026-04-01"]);
    }
}
