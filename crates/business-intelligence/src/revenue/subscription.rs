//! What an event says about a subscription.

use std::fmt;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::currency::{AMOUNT_MINOR_MAX, Currency};

/// The most bytes of the name of a plan.
pub const PLAN_BYTES_MAX: usize = 100;
/// The most bytes of an id of an event, a subscription or a customer.
pub const ID_BYTES_MAX: usize = 200;
/// The most units of a subscription, such as seats.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// The most weeks, months, quarters or years of an interval.
pub const INTERVAL_COUNT_MAX: u32 = 120;

/// A subscription or an event by a hash of its id, which the sender alone knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// The key of an id, another one in each project and for each kind of thing.
    #[must_use]
    pub fn of(project: ProjectId, kind: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"belvedere.business\0");
        hash.update(project.0.to_be_bytes());
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(id.as_bytes());
        let digest = hash.finalize();
        Self(std::array::from_fn(|place| digest.get(place).copied().unwrap_or(0)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What happened to a subscription; in this order where several happen at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionKind {
    /// A trial began, which is not paid for.
    TrialStarted,
    /// It began, or began again.
    Started,
    /// Its terms changed.
    Updated,
    /// Another interval was paid for. Takes back a cancellation that has not come into effect, and an unpaid bill.
    Renewed,
    /// A payment failed.
    PaymentFailed,
    /// It was cancelled.
    Cancelled,
}

impl SubscriptionKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::TrialStarted,
        Self::Started,
        Self::Updated,
        Self::Renewed,
        Self::PaymentFailed,
        Self::Cancelled,
    ];

    /// The kind as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TrialStarted => "trial_started",
            Self::Started => "started",
            Self::Updated => "updated",
            Self::Renewed => "renewed",
            Self::PaymentFailed => "payment_failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The kind that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What an interval is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalUnit {
    /// Years.
    Year,
    /// Quarters: three months.
    Quarter,
    /// Months.
    #[default]
    Month,
    /// Weeks.
    Week,
}

impl IntervalUnit {
    /// The unit that a word names: `year`, `yearly`, `annual`, `quarter`, `month`, `monthly`, `week`, `weekly`, ..
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "year" | "years" | "yearly" | "annual" | "annually" => Some(Self::Year),
            "quarter" | "quarters" | "quarterly" => Some(Self::Quarter),
            "month" | "months" | "monthly" => Some(Self::Month),
            "week" | "weeks" | "weekly" => Some(Self::Week),
            _ => None,
        }
    }
}

/// How long what is billed at once lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Of what.
    pub unit: IntervalUnit,
    /// How many, 1 to [`INTERVAL_COUNT_MAX`].
    pub count: u32,
}

impl Default for Interval {
    /// A month.
    fn default() -> Self {
        Self { unit: IntervalUnit::Month, count: 1 }
    }
}

/// For how many payments a coupon counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CouponDuration {
    /// The first.
    Once,
    /// Some.
    Repeating,
    /// All.
    Forever,
}

impl CouponDuration {
    /// The duration that a word names: `once`, `repeating`, `forever`.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "once" => Some(Self::Once),
            "repeating" => Some(Self::Repeating),
            "forever" => Some(Self::Forever),
            _ => None,
        }
    }
}

/// How much a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// Hundredths of a percent, at most 10,000.
    Percent(u32),
    /// Minor units of an interval's bill.
    Amount(i64),
}

/// A reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// How much.
    pub off: Off,
    /// For how long.
    pub duration: CouponDuration,
}

/// What a subscription costs. What an event does not say stays as it was; a start begins from nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// The plan; a text of at most [`PLAN_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The price of one unit for one interval, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
    /// Of the amounts; always there where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// What the price is for; a month if nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// How many units; 1 if nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// How much of the price of all units is tax, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_minor: Option<i64>,
    /// What is taken off; 0 percent takes a coupon back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<Coupon>,
    /// Whether the price depends on use, and so does not recur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_metered: Option<bool>,
}

