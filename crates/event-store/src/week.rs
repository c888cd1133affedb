//! Weeks and months of segments: a week begins on Monday, UTC, and belongs to the month of its Thursday, as an ISO week
//! belongs to the year of its Thursday.

use std::ops::Range;

use belvedere_storage::Timestamp;

const DAY_MICROS: i64 = 86_400_000_000;
const WEEK_MICROS: i64 = 7 * DAY_MICROS;

/// The week of an instant, counted from the one that began on Monday, 1969-12-29.
pub(crate) const fn week_of(micros: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (micros + 3 * DAY_MICROS).div_euclid(WEEK_MICROS)
}

/// The first instant of a week.
pub(crate) const fn start_of(week: i64) -> Timestamp {
    Timestamp::from_micros(week * WEEK_MICROS - 3 * DAY_MICROS)
}

/// The weeks of the month to which a week belongs: four or five.
pub(crate) fn month_of(week: i64) -> Range<i64> {
    let month = |week: i64| {
        let thursday = Timestamp::from_micros(week * WEEK_MICROS).to_datetime();
        (thursday.year(), thursday.month())
    };
    let this = month(week);
    let first = (week - 4..=week).find(|other| month(*other) == this).unwrap_or(week);
    let end = (week + 1..=week + 5).find(|other| month(*other) != this).unwrap_or(week + 1);
    first..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(text: &str) -> i64 {
        week_of(text.parse::<Timestamp>().unwrap().as_micros())
    }

    #[test]
    fn weeks_begin_on_monday_and_months_are_those_of_their_thursdays() {
        assert_eq!(week("1970-01-01T00:00:00Z"), 0);
        assert_eq!(week("1969-12-28T23:59:59Z"), -1);
        assert_eq!(week("2026-11-23T00:00:00Z"), week("2026-11-29T23:59:59Z"));
        assert_eq!(week("2026-11-29T23:59:59Z") + 1, week("2026-11-30T00:00:00Z"));
        assert_eq!(start_of(week("2026-11-26T12:00:00Z")).to_string(), "2026-11-23T00:00:00Z");
        // 2026-11-30 is a Monday whose Thursday lies in December.
        let november = month_of(week("2026-11-28T00:00:00Z"));
        assert_eq!(start_of(november.start).to_string(), "2026-11-02T00:00:00Z");
        assert_eq!(start_of(november.end).to_string(), "2026-11-30T00:00:00Z");
        let december = month_of(week("2026-12-31T00:00:00Z"));
        assert_eq!((december.start, december.end - december.start), (november.end, 5));
    }
}
