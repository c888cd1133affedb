//! When the next run of a monitored job is due.
//!
//! Daylight saving time, as Vixie's cron has it: a time of day that the clocks skip is due at once when they have
//! skipped it, one that they repeat is due the first time only. Jobs that run every hour or minute go by real time.

use std::fmt;
use std::str::FromStr;

use belvedere_storage::Timestamp;
use jiff::civil::{self, Weekday};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{ToSpan, Zoned};

use super::crontab::{Crontab, CrontabError};

/// How far ahead the next run is looked for: 29 February of a given weekday comes every 28 years, 40 around 2100.
const DAYS_MAX: usize = 41 * 366;

/// The longest interval, in its unit.
const EVERY_MAX: u32 = 10_000;

/// What an interval is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalUnit {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// The same time on another day.
    Day,
    /// Seven days.
    Week,
    /// The same day of another month, or its last day.
    Month,
    /// The same day of another year.
    Year,
}

impl IntervalUnit {
    /// Every unit, the shortest first.
    pub const ALL: [Self; 6] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The unit as a word: `minute`, `hour`, `day`, `week`, `month`, `year`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// How often a monitored job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At the times that a crontab expression names.
    Crontab(Crontab),
    /// So long after the run before.
    Interval {
        /// How many units; at least 1.
        every: u32,
        /// Of what.
        unit: IntervalUnit,
    },
}

impl Schedule {
    /// An interval.
    ///
    /// # Errors
    /// When it is not from 1 to 10,000 of a known unit.
    pub fn interval(every: u32, unit: &str) -> Result<Self, CrontabError> {
        let known = IntervalUnit::ALL.into_iter().find(|known| known.as_str() == unit);
        let unit = known.ok_or_else(|| {
            CrontabError("the unit of an interval is minute, hour, day, week, month or year".to_owned())
        })?;
        if !(1..=EVERY_MAX).contains(&every) {
            return Err(CrontabError(format!("an interval is from 1 to {EVERY_MAX} of its unit")));
        }
        Ok(Self::Interval { every, unit })
    }

    /// The first time after `after` at which a run is due; `None` only beyond the calendar's end.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_microsecond(after.as_micros()).ok()?.to_zoned(zone.0.clone());
        let next = match self {
            Self::Crontab(crontab) => next_of_crontab(crontab, &from)?,
            Self::Interval { every, unit } => {
                let every = i64::from(*every);
                let span = match unit {
                    IntervalUnit::Minute => every.minutes(),
                    IntervalUnit::Hour => every.hours(),
                    IntervalUnit::Day => every.days(),
                    IntervalUnit::Week => every.weeks(),
                    IntervalUnit::Month => every.months(),
                    IntervalUnit::Year => every.years(),
                };
                from.checked_add(span).ok()?.timestamp()
            }
        };
        Some(Timestamp::from_micros(next.as_microsecond()))
    }

    /// The form that is stored: a crontab as it is, an interval as `15 minute`.
    #[must_use]
    pub fn to_stored(&self) -> String {
        match self {
            Self::Crontab(crontab) => crontab.to_string(),
            Self::Interval { every, unit } => format!("{every} {}", unit.as_str()),
        }
    }
}

/// The reverse of [`Schedule::to_stored`].
impl FromStr for Schedule {
    type Err = CrontabError;

    fn from_str(text: &str) -> Result<Self, CrontabError> {
        if let Some((every, unit)) = text.split_once(' ')
            && let Ok(every) = every.parse()
            && unit.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            return Self::interval(every, unit);
        }
        Crontab::parse(text).map(Self::Crontab)
    }
}

/// The crontab, or `every 15 minutes`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crontab(crontab) => crontab.fmt(f),
            Self::Interval { every: 1, unit } => write!(f, "every {}", unit.as_str()),
            Self::Interval { every, unit } => write!(f, "every {every} {}s", unit.as_str()),
        }
    }
}

/// A time zone of the IANA database.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, such as `Europe/Amsterdam` or `UTC`; `None` if there is none.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        // An offset or a rule instead of a name would be taken by the library, but is no name.
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
        is_name.then(|| TimeZone::get(name).ok()).flatten().map(Self)
    }

    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }
}

