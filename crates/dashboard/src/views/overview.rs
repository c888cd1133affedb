//! Hours and days without gaps, for the charts.

use std::time::Duration;

use belvedere_error_tracking::HourCount;
use belvedere_storage::Timestamp;

use crate::charts::{Bar, BarChart, Caption};
use crate::wording::{day, hour};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Start of the first of `hours` whole hours that end with the present one.
pub(crate) fn hours_start(now: Timestamp, hours: u32) -> Timestamp {
    now.start_of_hour().minus(HOUR * (hours - 1))
}

/// The count of each of `hours` hours from `start` on; hours without events count zero.
pub(crate) fn fill_hours(counts: &[HourCount], start: Timestamp, hours: usize) -> Vec<u64> {
    let mut filled = vec![0; hours];
    for count in counts.iter().filter(|count| count.hour >= start) {
        let index = usize::try_from(count.hour.since(start).as_secs() / 3_600).unwrap_or(usize::MAX);
        if let Some(slot) = filled.get_mut(index) {
            *slot += count.events;
        }
    }
    filled
}

/// A chart of hours that end with the present one.
pub(crate) fn hourly_chart(hourly: &[u64], now: Timestamp, about: &str, is_small: bool) -> BarChart {
    let start = hours_start(now, u32::try_from(hourly.len().max(1)).unwrap_or(1));
    let bars = hourly.iter().enumerate();
    let bars = bars
        .map(|(index, quantity)| Bar { label: hour(start.plus(HOUR * index as u32)), quantity: *quantity });
    BarChart::new(bars.collect(), &Caption { about, unit: "events", column: "Hour (UTC)", is_small })
}

/// A chart of days that end with today.
pub(crate) fn daily_chart(daily: &[u64], now: Timestamp, about: &str) -> BarChart {
    let start = now.start_of_day().minus(DAY * u32::try_from(daily.len().saturating_sub(1)).unwrap_or(0));
    let bars = daily.iter().enumerate();
    let bars =
        bars.map(|(index, quantity)| Bar { label: day(start.plus(DAY * index as u32)), quantity: *quantity });
    BarChart::new(bars.collect(), &Caption { about, unit: "events", column: "Day (UTC)", is_small: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_without_events_count_zero_and_others_are_left_out() {
        let now: Timestamp = "2026-11-23T10:20:00Z".parse().unwrap();
        let start = hours_start(now, 3);
        assert_eq!(start.to_string(), "2026-11-23T08:00:00Z");
        let count = |hour: &str, events| HourCount { hour: hour.parse().unwrap(), events };
        let counts = [
            count("2026-11-23T07:00:00Z", 9),
            count("2026-11-23T08:00:00Z", 2),
            count("2026-11-23T10:00:00Z", 5),
            count("2026-11-23T11:00:00Z", 7),
        ];
        assert_eq!(fill_hours(&counts, start, 3), [2, 0, 5]);
    }
}
