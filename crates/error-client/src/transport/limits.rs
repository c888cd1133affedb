//! What the server does not want for a while: `X-Sentry-Rate-Limits` and `Retry-After`.
//!
//! `X-Sentry-Rate-Limits: <seconds>:<category;category>:<scope>[:<reason>], ..`; no category means all. If it is there,
//! `Retry-After` is ignored; a bare 429 silences everything for a minute
//! (<https://develop.sentry.dev/sdk/expected-features/rate-limiting/>).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sentry::protocol::{EnvelopeItem, ItemContainer};

/// How long a 429 without further words holds.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest limit that is believed.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Categories remembered; a server has about twenty.
const CATEGORIES_MAX: usize = 64;

/// Until when which category is limited; the empty one stands for all.
#[derive(Debug, Default)]
pub(super) struct Limits {
    until: HashMap<String, Instant>,
}

impl Limits {
    /// Learns from an answer's headers.
    pub(super) fn learn(
        &mut self,
        is_429: bool,
        rate_limits: Option<&str>,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        self.until.retain(|_, until| *until > now);
        match rate_limits {
            Some(header) => header.split(',').for_each(|limit| self.learn_one(limit.trim(), now)),
            None if is_429 => self.add("", retry_after.unwrap_or(PAUSE), now),
            None => {}
        }
    }

    fn learn_one(&mut self, limit: &str, now: Instant) {
        let mut parts = limit.split(':');
        let (Some(seconds), Some(categories)) = (parts.next(), parts.next()) else { return };
        let Some(pause) = seconds.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok()) else {
            return;
        };
        categories.split(';').for_each(|category| self.add(category.trim(), pause, now));
    }

    fn add(&mut self, category: &str, pause: Duration, now: Instant) {
        let until = now + pause.min(PAUSE_MAX);
        if self.until.len() < CATEGORIES_MAX || self.until.contains_key(category) {
            let known = self.until.entry(category.to_owned()).or_insert(until);
            *known = (*known).max(until);
        }
    }

    /// How long `category` is still limited.
    pub(super) fn pause(&self, category: &str, now: Instant) -> Option<Duration> {
        let left = |name: &str| self.until.get(name).map(|until| until.saturating_duration_since(now));
        left(category).max(left("")).filter(|pause| !pause.is_zero())
    }

    /// Whether anything is limited.
    pub(super) fn is_any(&self, now: Instant) -> bool {
        self.until.values().any(|until| *until > now)
    }
}

/// An item's category.
pub(super) fn category(item: &EnvelopeItem) -> &'static str {
    match item {
        EnvelopeItem::Event(_) => "error",
        EnvelopeItem::Transaction(_) => "transaction",
        EnvelopeItem::SessionUpdate(_) | EnvelopeItem::SessionAggregates(_) => "session",
        EnvelopeItem::Attachment(_) => "attachment",
        EnvelopeItem::MonitorCheckIn(_) => "monitor",
        EnvelopeItem::ItemContainer(ItemContainer::Logs(_)) => "log_item",
        EnvelopeItem::ItemContainer(ItemContainer::Metrics(_)) => "trace_metric",
        _ => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_their_categories_and_as_long_as_they_say() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        limits.learn(
            false,
            Some("120:error;monitor:project:quota, 60:session:key, nonsense, x:y:z"),
            None,
            now,
        );
        let seconds = |category| limits.pause(category, now).map(|pause| pause.as_secs());
        assert_eq!(seconds("error"), Some(120));
        assert_eq!(seconds("monitor"), Some(120));
        assert_eq!(seconds("session"), Some(60));
        assert_eq!(seconds("transaction"), None);
        let later = now + Duration::from_secs(61);
        assert_eq!(limits.pause("session", later), None);
        assert!(limits.is_any(later) && !limits.is_any(now + Duration::from_secs(120)));
    }

    #[test]
    fn a_limit_without_category_holds_for_all_and_the_longer_one_wins() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        limits.learn(true, Some("30::organization"), Some(Duration::from_secs(900)), now);
        limits.learn(true, Some("10:error:key"), None, now);
        assert_eq!(limits.pause("error", now), Some(Duration::from_secs(30)));
        assert_eq!(limits.pause("anything", now), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_bare_429_silences_for_a_minute_or_as_long_as_retry_after_says() {
        let now = Instant::now();
        let mut limits = Limits::default();
        limits.learn(true, None, None, now);
        assert_eq!(limits.pause("error", now), Some(Duration::from_secs(60)));
        let mut limits = Limits::default();
        limits.learn(true, None, Some(Duration::from_secs(5)), now);
        assert_eq!(limits.pause("error", now), Some(Duration::from_secs(5)));
        let mut limits = Limits::default();
        limits.learn(false, None, Some(Duration::from_secs(5)), now);
        assert_eq!(limits.pause("error", now), None);
    }

    #[test]
    fn a_hostile_server_cannot_fill_the_memory_or_silence_for_ever() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let many: Vec<_> =
            (0..10_000).map(|number| format!("1e300:c{number}:key, 9e15:d{number}:key")).collect();
        limits.learn(true, Some(&many.join(",")), None, now);
        assert!(limits.until.len() <= CATEGORIES_MAX);
        assert_eq!(limits.pause("d0", now), Some(PAUSE_MAX));
    }
}
