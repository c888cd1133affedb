//! The life of one subscription: what it comes to in a month, from when to when.

use belvedere_storage::Timestamp;
use jiff::Span;
use jiff::tz::TimeZone;

use super::{Charge, ChurnAt, DAY_MICROS, LedgerRules};
use crate::revenue::currency::Currency;
use crate::revenue::monthly::{billed_minor, monthly_minor};
use crate::revenue::subscription::{Interval, IntervalUnit, SubscriptionEvent, SubscriptionKind, Terms};

/// What a subscription comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) currency: Currency,
    pub(super) plan: String,
    /// More than 0.
    pub(super) monthly_minor: i64,
}

/// From when on it comes to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at_micros: i64,
    /// None where it comes to nothing.
    pub(super) level: Option<Level>,
    pub(super) cause: [u8; 16],
}

pub(super) struct Charged(pub(super) Charge);

#[derive(Default)]
pub(super) struct Life {
    pub(super) points: Vec<Point>,
    pub(super) charges: Vec<Charged>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is known of it.
    Unknown,
    Trial,
    Paying,
    Ended,
}

/// A subscription as far as its events have been gone through.
struct State<'a> {
    rules: &'a LedgerRules,
    phase: Phase,
    terms: Terms,
    /// When what is paid for began.
    paid_micros: i64,
    has_paid: bool,
    /// When it will end because it was cancelled.
    ends: Option<(i64, [u8; 16])>,
    /// When it will end because it is not paid for.
    defaults: Option<(i64, [u8; 16])>,
    life: Life,
}

/// The life that follows from the events of one subscription, in the order of their time.
pub(super) fn live(events: &[&SubscriptionEvent], rules: &LedgerRules) -> Life {
    let mut state = State {
        rules,
        phase: Phase::Unknown,
        terms: Terms::default(),
        paid_micros: 0,
        has_paid: false,
        ends: None,
        defaults: None,
        life: Life::default(),
    };
    for event in events {
        state.end_before(event.at.as_micros());
        state.take(event);
        state.note(event.at.as_micros(), event.id);
        // A cancellation may come into effect at once.
        state.end_before(event.at.as_micros());
    }
    state.end_before(i64::MAX);
    state.life
}

impl State<'_> {
    /// Ends the subscription if it was to end up to this instant.
    fn end_before(&mut self, micros: i64) {
        let first = [self.ends, self.defaults].into_iter().flatten().min();
        if let Some((at_micros, cause)) = first.filter(|(at, _)| *at <= micros) {
            (self.phase, self.ends, self.defaults) = (Phase::Ended, None, None);
            self.note(at_micros, cause);
        }
    }

    fn take(&mut self, event: &SubscriptionEvent) {
        let micros = event.at.as_micros();
        self.terms = match event.kind {
            SubscriptionKind::Started => event.terms.clone(),
            _ => self.terms.then(&event.terms),
        };
        match event.kind {
            SubscriptionKind::TrialStarted => {
                if self.phase != Phase::Paying {
                    self.phase = Phase::Trial;
                }
            }
            SubscriptionKind::Started if event.is_trial == Some(true) => self.phase = Phase::Trial,
            SubscriptionKind::Started | SubscriptionKind::Renewed => self.pay(event),
            SubscriptionKind::Updated => match (event.is_trial, self.phase) {
                (Some(true), Phase::Unknown | Phase::Paying) => self.phase = Phase::Trial,
                (Some(false), Phase::Unknown | Phase::Trial) | (None, Phase::Unknown) => {
                    (self.phase, self.paid_micros) = (Phase::Paying, micros);
                }
                _ => {}
            },
            SubscriptionKind::PaymentFailed => {
                let days = self.rules.delinquency_days.map(i64::from);
                if let Some(days) = days.filter(|_| self.phase == Phase::Paying) {
                    self.defaults.get_or_insert((micros.saturating_add(days * DAY_MICROS), event.id));
                }
            }
            SubscriptionKind::Cancelled => self.cancel(event),
        }
    }

    fn pay(&mut self, event: &SubscriptionEvent) {
        (self.phase, self.paid_micros) = (Phase::Paying, event.at.as_micros());
        (self.ends, self.defaults) = (None, None);
        let amount_minor = billed_minor(&self.terms, !self.has_paid);
        if let Some(currency) = self.terms.currency.filter(|_| amount_minor > 0) {
            self.has_paid = true;
            let charge = Charge { event: event.id, at: event.at, currency, amount_minor };
            self.life.charges.push(Charged(charge));
        }
    }

    fn cancel(&mut self, event: &SubscriptionEvent) {
        let micros = event.at.as_micros();
        let ends = match (self.phase, self.rules.churn_at) {
            (Phase::Paying, ChurnAt::PeriodEnd) => event.ends_at.map_or_else(
                || period_end(self.paid_micros, self.terms.interval.unwrap_or_default(), micros),
                Timestamp::as_micros,
            ),
            _ => micros,
        };
        self.ends = Some((ends.max(micros), event.id));
    }

    /// Takes note of what the subscription comes to from an instant on, if that is something else.
    fn note(&mut self, at_micros: i64, cause: [u8; 16]) {
        let monthly = monthly_minor(&self.terms, self.rules.coupons);
        let level = self.terms.currency.filter(|_| self.phase == Phase::Paying && monthly > 0);
        let level = level.map(|currency| Level {
            currency,
            plan: self.terms.plan.clone().unwrap_or_default(),
            monthly_minor: monthly,
        });
        let known = self.life.points.last().and_then(|point| point.level.as_ref());
        if known != level.as_ref() {
            self.life.points.push(Point { at_micros, level, cause });
        }
    }
}

