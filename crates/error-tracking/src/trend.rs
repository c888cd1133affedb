//! How much an issue rises: its events of about the last day, against those of about the last week. No I/O.
//!
//! Two sums in which an event counts half after a day, and after a week. They are kept by forward decay (Cormode,
//! Shkapenyuk, Srivastava and Xu, "Forward decay: a practical time decay model for streaming systems", 2009): an event of
//! the hour `t` has the weight `2^(t / half-life)`, so that nothing ages and the passing of time leaves every order as it
//! is. The sums grow without bound, and are kept as logarithms.

/// The half-lives, in hours.
const DAY: f64 = 24.0;
const WEEK: f64 = 168.0;

/// A logarithm to the base 2 is kept as an integer in units of `2^-32`.
const UNIT: f64 = 4_294_967_296.0;

/// By how much the week weighs against the day: with 1 a first event would rise as much as a thousand at once, with 0
/// what is always large would rise most.
const AGAINST: f64 = 0.75;

/// The decayed sums of an issue's events, as logarithms. Zero stands for no event: the weights of today are about
/// `2^20000`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heat {
    pub(crate) day: i64,
    pub(crate) week: i64,
}

impl Heat {
    /// Adds `events` of an hour, counted from 1970. Hours before 1970 count as its first one.
    pub(crate) fn add(&mut self, hour: i64, events: i64) {
        if events > 0 {
            let (hour, events) = (hour.max(0) as f64, (events as f64).log2());
            self.day = sum(self.day, hour / DAY + events);
            self.week = sum(self.week, hour / WEEK + events);
        }
    }

    /// By this, the larger the more it rises, issues are ordered.
    pub(crate) fn trend(self) -> i64 {
        self.day - (self.week as f64 * AGAINST) as i64
    }
}

/// The logarithm of the sum of two numbers that are given by theirs.
fn sum(kept: i64, added: f64) -> i64 {
    let kept = kept as f64 / UNIT;
    let (larger, smaller) = if kept > added { (kept, added) } else { (added, kept) };
    ((larger + (smaller - larger).exp2().ln_1p() * std::f64::consts::LOG2_E) * UNIT) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour of the year 2026.
    const NOW: i64 = 498_000;

    fn heat(events: &[(i64, i64)]) -> Heat {
        let mut heat = Heat::default();
        for (hours_ago, events) in events {
            heat.add(NOW - hours_ago, *events);
        }
        heat
    }

    #[test]
    fn sums_are_those_of_decayed_events() {
        let heat = heat(&[(0, 3), (24, 4), (48, 8)]);
        let day = heat.day as f64 / UNIT - NOW as f64 / DAY;
        assert!((day.exp2() - 7.0).abs() < 1e-6, "{day}");
        let week = heat.week as f64 / UNIT - NOW as f64 / WEEK;
        let expected = 3.0 + 4.0 * (-1.0_f64 / 7.0).exp2() + 8.0 * (-2.0_f64 / 7.0).exp2();
        assert!((week.exp2() - expected).abs() < 1e-6, "{week}");
        assert_eq!(Heat::default().trend(), 0);
    }

    #[test]
    fn order_of_arrival_and_batches_make_no_difference() {
        let one = heat(&[(0, 5), (30, 2), (400, 1_000)]);
        let other = heat(&[(400, 600), (30, 1), (0, 4), (400, 400), (0, 1), (30, 1)]);
        assert!((one.day - other.day).abs() < 16 && (one.week - other.week).abs() < 16, "{one:?} {other:?}");
        let mut many = Heat::default();
        for _ in 0..100_000 {
            many.add(NOW, 1);
        }
        let once = heat(&[(0, 100_000)]);
        assert!((many.day - once.day).abs() < 100_000, "{many:?} {once:?}");
    }

    #[test]
    fn what_grows_rises_more_than_what_is_large() {
        let daily: Vec<(i64, i64)> = (0..60).map(|day| (day * 24, 1_000)).collect();
        let ladder = [
            // A thousand at once, of something new.
            heat(&[(0, 1_000)]),
            // Twenty, of something new.
            heat(&[(1, 20)]),
            // As large as ever.
            heat(&daily),
            // A thousand at once, two days ago.
            heat(&[(48, 1_000)]),
            // Three new ones, three after one, two and two, one after four.
            heat(&[(1, 3)]),
            heat(&[(1, 3), (27, 1)]),
            heat(&[(1, 2), (27, 2)]),
            heat(&[(1, 1), (27, 4)]),
            // One, two weeks ago; nothing.
            heat(&[(336, 1)]),
            heat(&[]),
        ];
        assert!(ladder.is_sorted_by(|left, right| left.trend() > right.trend()), "{ladder:?}");
    }
}
