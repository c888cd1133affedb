//! Sessions: how often a release was used, and how often that went wrong.
//!
//! SDKs send sessions in two ways: as updates of one session, each with all that is known of it so far (`session`),
//! and as counts that a server has added up per minute (`sessions`). Source:
//! <https://develop.sentry.dev/sdk/telemetry/sessions/>.
//!
//! - A session counts once, in the hour in which it started, for the release and environment of its first update.
//! - Its state only ever becomes worse, so neither the order of updates nor their repetition matters, and `init`, `seq`
//!   and `timestamp` need not be believed: an update of an unknown session makes it.
//! - For that to hold, sessions are remembered for 6 days, and what started more than 5 days before it arrived is
//!   counted as `too_old`. A final status closes nothing: a crash that is told a day later still counts.
//! - Counts added up by a server have no id: each delivery of the intake is digested once, but a client that sends the
//!   same counts twice is believed twice.
//! - Who used it (`did`) goes through the consent gate and is a subject from then on. Without consent to analytics
//!   that is a number of one day; an open session keeps the one it had when it started.

mod parse;
mod row;
mod store;

pub(crate) use parse::{SessionCounts, SessionUpdate, parse_session, parse_sessions};
pub(crate) use row::{SessionRow, SessionState};
pub(crate) use store::record_sessions_in;

/// The most `session` items of one envelope, as Sentry accepts them.
pub(crate) const SESSIONS_MAX: u64 = 100;

/// How long sessions are remembered, in hours from their start; a day more than they may be late.
pub(crate) const REMEMBERED_HOURS: i64 = 6 * 24;
