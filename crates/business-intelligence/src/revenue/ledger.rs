//! The ledger of movements of monthly recurring revenue: folded from the events of a customer in the order of their own
//! time, so that late and repeated ones give the same ledger.

mod life;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};

use self::life::{Charged, Point, live};
use super::currency::Currency;
use super::monthly::CouponPolicy;
use super::subscription::{Key, SubscriptionEvent};

const MINUTE_MICROS: i64 = 60_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// When a cancelled subscription stops counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChurnAt {
    /// When it is cancelled.
    #[default]
    Cancellation,
    /// When what was paid for ends.
    PeriodEnd,
}

/// Where definitions of monthly recurring revenue differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerRules {
    /// When a cancelled subscription stops counting.
    pub churn_at: ChurnAt,
    /// How many days after its first failed payment a subscription stops counting, unless it is paid; none for never.
    pub delinquency_days: Option<u32>,
    /// Which coupons lower what recurs.
    pub coupons: CouponPolicy,
    /// A customer who comes back within so many days is reactivated, later a new one; none for reactivated in any case.
    pub reactivation_days: Option<u32>,
    /// What changes within so many minutes of the first change is one movement.
    pub group_minutes: u32,
}

impl Default for LedgerRules {
    fn default() -> Self {
        Self {
            churn_at: ChurnAt::default(),
            delinquency_days: Some(30),
            coupons: CouponPolicy::default(),
            reactivation_days: None,
            group_minutes: 60,
        }
    }
}

impl LedgerRules {
    /// Whether the rules are within all limits: 3,650 days, and minutes of a day.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (field, days) in
            [("delinquency_days", self.delinquency_days), ("reactivation_days", self.reactivation_days)]
        {
            if days.is_some_and(|days| days > 3_650) {
                return Err((field, "must be at most 3650".to_owned()));
            }
        }
        if self.group_minutes > 1_440 {
            return Err(("group_minutes", "must be at most 1440".to_owned()));
        }
        Ok(())
    }
}

/// What a movement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// A customer pays for the first time.
    New,
    /// A customer pays more.
    Expansion,
    /// A customer pays less.
    Contraction,
    /// A customer pays nothing any more.
    Churn,
    /// A customer who had left pays again.
    Reactivation,
    /// A customer changed plans and pays the same: its parts add up to nothing.
    Transfer,
}

impl MovementKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Expansion, Self::Contraction, Self::Churn, Self::Reactivation, Self::Transfer];

    /// The kind as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Expansion => "expansion",
            Self::Contraction => "contraction",
            Self::Churn => "churn",
            Self::Reactivation => "reactivation",
            Self::Transfer => "transfer",
        }
    }

    /// The kind as the number that is stored.
    #[must_use]
    pub fn code(self) -> i64 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(0, |place| place as i64)
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// How a movement is spread over plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The plan; empty where subscriptions name none.
    pub plan: String,
    /// By how much what the customer pays for it each month changed, in minor units.
    pub delta_minor: i64,
    /// 1 where the customer begins to pay for it, -1 where they stop, else 0.
    pub subscribers: i64,
}

/// A change of what a customer pays each month, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// When: at the last of the changes that it is made of. In the future where a subscription ends by itself.
    pub at: Timestamp,
    /// What it is.
    pub kind: MovementKind,
    /// The currency.
    pub currency: Currency,
    /// The change in minor units: the sum of the parts.
    pub delta_minor: i64,
    /// 1 where the customer begins to pay, -1 where they stop, else 0; on one movement only where there are several at
    /// once, in different currencies.
    pub customers: i64,
    /// By plan, in their order; never empty.
    pub parts: Vec<Part>,
    /// The last event that had a part in it.
    pub cause: [u8; 16],
    /// When the customer began to pay for the first time, which puts them into a cohort.
    pub first_at: Timestamp,
}

/// What was billed for one interval of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The event that says so.
    pub event: [u8; 16],
    /// When.
    pub at: Timestamp,
    /// The currency.
    pub currency: Currency,
    /// How much without tax, in minor units; more than 0.
    pub amount_minor: i64,
}

/// What follows from the events of a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// In the order of time.
    pub movements: Vec<Movement>,
    /// In the order of time.
    pub charges: Vec<Charge>,
}

impl Ledger {
    /// What the customer pays each month in a currency, as of the movements up to an instant and at it, in minor units.
    #[must_use]
    pub fn monthly_minor(&self, currency: Currency, at: Timestamp) -> i64 {
        let until = self.movements.iter().filter(|it| it.currency == currency && it.at <= at);
        until.map(|it| it.delta_minor).sum()
    }
}

type Levels = BTreeMap<(Currency, String), i64>;

