//! Revenue: subscriptions, the ledger of movements, and what follows from it.
//!
//! Money is an integer of minor units (cents) with its currency beside it. Everything here is computed from what is handed
//! in: no I/O, and the same answer in whatever order and however often events come.

pub mod csv;
pub mod currency;
pub mod entry;
pub mod ledger;
pub mod metrics;
pub mod monthly;
pub mod rates;
mod read;
pub mod subscription;

pub use read::{OneOff, ReadRevenueError, Tracked, read_event, tells_of_revenue};
