//! How a learner works in a course: how often, for how long at a time, and how regularly. No I/O.

use std::collections::BTreeSet;

use serde::Serialize;

/// Over how many weeks engagement is looked at.
pub const WEEKS: i64 = 8;
/// Events farther apart than this are in different sessions.
pub const SESSION_GAP_MICROS: i64 = 30 * 60 * 1_000_000;
/// With fewer active days than this, nothing is said about regularity.
pub const ACTIVE_DAYS_MIN: usize = 8;

/// How a learner worked in a course in the last [`WEEKS`] weeks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Engagement {
    /// Events.
    pub actions: u64,
    /// Stretches of events with no gap over half an hour.
    pub sessions: u64,
    /// Those by week.
    pub sessions_per_week: f64,
    /// Events by session; none without any.
    pub actions_per_session: Option<f64>,
    /// Days with an event, in the project's time zone.
    pub active_days: u64,
    /// The most of them in a row.
    pub longest_streak_days: u64,
    /// How much the active days keep to the same days of the week, 0 (every day of the week alike) to 1 (always the same):
    /// one less the entropy of their days of the week by its greatest value, as in the measures of regularity of Boroujeni
    /// et al. ("How to quantify student's regularity?", EC-TEL 2016). None for fewer than 8 active days.
    pub regularity: Option<f64>,
}

/// The engagement of some events: when each was, and on which day, numbered since 1970-01-01; in whatever order.
#[must_use]
pub fn engagement(events: &[(i64, i64)]) -> Engagement {
    let mut times: Vec<i64> = events.iter().map(|(at, _)| *at).collect();
    times.sort_unstable();
    let breaks = times.windows(2).filter(|pair| pair[1] - pair[0] > SESSION_GAP_MICROS).count();
    let sessions = if times.is_empty() { 0 } else { breaks as u64 + 1 };
    let days: BTreeSet<i64> = events.iter().map(|(_, day)| *day).collect();
    let (mut longest, mut in_row, mut before) = (0, 0, None);
    for day in &days {
        in_row = if before == Some(day - 1) { in_row + 1 } else { 1 };
        before = Some(*day);
        longest = longest.max(in_row);
    }
    Engagement {
        actions: times.len() as u64,
        sessions,
        sessions_per_week: sessions as f64 / WEEKS as f64,
        actions_per_session: (sessions > 0).then(|| times.len() as f64 / sessions as f64),
        active_days: days.len() as u64,
        longest_streak_days: longest,
        regularity: regularity(&days),
    }
}

fn regularity(days: &BTreeSet<i64>) -> Option<f64> {
    let mut by_weekday = [0_u32; 7];
    for day in days {
        by_weekday[day.rem_euclid(7) as usize] += 1;
    }
    let shares =
        by_weekday.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / days.len() as f64);
    let entropy: f64 = shares.map(|share| -share * share.log2()).sum();
    (days.len() >= ACTIVE_DAYS_MIN).then(|| (1.0 - entropy / 7.0_f64.log2()).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60 * 1_000_000;
    const DAY: i64 = 24 * 60 * MINUTE;

    #[test]
    fn sessions_streaks_and_regularity_are_as_defined() {
        assert_eq!(engagement(&[]), Engagement::default());
        let at = |day: i64, minute: i64| (day * DAY + minute * MINUTE, day);
        let found = engagement(&[at(1, 0), at(1, 30), at(1, 61), at(2, 0), at(5, 0)]);
        assert_eq!((found.actions, found.sessions, found.active_days), (5, 4, 3));
        assert_eq!((found.actions_per_session, found.longest_streak_days), (Some(1.25), 2));
        assert_eq!((found.sessions_per_week, found.regularity), (0.5, None));
        let same: Vec<_> = (0..8).map(|week| at(week * 7, 0)).collect();
        assert_eq!(engagement(&same).regularity, Some(1.0));
        let every: Vec<_> = (0..14).map(|day| at(day, 0)).collect();
        assert!(engagement(&every).regularity.unwrap() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_order_of_events_does_not_matter(mut events in prop::collection::vec((0..60 * DAY, any::<u32>()), 0..60)) {
            let of = |events: &[(i64, u32)]| {
                let events: Vec<_> = events.iter().map(|(at, _)| (*at, at / DAY)).collect();
                engagement(&events)
            };
            let before = of(&events);
            events.sort_by_key(|(_, rank)| *rank);
            prop_assert_eq!(of(&events), before);
        }
    }
}