/// The ledger of one customer, from their events in any order, each any number of times.
#[must_use]
pub fn fold(events: &[SubscriptionEvent], rules: &LedgerRules) -> Ledger {
    let mut ordered: Vec<&SubscriptionEvent> = events.iter().collect();
    ordered.sort_by_key(|event| (event.at, event.kind, event.id));
    let mut seen = BTreeSet::new();
    ordered.retain(|event| seen.insert(event.id));
    let mut by_subscription: BTreeMap<Key, Vec<&SubscriptionEvent>> = BTreeMap::new();
    for event in ordered {
        by_subscription.entry(event.subscription).or_default().push(event);
    }
    let (mut points, mut charges): (Vec<(Key, Point)>, Vec<Charge>) = (Vec::new(), Vec::new());
    for (key, events) in &by_subscription {
        let life = live(events, rules);
        points.extend(life.points.into_iter().map(|point| (*key, point)));
        charges.extend(life.charges.into_iter().map(|Charged(charge)| charge));
    }
    // Within one instant the order of subscriptions does not matter, as levels are sums.
    points.sort_by_key(|(key, point)| (point.at_micros, *key));
    charges.sort_by_key(|charge| (charge.at, charge.event));
    Ledger { movements: movements(&points, rules), charges }
}

fn movements(points: &[(Key, Point)], rules: &LedgerRules) -> Vec<Movement> {
    let window = i64::from(rules.group_minutes) * MINUTE_MICROS;
    let mut current: BTreeMap<Key, Point> = BTreeMap::new();
    let mut past = Past { levels: Levels::new(), first_micros: None, churned_micros: None };
    let mut movements = Vec::new();
    let mut rest = points;
    while let Some((_, first)) = rest.first() {
        let until = first.at_micros.saturating_add(window);
        // Changes of one instant belong together also where nothing is grouped.
        let is_in = |point: &Point| point.at_micros == first.at_micros || point.at_micros < until;
        let count = rest.iter().take_while(|(_, point)| is_in(point)).count();
        let (group, later) = rest.split_at(count);
        rest = later;
        for (key, point) in group {
            current.insert(*key, point.clone());
        }
        if let Some((_, last)) = group.last() {
            movements.extend(past.step(levels(&current), last, rules));
        }
    }
    movements
}

fn levels(current: &BTreeMap<Key, Point>) -> Levels {
    let mut levels = Levels::new();
    for level in current.values().filter_map(|point| point.level.as_ref()) {
        let sum = levels.entry((level.currency, level.plan.clone())).or_default();
        *sum = sum.saturating_add(level.monthly_minor);
    }
    levels
}

/// What a customer paid before a step.
struct Past {
    levels: Levels,
    first_micros: Option<i64>,
    churned_micros: Option<i64>,
}

impl Past {
    /// The movements to other levels, by currency.
    fn step(&mut self, levels: Levels, last: &Point, rules: &LedgerRules) -> Vec<Movement> {
        let before = std::mem::take(&mut self.levels);
        let (paid, pays) = (!before.is_empty(), !levels.is_empty());
        let at_micros = last.at_micros;
        let whole = match (paid, pays) {
            (false, true) => Some(self.begin(at_micros, rules)),
            (true, false) => {
                self.churned_micros = Some(at_micros);
                Some(MovementKind::Churn)
            }
            _ => None,
        };
        let mut parts: BTreeMap<Currency, Vec<Part>> = BTreeMap::new();
        let keys: BTreeSet<&(Currency, String)> = before.keys().chain(levels.keys()).collect();
        for key in keys {
            let (old, new) = (before.get(key).copied().unwrap_or(0), levels.get(key).copied().unwrap_or(0));
            if old != new {
                let subscribers = i64::from(new > 0) - i64::from(old > 0);
                let part = Part { plan: key.1.clone(), delta_minor: new - old, subscribers };
                parts.entry(key.0).or_default().push(part);
            }
        }
        let mut customers = i64::from(pays) - i64::from(paid);
        let movements = parts.into_iter().map(|(currency, parts)| {
            let delta_minor: i64 = parts.iter().map(|part| part.delta_minor).sum();
            let kind = whole.unwrap_or(match delta_minor {
                0 => MovementKind::Transfer,
                1.. => MovementKind::Expansion,
                _ => MovementKind::Contraction,
            });
            Movement {
                at: Timestamp::from_micros(at_micros),
                kind,
                currency,
                delta_minor,
                customers: std::mem::take(&mut customers),
                parts,
                cause: last.cause,
                first_at: Timestamp::from_micros(self.first_micros.unwrap_or(at_micros)),
            }
        });
        let movements = movements.collect();
        self.levels = levels;
        movements
    }

    fn begin(&mut self, at_micros: i64, rules: &LedgerRules) -> MovementKind {
        let is_first = self.first_micros.is_none();
        self.first_micros.get_or_insert(at_micros);
        let away = self.churned_micros.map_or(0, |churned| at_micros - churned);
        let is_late = rules.reactivation_days.is_some_and(|days| away > i64::from(days) * DAY_MICROS);
        if is_first || is_late { MovementKind::New } else { MovementKind::Reactivation }
    }
}
