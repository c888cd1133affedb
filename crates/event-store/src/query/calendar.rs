//! The calendar of a time zone: where its hours, days, weeks and months begin.

use belvedere_storage::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use super::{BUCKETS_MAX, QueriesError, Unit};
use crate::kernel::bucket::Buckets;
use crate::{TIME_END, TIME_MIN};

/// A time zone with its history.
pub(crate) struct Calendar(TimeZone);

impl Calendar {
    /// The calendar of an IANA name.
    pub(crate) fn find(name: &str) -> Result<Self, QueriesError> {
        // An offset or a rule instead of a name would be taken by the library, but is no name.
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
        let zone = is_name.then(|| TimeZone::get(name).ok()).flatten();
        zone.map(Self).ok_or_else(|| {
            QueriesError::invalid(
                "time_zone",
                "must be the name of an IANA time zone such as Europe/Berlin or UTC",
            )
        })
    }

    /// Buckets that begin where the unit does, the first and the last cut off at `from` and `until`.
    pub(crate) fn clipped(
        &self,
        unit: Unit,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Buckets, QueriesError> {
        let mut starts = vec![from.as_micros()];
        let mut at = self.start(unit, from)?;
        loop {
            at = self.next(unit, at)?;
            if at >= until {
                starts.push(until.as_micros());
                return Ok(Buckets::try_new(starts)?);
            }
            starts.push(at.as_micros());
            ensure_count(starts.len())?;
        }
    }

    /// The whole stretches of the unit that `from..until` touches, after `lead` more before them.
    pub(crate) fn whole(
        &self,
        unit: Unit,
        from: Timestamp,
        until: Timestamp,
        lead: usize,
    ) -> Result<Buckets, QueriesError> {
        let mut first = self.start(unit, from)?;
        for _ in 0..lead {
            first = self.start(unit, Timestamp::from_micros(first.as_micros() - 1))?;
        }
        let mut starts = vec![first.as_micros()];
        let mut at = first;
        while at < until {
            at = self.next(unit, at)?;
            starts.push(at.as_micros());
            ensure_count((starts.len() - 1).saturating_sub(lead))?;
        }
        Ok(Buckets::try_new(starts)?)
    }

    /// Where the unit that an instant lies in begins.
    fn start(&self, unit: Unit, at: Timestamp) -> Result<Timestamp, QueriesError> {
        let local = self.local(at)?;
        if unit == Unit::Hour {
            let since = i64::from(local.minute()) * 60 + i64::from(local.second());
            let micros = i64::from(local.subsec_nanosecond()) / 1000;
            return Ok(Timestamp::from_micros(at.as_micros() - since * 1_000_000 - micros));
        }
        let date = local.date();
        self.midnight(match unit {
            Unit::Week => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(since_monday.days()).map_err(out_of_range)?
            }
            Unit::Month => date.first_of_month(),
            Unit::Hour | Unit::Day => date,
        })
    }

    /// Where the unit after the one that begins at an instant begins.
    fn next(&self, unit: Unit, start: Timestamp) -> Result<Timestamp, QueriesError> {
        if unit == Unit::Hour {
            let hour = Timestamp::from_micros(start.as_micros() + 3_600_000_000);
            // Where clocks were changed by half an hour, the whole hour comes later.
            let local = self.local(hour)?;
            let beyond = (60 - i64::from(local.minute())) % 60 * 60 - i64::from(local.second());
            return Ok(Timestamp::from_micros(hour.as_micros() + beyond * 1_000_000));
        }
        let mut date = self.local(start)?.date();
        // A day that a zone left out has no midnight of its own.
        loop {
            let step = match unit {
                Unit::Week => 7.days(),
                Unit::Month => 1.month(),
                Unit::Hour | Unit::Day => 1.day(),
            };
            date = date.checked_add(step).map_err(out_of_range)?;
            let next = self.midnight(date)?;
            if next > start {
                return Ok(next);
            }
        }
    }