impl Terms {
    /// These terms where `later` says nothing, else those.
    #[must_use]
    pub fn then(&self, later: &Self) -> Self {
        Self {
            plan: later.plan.clone().or_else(|| self.plan.clone()),
            amount_minor: later.amount_minor.or(self.amount_minor),
            currency: later.currency.or(self.currency),
            interval: later.interval.or(self.interval),
            quantity: later.quantity.or(self.quantity),
            tax_minor: later.tax_minor.or(self.tax_minor),
            coupon: later.coupon.or(self.coupon),
            is_metered: later.is_metered.or(self.is_metered),
        }
    }

    /// Whether the terms are within all limits.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let amount = |field, minor: Option<i64>| match minor {
            Some(minor) if !(0..=AMOUNT_MINOR_MAX).contains(&minor) => {
                Err((field, format!("must be from 0 to {AMOUNT_MINOR_MAX} minor units")))
            }
            Some(_) if self.currency.is_none() => {
                Err(("currency", format!("must be given with {field}, as an ISO 4217 code")))
            }
            _ => Ok(()),
        };
        if self.plan.as_ref().is_some_and(|plan| plan.len() > PLAN_BYTES_MAX) {
            return Err(("plan", format!("must have at most {PLAN_BYTES_MAX} bytes")));
        }
        amount("amount", self.amount_minor)?;
        amount("tax", self.tax_minor)?;
        let count = self.interval.map_or(1, |interval| interval.count);
        if !(1..=INTERVAL_COUNT_MAX).contains(&count) {
            return Err(("interval_count", format!("must be from 1 to {INTERVAL_COUNT_MAX}")));
        }
        if self.quantity.is_some_and(|quantity| quantity > QUANTITY_MAX) {
            return Err(("quantity", format!("must be at most {QUANTITY_MAX}")));
        }
        match self.coupon.map(|coupon| coupon.off) {
            Some(Off::Percent(basis_points)) if basis_points > 10_000 => {
                Err(("coupon", "must take off at most 100 percent".to_owned()))
            }
            Some(Off::Amount(off)) => amount("coupon", Some(off)),
            _ => Ok(()),
        }
    }
}

/// One event of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionEvent {
    /// What makes a repetition known, and what a movement names as its cause.
    pub id: [u8; 16],
    /// Whose the subscription is.
    pub customer: SubjectId,
    /// Which subscription.
    pub subscription: Key,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: SubscriptionKind,
    /// What it says of the terms.
    pub terms: Terms,
    /// Whether it is a trial from here on; none where nothing is said.
    pub is_trial: Option<bool>,
    /// When a cancelled subscription ends; none for the end of what is paid for.
    pub ends_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_beyond_a_limit_are_refused_by_their_field() {
        let euro = Currency::find("EUR");
        let good = Terms { amount_minor: Some(1), currency: euro, ..Terms::default() };
        good.check().unwrap();
        let field = |terms: Terms| terms.check().unwrap_err().0;
        assert_eq!(field(Terms { amount_minor: Some(-1), ..good.clone() }), "amount");
        assert_eq!(field(Terms { currency: None, ..good.clone() }), "currency");
        assert_eq!(field(Terms { plan: Some("x".repeat(101)), ..good.clone() }), "plan");
        assert_eq!(field(Terms { quantity: Some(1_000_001), ..good.clone() }), "quantity");
        let never = Interval { unit: IntervalUnit::Month, count: 0 };
        assert_eq!(field(Terms { interval: Some(never), ..good.clone() }), "interval_count");
        let coupon = Coupon { off: Off::Percent(10_001), duration: CouponDuration::Forever };
        assert_eq!(field(Terms { coupon: Some(coupon), ..good }), "coupon");
    }

    #[test]
    fn an_id_has_another_key_in_another_project() {
        let key = Key::of(ProjectId(1), "subscription", "sub_1");
        assert_eq!(key, Key::of(ProjectId(1), "subscription", "sub_1"));
        assert_ne!(key, Key::of(ProjectId(2), "subscription", "sub_1"));
        assert_ne!(key, Key::of(ProjectId(1), "event", "sub_1"));
    }
}
