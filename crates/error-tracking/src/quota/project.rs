use std::collections::BTreeMap;
use std::sync::Arc;

use belvedere_storage::Timestamp;
use time::{Time, UtcOffset};

use super::spike::SAMPLED_OF;
use crate::limits::{Category, ProjectLimits};

const MINUTE_NANOS: u128 = 60_000_000_000;

/// What is over is asked for again after this time at the latest, so that a quota that was raised holds soon.
const RETRY_SECONDS_MAX: u64 = 3_600;

/// Past the threshold of a spike clients try again after this time, and one of their errors gets through.
const SPIKE_RETRY_SECONDS: u64 = 60;

/// The number of categories.
const CATEGORIES: usize = Category::ALL.len();

/// Why something is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReason {
    /// The quota of the minute.
    PerMinute,
    /// The quota of the month.
    PerMonth,
    /// More errors than is usual.
    Spike,
}

impl LimitReason {
    /// The reason as it is counted and told: `rate_limited`, `quota`, `spike_protection`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerMinute => "rate_limited",
            Self::PerMonth => "quota",
            Self::Spike => "spike_protection",
        }
    }
}

/// A category that is not let in at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which.
    pub category: Category,
    /// Why.
    pub reason: LimitReason,
    /// When to try again, in seconds, at least 1.
    pub retry_after_seconds: u64,
}

/// What one process knows of one project.
#[derive(Debug, Default)]
pub(super) struct ProjectQuota {
    pub(super) limits: Arc<ProjectLimits>,
    /// When each category will have its whole minute again, in nanoseconds since 1970 (the generic cell rate
    /// algorithm, ITU-T I.371, annex A).
    full_at_nanos: [u128; CATEGORIES],
    /// Let in by this process and not written yet, by hour.
    pub(super) unwritten: BTreeMap<(Category, i64), u64>,
    /// Let in by all processes in `month`, as last read.
    pub(super) of_month: [u64; CATEGORIES],
    pub(super) month: Timestamp,
    /// Errors let in by all processes in `hour`, as last read.
    pub(super) errors_of_hour: u64,
    pub(super) hour: i64,
    /// From how many errors on the hour is a spike.
    pub(super) threshold: Option<u64>,
    /// Errors past the threshold.
    past_threshold: u64,
    pub(super) last_asked: Timestamp,
}

impl ProjectQuota {
    /// Lets a quantity of a category in and counts it, or says why not.
    pub(super) fn admit(&mut self, category: Category, quantity: u64, now: Timestamp) -> Result<(), Limited> {
        self.last_asked = now;
        let hour = now.as_seconds().div_euclid(3_600);
        let limited = |reason, seconds: u64| Limited {
            category,
            reason,
            retry_after_seconds: seconds.clamp(1, RETRY_SECONDS_MAX),
        };
        let quota = self.limits.quotas.get(&category).copied().unwrap_or_default();
        if let Some(per_month) = quota.per_month
            && self.used_in_month(category, now) >= per_month
        {
            return Err(limited(LimitReason::PerMonth, month_end(now).since(now).as_secs()));
        }
        if category == Category::Error && self.is_over_threshold(hour) {
            return Err(limited(LimitReason::Spike, SPIKE_RETRY_SECONDS));
        }
        if let Some(per_minute) = quota.per_minute {
            let seconds = self.take_of_minute(category, quantity, per_minute, now);
            seconds.map_err(|seconds| limited(LimitReason::PerMinute, seconds))?;
        }
        *self.unwritten.entry((category, hour)).or_default() += quantity;
        Ok(())
    }

    fn used_in_month(&self, category: Category, now: Timestamp) -> u64 {
        let month = month_start(now);
        let first_hour = month.as_seconds().div_euclid(3_600);
        let read = if self.month == month { self.of_month[category as usize] } else { 0 };
        let unwritten = self.unwritten.range((category, first_hour)..=(category, i64::MAX));
        read + unwritten.map(|(_, quantity)| quantity).sum::<u64>()
    }

    /// Whether an error is past the threshold of its hour, and none of the few that are let in all the same.
    fn is_over_threshold(&mut self, hour: i64) -> bool {
        let Some(threshold) = self.threshold.filter(|_| self.limits.spike_protection.is_on) else {
            return false;
        };
        let read = if self.hour == hour { self.errors_of_hour } else { 0 };
        let unwritten = self.unwritten.get(&(Category::Error, hour)).copied().unwrap_or(0);
        if read + unwritten < threshold {
            self.past_threshold = 0;
            return false;
        }
        self.past_threshold += 1;
        !self.past_threshold.is_multiple_of(SAMPLED_OF)
    }

    /// Takes `quantity` out of the minute, or says in how many seconds there will be something again. The last to get
    /// in may take more than was left, or what is larger than a whole minute's worth would never get in.
    fn take_of_minute(
        &mut self,
        category: Category,
        quantity: u64,
        per_minute: u64,
        now: Timestamp,
    ) -> Result<(), u64> {
        if per_minute == 0 {
            return Err(60);
        }
        let now = u128::try_from(now.as_micros()).unwrap_or(0) * 1_000;
        let full_at = &mut self.full_at_nanos[category as usize];
        // A clock that was set back does not lock anybody out for longer than two minutes.
        let debt = full_at.saturating_sub(now).min(2 * MINUTE_NANOS);
        let of_one = (MINUTE_NANOS / u128::from(per_minute)).max(1);
        if debt + of_one > MINUTE_NANOS {
            let wait = debt + of_one - MINUTE_NANOS;
            return Err(u64::try_from(wait.div_ceil(1_000_000_000)).unwrap_or(60));
        }
        *full_at = now + (debt + of_one.saturating_mul(quantity.into())).min(2 * MINUTE_NANOS);
        Ok(())
    }
}

