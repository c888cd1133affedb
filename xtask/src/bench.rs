//! `cargo xtask bench`: what the whole process does on this machine, over real sockets and with real fsync.

mod ingest;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Options {
    /// The ingest door and the digest behind it, with real Python errors
    Ingest(ingest::Options),
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match options {
        Options::Ingest(options) => ingest::run(options),
    }
}