fn next_of_crontab(crontab: &Crontab, from: &Zoned) -> Option<jiff::Timestamp> {
    let after = from.timestamp();
    let mut date = from.date();
    // The clocks may have been set back by up to three hours since; earlier times of the first day cannot matter.
    let mut first_hour = u8::try_from(from.hour()).unwrap_or(0).saturating_sub(3);
    for _ in 0..DAYS_MAX {
        let month = u8::try_from(date.month()).unwrap_or(0);
        if !crontab.has_month(month) {
            date = date.last_of_month().tomorrow().ok()?;
            first_hour = 0;
            continue;
        }
        if crontab.has_day(u8::try_from(date.day()).unwrap_or(0), weekday_of(date)) {
            let mut first: Option<jiff::Timestamp> = None;
            for (hour, minute) in crontab.times_from(first_hour) {
                let local = date.at(i8::try_from(hour).unwrap_or(0), i8::try_from(minute).unwrap_or(0), 0, 0);
                let due = instants(local, from.time_zone(), crontab.is_hourly());
                let due = due.into_iter().flatten().filter(|due| *due > after).min();
                first = match (first, due) {
                    (Some(first), Some(due)) => Some(first.min(due)),
                    (first, due) => first.or(due),
                };
                // Three hours on, no repeated time can come before what is found.
                if let Some(found) = first
                    && due.is_some_and(|due| due.duration_since(found).as_hours() >= 3)
                {
                    break;
                }
            }
            if first.is_some() {
                return first;
            }
        }
        date = date.tomorrow().ok()?;
        first_hour = 0;
    }
    None
}

fn weekday_of(date: civil::Date) -> u8 {
    match date.weekday() {
        Weekday::Sunday => 0,
        Weekday::Monday => 1,
        Weekday::Tuesday => 2,
        Weekday::Wednesday => 3,
        Weekday::Thursday => 4,
        Weekday::Friday => 5,
        Weekday::Saturday => 6,
    }
}

