//! `worker`: digests accepted payloads and runs jobs, beside any number of others

use std::path::PathBuf;

use anyhow::Result;
use belvedere_app::{Role, work};
use clap::Parser;
use mimalloc::MiMalloc;

/// Parsing and scrubbing events is mostly allocation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
#[command(
    name = "worker",
    version,
    about = "digests accepted payloads and runs jobs, beside any number of others"
)]
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
    belvedere_app::run(work(arguments.config.as_deref(), arguments.check_config, Role::Worker))
}
