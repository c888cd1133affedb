//! What somebody tells of revenue by the API or a file, before it is known whose it is.

use belvedere_event_store::{TIME_END, TIME_MIN};
use belvedere_storage::Timestamp;

use super::currency::{AMOUNT_MINOR_MAX, Currency};
use super::subscription::{ID_BYTES_MAX, SubscriptionKind, Terms};

/// The most entries of one call.
pub const ENTRIES_MAX: usize = 10_000;

/// One event of revenue as it is told. The ids are the sender's own and are kept as hashes; that of the customer is personal
/// data until the consent gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What makes a repetition known; 1 to [`ID_BYTES_MAX`] bytes, as each id here.
    pub id: String,
    /// The product's id of whoever pays.
    pub customer: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
}

/// What an entry tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Of a subscription.
    Subscription {
        /// Which one.
        subscription: String,
        /// What happened.
        kind: SubscriptionKind,
        /// What it says of the terms.
        terms: Terms,
        /// Whether it is a trial from here on.
        is_trial: Option<bool>,
        /// When a cancelled one ends.
        ends_at: Option<Timestamp>,
    },
    /// Something was paid once.
    Order {
        /// How much without tax, in minor units.
        amount_minor: i64,
        /// The currency.
        currency: Currency,
    },
    /// Something was paid back.
    Refund {
        /// How much, in minor units.
        amount_minor: i64,
        /// The currency.
        currency: Currency,
    },
}

impl Entry {
    /// Whether the entry is within all limits.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let id = |field, id: &str| {
            let is_good = (1..=ID_BYTES_MAX).contains(&id.len());
            if is_good { Ok(()) } else { Err((field, format!("must have 1 to {ID_BYTES_MAX} bytes"))) }
        };
        let time = |field, at: Timestamp| {
            let is_good = at >= TIME_MIN && at < TIME_END;
            if is_good { Ok(()) } else { Err((field, format!("must be between {TIME_MIN} and {TIME_END}"))) }
        };
        id("id", &self.id)?;
        id("customer", &self.customer)?;
        time("at", self.at)?;
        match &self.what {
            What::Subscription { subscription, terms, ends_at, .. } => {
                id("subscription", subscription)?;
                ends_at.map_or(Ok(()), |at| time("ends_at", at))?;
                terms.check()
            }
            What::Order { amount_minor, .. } | What::Refund { amount_minor, .. } => {
                let is_good = (1..=AMOUNT_MINOR_MAX).contains(amount_minor);
                let why = || format!("must be from 1 to {AMOUNT_MINOR_MAX} minor units");
                if is_good { Ok(()) } else { Err(("amount", why())) }
            }
        }
    }
}