/// The first instant of a month in UTC.
pub(crate) fn month_start(now: Timestamp) -> Timestamp {
    let first = now.to_datetime().to_offset(UtcOffset::UTC).replace_day(1);
    let start = first.map(|first| first.replace_time(Time::MIDNIGHT).unix_timestamp());
    Timestamp::from_micros(start.unwrap_or(0) * 1_000_000)
}

fn month_end(now: Timestamp) -> Timestamp {
    // Every month has more than 27 days and none more than 31.
    month_start(month_start(now).plus(std::time::Duration::from_secs(32 * 86_400)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::Quota;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn project(category: Category, quota: Quota) -> ProjectQuota {
        let quotas = BTreeMap::from([(category, quota)]);
        ProjectQuota {
            limits: Arc::new(ProjectLimits { quotas, ..ProjectLimits::default() }),
            ..ProjectQuota::default()
        }
    }

    fn outcome(result: Result<(), Limited>) -> Option<(&'static str, u64)> {
        result.err().map(|limited| (limited.reason.as_str(), limited.retry_after_seconds))
    }

    #[test]
    fn a_minutes_worth_passes_at_once_and_then_one_by_one() {
        let mut project = project(Category::Error, Quota { per_minute: Some(2), per_month: None });
        let now = at("2026-11-23T12:00:00Z");
        let outcomes: Vec<_> = (0..3).map(|_| outcome(project.admit(Category::Error, 1, now))).collect();
        assert_eq!(outcomes, [None, None, Some(("rate_limited", 30))]);
        assert_eq!(outcome(project.admit(Category::Session, 1, now)), None);
        assert_eq!(outcome(project.admit(Category::Error, 1, now.plus(Duration::from_secs(30)))), None);
    }

    #[test]
    fn what_is_larger_than_a_minutes_worth_gets_in_and_is_paid_for() {
        let mut project = project(Category::Attachment, Quota { per_minute: Some(1_000), per_month: None });
        let now = at("2026-11-23T12:00:00Z");
        assert_eq!(outcome(project.admit(Category::Attachment, 5_000_000, now)), None);
        assert_eq!(outcome(project.admit(Category::Attachment, 1, now)), Some(("rate_limited", 61)));
        assert_eq!(outcome(project.admit(Category::Attachment, 1, now.plus(Duration::from_secs(61)))), None);
    }

    #[test]
    fn a_month_ends_with_the_last_of_its_days() {
        let mut project = project(Category::Log, Quota { per_minute: None, per_month: Some(3) });
        project.month = at("2026-11-01T00:00:00Z");
        project.of_month[Category::Log as usize] = 2;
        let now = at("2026-11-30T23:58:20Z");
        assert_eq!(outcome(project.admit(Category::Log, 5, now)), None);
        assert_eq!(outcome(project.admit(Category::Log, 1, now)), Some(("quota", 100)));
        assert_eq!(outcome(project.admit(Category::Log, 1, now.plus(Duration::from_secs(100)))), None);
        let early = at("2026-11-02T00:00:00Z");
        assert_eq!(outcome(project.admit(Category::Log, 1, early)), Some(("quota", 3_600)));
    }

    #[test]
    fn past_the_threshold_one_error_of_twenty_is_let_in_until_the_hour_ends() {
        let mut project = ProjectQuota { threshold: Some(100), ..ProjectQuota::default() };
        let now = at("2026-11-23T12:59:00Z");
        project.hour = now.as_seconds() / 3_600;
        project.errors_of_hour = 90;
        let mut let_in = 0;
        for _ in 0..50 {
            let_in += u64::from(project.admit(Category::Error, 1, now).is_ok());
        }
        assert_eq!(let_in, 12);
        assert_eq!(outcome(project.admit(Category::Error, 1, now)), Some(("spike_protection", 60)));
        assert_eq!(outcome(project.admit(Category::Session, 1, now)), None);
        assert_eq!(outcome(project.admit(Category::Error, 1, now.plus(Duration::from_secs(60)))), None);
        let switched_off = ProjectLimits {
            spike_protection: crate::limits::SpikeProtection { is_on: false, multiplier: 10 },
            ..ProjectLimits::default()
        };
        project.limits = Arc::new(switched_off);
        assert_eq!(outcome(project.admit(Category::Error, 1, now)), None);
    }

    #[test]
    fn months_begin_at_midnight_of_the_first() {
        assert_eq!(month_start(at("2026-02-28T23:59:59Z")), at("2026-02-01T00:00:00Z"));
        assert_eq!(month_end(at("2026-12-31T23:59:59Z")), at("2027-01-01T00:00:00Z"));
        assert_eq!(month_end(at("2026-01-31T00:00:00Z")), at("2026-02-01T00:00:00Z"));
    }
}
