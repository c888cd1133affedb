//! Crontab expressions: which minutes they name.
//!
//! Source: crontab(5) of cron 3.0 (Vixie) with the names and short forms that everybody writes. A day matches when
//! its day of the month or its weekday is named, if both fields are restricted; else when the restricted one is.

use std::fmt;

/// The longest expression, in characters.
const CHARS_MAX: usize = 200;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const SHORT_FORMS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Why text is not a crontab expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CrontabError(pub(super) String);

/// A crontab expression that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crontab {
    text: String,
    minutes: u64,
    hours: u32,
    days: u32,
    months: u16,
    weekdays: u8,
    are_days_restricted: bool,
    are_weekdays_restricted: bool,
    /// Whether the hours are `*` or `*/n`, which means real time and not times of day.
    is_hourly: bool,
}

struct Field {
    what: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { what: "minute", least: 0, most: 59, names: &[] },
    Field { what: "hour", least: 0, most: 23, names: &[] },
    Field { what: "day of the month", least: 1, most: 31, names: &[] },
    Field { what: "month", least: 1, most: 12, names: &MONTHS },
    Field { what: "weekday", least: 0, most: 7, names: &WEEKDAYS },
];

impl Crontab {
    /// Reads `minute hour day month weekday`, or a short form such as `@daily`.
    ///
    /// # Errors
    /// Which field is wrong, and why; also for a day that no month has.
    pub fn parse(text: &str) -> Result<Self, CrontabError> {
        let text = text.trim();
        if text.chars().count() > CHARS_MAX {
            return Err(CrontabError(format!("the crontab is longer than {CHARS_MAX} characters")));
        }
        let lower = text.to_ascii_lowercase();
        let whole =
            SHORT_FORMS.iter().find(|(short, _)| *short == lower).map_or(lower.as_str(), |(_, long)| long);
        let parts: Vec<&str> = whole.split_ascii_whitespace().collect();
        let Ok([minute, hour, day, month, weekday]) = <[&str; 5]>::try_from(parts.as_slice()) else {
            return Err(CrontabError(format!(
                "a crontab has five fields (minute hour day month weekday) or is one of @hourly, @daily, @weekly, \
                 @monthly, @yearly; this has {}",
                parts.len()
            )));
        };
        let mut bits = [0_u64; 5];
        for ((bits, field), part) in bits.iter_mut().zip(&FIELDS).zip([minute, hour, day, month, weekday]) {
            *bits = field.parse(part)?;
        }
        let [minutes, hours, days, months, weekdays] = bits;
        let is_star = |part: &str| part.starts_with(['*', '?']);
        let narrow = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        let crontab = Self {
            text: text.to_owned(),
            minutes,
            hours: narrow(hours),
            days: narrow(days),
            months: u16::try_from(months & 0x1fff).unwrap_or(0),
            // Sunday is 0 and 7.
            weekdays: u8::try_from((weekdays | weekdays >> 7) & 0x7f).unwrap_or(0),
            are_days_restricted: !is_star(day),
            are_weekdays_restricted: !is_star(weekday),
            is_hourly: is_star(hour),
        };
        if !crontab.has_a_day() {
            return Err(CrontabError("no month that is named has a day that is named".to_owned()));
        }
        Ok(crontab)
    }

    /// Whether it names a day that exists in some year.
    fn has_a_day(&self) -> bool {
        const LENGTHS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        (1_u8..=12).zip(LENGTHS).any(|(month, length)| {
            self.has_month(month) && (1..=length).any(|day| (0..7).any(|weekday| self.has_day(day, weekday)))
        })
    }

    /// Whether the month (1 to 12) is named.
    pub(super) fn has_month(&self, month: u8) -> bool {
        self.months >> month & 1 == 1
    }

    /// Whether a day is named, by its number in the month (1 to 31) and its weekday (0 to 6 from Sunday).
    pub(super) fn has_day(&self, day: u8, weekday: u8) -> bool {
        let by_day = self.days >> day & 1 == 1;
        let by_weekday = self.weekdays >> weekday & 1 == 1;
        match (self.are_days_restricted, self.are_weekdays_restricted) {
            (true, true) => by_day || by_weekday,
            // A step such as */2 begins with a star and restricts all the same.
            _ => by_day && by_weekday,
        }
    }

    /// The times of day that are named, in order, from `hour` on.
    pub(super) fn times_from(&self, hour: u8) -> impl Iterator<Item = (u8, u8)> {
        let (hours, minutes) = (self.hours, self.minutes);
        (hour..24).filter(move |hour| hours >> hour & 1 == 1).flat_map(move |hour| {
            (0..60).filter(move |minute| minutes >> minute & 1 == 1).map(move |minute| (hour, minute))
        })
    }

    /// Whether it runs by real time (every n hours) and not at times of day.
    pub(super) fn is_hourly(&self) -> bool {
        self.is_hourly
    }
}

