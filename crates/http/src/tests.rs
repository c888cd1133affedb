//! The crate through its router and its sockets.

mod api;
mod attached;
mod bombs;
mod business;
pub(crate) mod codecs;
mod feature_flags;
mod grouping_rules;
mod house;
mod ingest;
mod insights;
mod learning;
mod limits;
mod ops;
mod query;
mod releases;
mod sentry_api;
mod sentry_releases;
mod server;
mod track;
mod triage;
mod uploads;
mod watch;
mod webhooks;
mod xapi;