/// At which instants a local time is due.
fn instants(local: civil::DateTime, zone: &TimeZone, is_hourly: bool) -> [Option<jiff::Timestamp>; 2] {
    let at = |offset: Offset| offset.to_timestamp(local).ok();
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
        // By real time both are an hour; as a time of day it was due the first time.
        AmbiguousOffset::Fold { before, after } => [at(before), if is_hourly { at(after) } else { None }],
        AmbiguousOffset::Gap { .. } if is_hourly => [None, None],
        AmbiguousOffset::Gap { after, .. } => {
            // The first instant after the gap: the transition that follows the time read with the later offset.
            let before_gap = at(after);
            [
                before_gap.and_then(|at| zone.following(at).next()).map(|transition| transition.timestamp()),
                None,
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next `count` runs after `from`, as local times with their offsets.
    fn runs(schedule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule: Schedule = schedule.parse().unwrap();
        let zone = Zone::find(zone).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = schedule.next_after(at, &zone).unwrap();
            let local = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap().to_zoned(zone.0.clone());
            found.push(local.strftime("%Y-%m-%d %H:%M%:z").to_string());
        }
        found
    }

    #[test]
    fn crontabs_name_their_minutes() {
        let utc = |text, from, count| runs(text, "UTC", from, count);
        assert_eq!(
            utc("*/15 * * * *", "2026-11-25T10:14:59.9Z", 3),
            ["2026-11-25 10:15+00:00", "2026-11-25 10:30+00:00", "2026-11-25 10:45+00:00"]
        );
        assert_eq!(utc("*/15 * * * *", "2026-11-25T10:15:00Z", 1), ["2026-11-25 10:30+00:00"]);
        assert_eq!(
            utc("30 2 * * 1-5", "2026-11-27T02:30:00Z", 2),
            ["2026-11-30 02:30+00:00", "2026-12-01 02:30+00:00"]
        );
        assert_eq!(
            utc("0 0 29 2 *", "2026-03-01T00:00:00Z", 2),
            ["2028-02-29 00:00+00:00", "2032-02-29 00:00+00:00"]
        );
        assert_eq!(
            utc("0 0 31 * *", "2026-01-31T00:00:00Z", 2),
            ["2026-03-31 00:00+00:00", "2026-05-31 00:00+00:00"]
        );
        assert_eq!(
            utc("0 0 13 * fri", "2026-11-12T00:00:00Z", 2),
            ["2026-11-13 00:00+00:00", "2026-11-20 00:00+00:00"]
        );
        assert_eq!(utc("@monthly", "2026-12-25T00:00:00Z", 1), ["2027-01-01 00:00+00:00"]);
        assert_eq!(utc("59 23 31 12 *", "2026-12-31T23:59:00Z", 1), ["2027-12-31 23:59+00:00"]);
        assert_eq!(runs("0 3 * * *", "Asia/Kolkata", "2026-11-25T00:00:00Z", 1), ["2026-11-26 03:00+05:30"]);
    }

    #[test]
    fn a_skipped_time_of_day_is_due_when_the_clocks_have_skipped_it() {
        // Berlin: 29 March 2026, 02:00 becomes 03:00.
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28 02:30+01:00", "2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00"]
        );
        assert_eq!(
            runs("0,30 2 * * *", "Europe/Berlin", "2026-03-28T02:00:00Z", 2),
            ["2026-03-29 03:00+02:00", "2026-03-30 02:00+02:00"]
        );
        assert_eq!(
            runs("0,30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3),
            ["2026-03-29 01:30+01:00", "2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00"]
        );
        // Lord Howe skips half an hour: 4 October 2026, 02:00 becomes 02:30.
        assert_eq!(
            runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
            ["2026-10-04 02:30+11:00", "2026-10-05 02:15+11:00"]
        );
    }

    #[test]
    fn a_repeated_time_of_day_is_due_once_and_a_repeated_hour_twice() {
        // Berlin: 25 October 2026, 03:00 becomes 02:00.
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"]
        );
        assert_eq!(
            runs("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4),
            [
                "2026-10-25 01:30+02:00",
                "2026-10-25 02:30+02:00",
                "2026-10-25 02:30+01:00",
                "2026-10-25 03:30+01:00"
            ]
        );
        assert_eq!(
            runs("0,45 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4),
            [
                "2026-10-25 02:45+02:00",
                "2026-10-25 02:00+01:00",
                "2026-10-25 02:45+01:00",
                "2026-10-25 03:00+01:00"
            ]
        );
    }

    #[test]
    fn every_hour_of_a_year_has_its_run_in_every_kind_of_zone() {
        for zone in [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Pacific/Apia",
        ] {
            let zone = Zone::find(zone).unwrap();
            let minutely: Schedule = "*/30 * * * *".parse().unwrap();
            let mut at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            let mut runs = 0;
            while at < "2027-01-01T00:00:00Z".parse().unwrap() {
                let next = minutely.next_after(at, &zone).unwrap();
                assert!(next.since(at).as_secs() <= 1_800 && next > at, "{at} {next} {zone:?}");
                at = next;
                runs += 1;
            }
            // Where hours begin at a quarter past, the year ends within a half hour.
            assert!((365 * 48..=365 * 48 + 1).contains(&runs), "{runs} {zone:?}");
        }
    }

    #[test]
    fn intervals_follow_the_calendar_of_the_zone() {
        let next = |text, zone, from| runs(text, zone, from, 1).remove(0);
        assert_eq!(next("15 minute", "UTC", "2026-11-25T10:07:00Z"), "2026-11-25 10:22+00:00");
        assert_eq!(next("1 day", "Europe/Berlin", "2026-03-28T11:00:00Z"), "2026-03-29 12:00+02:00");
        assert_eq!(next("24 hour", "Europe/Berlin", "2026-03-28T11:00:00Z"), "2026-03-29 13:00+02:00");
        assert_eq!(next("2 week", "UTC", "2026-11-25T10:07:00Z"), "2026-12-09 10:07+00:00");
        assert_eq!(next("1 month", "UTC", "2026-01-31T06:00:00Z"), "2026-02-28 06:00+00:00");
        assert_eq!(next("1 year", "UTC", "2028-02-29T06:00:00Z"), "2029-02-28 06:00+00:00");
    }

    #[test]
    fn schedules_are_stored_as_text_and_nonsense_is_refused() {
        for text in ["0 3 * * *", "15 minute", "@daily", "1 month"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_stored(), text);
        }
        let shown =
            ["15 minute", "1 day", "@daily"].map(|text| text.parse::<Schedule>().unwrap().to_string());
        assert_eq!(shown, ["every 15 minutes", "every day", "@daily"]);
        assert!(Schedule::interval(0, "day").is_err() && Schedule::interval(10_001, "day").is_err());
        assert!(Schedule::interval(1, "fortnight").is_err() && "5 lightyear".parse::<Schedule>().is_err());
        assert!(Zone::find("Mars/Olympus").is_none() && Zone::find("../etc/passwd").is_none());
        assert!(Zone::find("").is_none() && Zone::find("Etc/GMT+5").is_some());
    }
}
