//! Product events: what clients of other tools send, and what becomes of it.
//!
//! Invariants:
//! - Every protocol is read to one form, [`event::AnalyticsEvent`]; what is wrong with an event is named and costs no other.
//! - Who somebody is goes to the consent gate and nowhere else; what is stored of an event is what consent covers.
//! - An event counts once, by its message's id, however often it is delivered.
//! - A batch costs a number of statements that does not grow with its events one by one.

mod address;
mod agent;
mod amplitude;
mod by_address;
mod clean;
mod error;
pub mod event;
mod intake;
mod posthog;
mod read;
mod segment;
mod service;
mod stored;
#[cfg(test)]
mod tests;
mod tracker;

pub use amplitude::{AMPLITUDE_BYTES_MAX, read_amplitude};
pub use by_address::{BY_ADDRESS_BYTES_MAX, read_plausible, read_umami};
pub use error::TrackError;
pub use intake::{DELIVERY_KIND, ITEM};
pub use posthog::{POSTHOG_BATCH_BYTES_MAX, POSTHOG_EVENT_BYTES_MAX, read_posthog};
pub use read::{ReadError, Received, Refused};
pub use segment::{SEGMENT_BATCH_BYTES_MAX, SEGMENT_EVENT_BYTES_MAX, SegmentCall, read_segment};
pub use service::{TrackParts, TrackService};
pub use tracker::{TRACKED_MAX, Tracker};