    fn local(&self, at: Timestamp) -> Result<Zoned, QueriesError> {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).map_err(out_of_range)?;
        Ok(at.to_zoned(self.0.clone()))
    }

    /// The first instant of a day, which is not midnight where clocks are put forward over it.
    fn midnight(&self, date: Date) -> Result<Timestamp, QueriesError> {
        let first = date.to_zoned(self.0.clone()).map_err(out_of_range)?;
        Ok(Timestamp::from_micros(first.timestamp().as_microsecond()))
    }
}

fn ensure_count(count: usize) -> Result<(), QueriesError> {
    if count <= BUCKETS_MAX {
        return Ok(());
    }
    Err(QueriesError::invalid("unit", format!("cuts the range into more than {BUCKETS_MAX} pieces")))
}

fn out_of_range(_: jiff::Error) -> QueriesError {
    QueriesError::invalid("from", format!("must be between {TIME_MIN} and {TIME_END}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn texts(buckets: &Buckets) -> Vec<String> {
        buckets.starts_micros().iter().map(|micros| Timestamp::from_micros(*micros).to_string()).collect()
    }

    fn clipped(zone: &str, unit: Unit, from: &str, until: &str) -> Vec<String> {
        texts(&Calendar::find(zone).unwrap().clipped(unit, at(from), at(until)).unwrap())
    }

    #[test]
    fn days_are_as_long_as_the_clocks_make_them() {
        // On 29 March 2026 clocks in Amsterdam go from 02:00 to 03:00, on 25 October from 03:00 to 02:00.
        assert_eq!(
            clipped("Europe/Amsterdam", Unit::Day, "2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z"),
            [
                "2026-03-28T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
                "2026-03-30T22:00:00Z",
                "2026-03-31T00:00:00Z"
            ]
        );
        assert_eq!(
            clipped("Europe/Amsterdam", Unit::Hour, "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z"),
            ["2026-10-24T23:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
        );
        // India's hours begin at half past in UTC; Beirut has no midnight on 29 March 2026; Samoa left out a day.
        assert_eq!(
            clipped("Asia/Kolkata", Unit::Hour, "2026-05-01T00:00:00Z", "2026-05-01T01:00:00Z"),
            ["2026-05-01T00:00:00Z", "2026-05-01T00:30:00Z", "2026-05-01T01:00:00Z"]
        );
        assert_eq!(
            clipped("Asia/Beirut", Unit::Day, "2026-03-28T00:00:00Z", "2026-03-29T23:00:00Z"),
            ["2026-03-28T00:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z", "2026-03-29T23:00:00Z"]
        );
        assert_eq!(
            clipped("Pacific/Apia", Unit::Day, "2011-12-29T12:00:00Z", "2011-12-31T11:00:00Z"),
            ["2011-12-29T12:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", "2011-12-31T11:00:00Z"]
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let calendar = Calendar::find("America/New_York").unwrap();
        let (from, until) = (at("2026-11-04T12:00:00Z"), at("2026-11-12T12:00:00Z"));
        assert_eq!(
            texts(&calendar.whole(Unit::Week, from, until, 1).unwrap()),
            ["2026-10-26T04:00:00Z", "2026-11-02T05:00:00Z", "2026-11-09T05:00:00Z", "2026-11-16T05:00:00Z"]
        );
        assert_eq!(
            texts(&calendar.whole(Unit::Month, from, until, 0).unwrap()),
            ["2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"]
        );
        // What ends where a day begins does not touch it.
        let utc = Calendar::find("UTC").unwrap();
        let day = utc.whole(Unit::Day, at("2026-11-04T00:00:00Z"), at("2026-11-05T00:00:00Z"), 0).unwrap();
        assert_eq!(texts(&day), ["2026-11-04T00:00:00Z", "2026-11-05T00:00:00Z"]);
    }

    #[test]
    fn too_many_buckets_and_what_is_no_zone_are_refused() {
        let utc = Calendar::find("UTC").unwrap();
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
        let error = utc.clipped(Unit::Hour, from, until).unwrap_err();
        assert_eq!(error.to_string(), "unit: cuts the range into more than 1000 pieces");
        assert!(utc.clipped(Unit::Day, from, until).is_ok());
        for name in ["", "Mars/Olympus", "+02:00", "../UTC"] {
            let error = Calendar::find(name).err().unwrap();
            assert!(error.to_string().starts_with("time_zone: must be the name"), "{name}");
        }
    }
}