/// As it was written.
impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, CrontabError> {
        let mut bits = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step)?)),
                None => (part, None),
            };
            let (first, last) = match range {
                "*" | "?" => (self.least, self.most.min(if self.most == 7 { 6 } else { self.most })),
                _ => match range.split_once('-') {
                    Some((first, last)) => (self.value(first)?, self.value(last)?),
                    // 5/10 means from 5 on.
                    None if step.is_some() => (self.value(range)?, self.most),
                    None => {
                        let value = self.value(range)?;
                        (value, value)
                    }
                },
            };
            if first > last {
                return Err(self.wrong(part, "begins after its end"));
            }
            for value in (first..=last).step_by(usize::from(step.unwrap_or(1))) {
                bits |= 1 << value;
            }
        }
        Ok(bits)
    }

    fn value(&self, text: &str) -> Result<u8, CrontabError> {
        if let Some(at) = self.names.iter().position(|name| *name == text) {
            // Months are named from 1, weekdays from 0.
            return Ok(u8::try_from(at).unwrap_or(0) + self.least);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|_| is_number);
        value
            .filter(|value| (self.least..=self.most).contains(value))
            .ok_or_else(|| self.wrong(text, &format!("is not from {} to {}", self.least, self.most)))
    }

    fn step(&self, text: &str) -> Result<u8, CrontabError> {
        let step = text.parse().ok().filter(|step| (1..=self.most).contains(step));
        step.ok_or_else(|| self.wrong(text, &format!("is no step from 1 to {}", self.most)))
    }

    fn wrong(&self, text: &str, why: &str) -> CrontabError {
        let text: String = text.chars().take(20).collect();
        CrontabError(format!("{}: \"{text}\" {why}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Crontab::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn fields_have_lists_ranges_steps_and_names() {
        let crontab = Crontab::parse(" 1,5-7,*/30 9-17/4 1 JAN,mar-may MON-fri ").unwrap();
        let times: Vec<_> = crontab.times_from(0).collect();
        assert_eq!(
            times,
            [
                (9, 0),
                (9, 1),
                (9, 5),
                (9, 6),
                (9, 7),
                (9, 30),
                (13, 0),
                (13, 1),
                (13, 5),
                (13, 6),
                (13, 7),
                (13, 30),
                (17, 0),
                (17, 1),
                (17, 5),
                (17, 6),
                (17, 7),
                (17, 30)
            ]
        );
        let months: Vec<u8> = (1..=12).filter(|month| crontab.has_month(*month)).collect();
        assert_eq!(months, [1, 3, 4, 5]);
        assert_eq!(crontab.to_string(), "1,5-7,*/30 9-17/4 1 JAN,mar-may MON-fri");
        let minutes = |text: &str| {
            Crontab::parse(text).unwrap().times_from(23).map(|(_, minute)| minute).collect::<Vec<_>>()
        };
        assert_eq!(minutes("5/20 * * * *"), [5, 25, 45]);
        assert_eq!(minutes("@hourly"), [0]);
    }

    #[test]
    fn day_and_weekday_are_alternatives_only_where_both_are_restricted() {
        let matches = |text: &str, day, weekday| Crontab::parse(text).unwrap().has_day(day, weekday);
        let both = "0 0 13 * 5";
        assert!(matches(both, 13, 1) && matches(both, 20, 5) && !matches(both, 20, 1));
        assert!(matches("0 0 13 * *", 13, 1) && !matches("0 0 13 * *", 20, 5));
        assert!(matches("0 0 * * 7", 20, 0) && matches("0 0 ? * sun", 20, 0) && !matches("0 0 * * 7", 20, 6));
        assert!(
            matches("0 0 */2 * 1", 3, 1) && !matches("0 0 */2 * 1", 3, 2) && !matches("0 0 */2 * 1", 4, 1)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        assert_eq!(refused("60 * * * *"), "minute: \"60\" is not from 0 to 59");
        assert_eq!(refused("* 24 * * *"), "hour: \"24\" is not from 0 to 23");
        assert_eq!(refused("* * 0 * *"), "day of the month: \"0\" is not from 1 to 31");
        assert_eq!(refused("* * L * *"), "day of the month: \"l\" is not from 1 to 31");
        assert_eq!(refused("* * * foo *"), "month: \"foo\" is not from 1 to 12");
        assert_eq!(refused("* * * * 8"), "weekday: \"8\" is not from 0 to 7");
        assert_eq!(refused("*/0 * * * *"), "minute: \"0\" is no step from 1 to 59");
        assert_eq!(refused("9-5 * * * *"), "minute: \"9-5\" begins after its end");
        assert_eq!(refused("+5 * * * *"), "minute: \"+5\" is not from 0 to 59");
        assert_eq!(refused("0 0 30 2 *"), "no month that is named has a day that is named");
        assert!(refused("* * * *").ends_with("this has 4"));
        assert!(refused("").ends_with("this has 0"));
        assert!(refused(&"1,".repeat(101)).starts_with("the crontab is longer than 200"));
    }
}
