//! Releases: which versions of a product there are, and how each of them fares.

mod activity;
mod store;

pub(crate) use activity::Activity;
pub(crate) use store::record_activity_in;