/// The first end of an interval after an instant, counted in the calendar of UTC from when the first one began.
fn period_end(from_micros: i64, interval: Interval, after_micros: i64) -> i64 {
    let start = jiff::Timestamp::from_microsecond(from_micros).map(|at| at.to_zoned(TimeZone::UTC));
    let Ok(start) = start else { return after_micros };
    let count = i64::from(interval.count.max(1));
    let days = match interval.unit {
        IntervalUnit::Year => 365,
        IntervalUnit::Quarter => 90,
        IntervalUnit::Month => 28,
        IntervalUnit::Week => 7,
    };
    // No interval is shorter, so that this many are over at most; usually the next is the one.
    let past = (after_micros - from_micros).max(0) / (days * count * DAY_MICROS);
    let least = past * days / (days + 3);
    for number in least.. {
        let steps = count.saturating_mul(number + 1);
        let span = match interval.unit {
            IntervalUnit::Year => Span::new().try_years(steps),
            IntervalUnit::Quarter => Span::new().try_months(steps.saturating_mul(3)),
            IntervalUnit::Month => Span::new().try_months(steps),
            IntervalUnit::Week => Span::new().try_weeks(steps),
        };
        let end = span.and_then(|span| start.checked_add(span));
        let Ok(end) = end.map(|end| end.timestamp().as_microsecond()) else { return after_micros };
        if end > after_micros {
            return end;
        }
    }
    after_micros
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_micros()
    }

    #[test]
    fn a_period_ends_by_the_calendar() {
        for (unit, count, from, after, end) in [
            (IntervalUnit::Month, 1, "2026-01-31T10:00:00Z", "2026-02-10T00:00:00Z", "2026-02-28T10:00:00Z"),
            (IntervalUnit::Month, 1, "2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"),
            (IntervalUnit::Month, 1, "2016-01-31T10:00:00Z", "2026-03-01T00:00:00Z", "2026-03-31T10:00:00Z"),
            (IntervalUnit::Year, 1, "2024-02-29T00:00:00Z", "2025-06-01T00:00:00Z", "2026-02-28T00:00:00Z"),
            (
                IntervalUnit::Quarter,
                2,
                "2026-01-01T00:00:00Z",
                "2026-07-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (IntervalUnit::Week, 1, "2026-01-01T00:00:00Z", "2026-01-20T00:00:00Z", "2026-01-22T00:00:00Z"),
        ] {
            assert_eq!(
                period_end(micros(from), Interval { unit, count }, micros(after)),
                micros(end),
                "{from} {after}"
            );
        }
    }
}
