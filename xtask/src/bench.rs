//! `cargo xtask bench`: what the whole process does on this machine, over real sockets and with real fsync.

mod analytics;
mod browser;
mod ingest;
mod issues;
mod load;
mod mastery;
mod pages;
mod server;
mod track;
mod xapi;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use self::issues::rfc3339;

#[derive(Subcommand)]
pub(crate) enum Options {
    /// The event store: loading it and asking it, with ten million events
    Analytics(analytics::Options),
    /// The ingest door and the digest behind it, with real Python errors
    Ingest(ingest::Options),
    /// The list of issues and their pages, with a million events
    Issues(issues::Options),
    /// The xAPI record store: storing statements, and finding them among many
    Xapi(xapi::Options),
    /// The door of product events, and when they can be asked for
    Track(track::Options),
    /// Pages of the business and of events, with ten million events
    Pages(pages::Options),
    /// How well the next attempt of a learner is predicted
    Mastery(mastery::Options),
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match options {
        Options::Analytics(options) => analytics::run(options),
        Options::Ingest(options) => ingest::run(options),
        Options::Issues(options) => issues::run(options),
        Options::Xapi(options) => xapi::run(options),
        Options::Track(options) => track::run(options),
        Options::Pages(options) => pages::run(options),
        Options::Mastery(options) => mastery::run(options),
    }
}
