//! Tests of the whole: the real binaries over real sockets, the schema, and the rules of the house.

#![expect(
    clippy::unwrap_used,
    reason = "a failing step of a test is a failing test, in functions beside it too"
)]

mod api;
mod browser;
mod database_away;
mod disk_full;
mod end_to_end;
mod kill;
mod learning;
mod reports;
mod schema;
mod split;
mod tidy;
mod track;
mod webhooks;
mod xapi;
