//! Numbers about the business, asked of the event store so that its rollups serve, and what they mean.

mod ask;
pub(crate) mod changes;
pub mod definitions;
mod touch;

pub(crate) use ask::{Asker, goal_of, measure};

/// Events of people who look at a page.
pub const PAGE_VIEW: &str = "page_view";
/// People who sign up.
pub const SIGNED_UP: &str = "Signed Up";
/// People who begin a trial.
pub const TRIAL_STARTED: &str = "Trial Started";
/// People who subscribe.
pub const SUBSCRIPTION_STARTED: &str = "Subscription Started";
/// People who use a feature, named by the property `feature`.
pub const FEATURE_USED: &str = "Feature Used";
/// Events that servers send of people who do nothing themselves: no activity.
pub const NO_ACTIVITY: [&str; 8] = [
    "Subscription Started",
    "Subscription Updated",
    "Subscription Renewed",
    "Subscription Cancelled",
    "Subscription Canceled",
    "Payment Failed",
    "Invoice Paid",
    "Order Refunded",
];
