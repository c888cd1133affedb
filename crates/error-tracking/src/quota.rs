//! How much may come in: decided at the door, in memory, from numbers that all processes share.
//!
//! - *Per minute*, for each process alone: a minute's worth may come at once, after that evenly spaced.
//! - *Per month* (UTC) and *spike protection*, for all processes together: each writes what it let in and reads the
//!   sums every 3 s, so that a limit is exceeded by what arrives in 3 s at most.
//! - A project that a process has not met before is let in until the next reading, and while the database is away
//!   nothing changes: what a project sends is never lost because its quota cannot be looked up.

mod book;
mod project;
mod spike;
mod store;

pub use book::{QuotaBook, QuotaParts};
pub(crate) use project::month_start;
pub use project::{LimitReason, Limited};
pub(crate) use store::sweep_usage_in;
