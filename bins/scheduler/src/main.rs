//! `scheduler`: enqueues scheduled jobs, one of several at a time

use std::path::PathBuf;

use anyhow::Result;
use belvedere_app::{Role, work};
use clap::Parser;

#[derive(Parser)]
#[command(name = "scheduler", version, about = "enqueues scheduled jobs, one of several at a time")]
struct Arguments {
    /// Configuration file; see belvedere.example.toml
    #[arg(long)]
    config: Option<PathBuf>,
    /// Explain what is wrong with the configuration, and do nothing else
    #[arg(long)]
    check_config: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    belvedere_app::run(work(arguments.config.as_deref(), arguments.check_config, Role::Scheduler))
}
