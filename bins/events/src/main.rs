//! `events`: events from files and to files, beside a server that runs or without one

mod transfer;

use std::path::PathBuf;

use anyhow::Result;
use belvedere_app::{App, Config, Role};
use clap::Parser;
use mimalloc::MiMalloc;

/// Reading rows is mostly allocation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
#[command(name = "events", version, about = "events from files and to files")]
struct Arguments {
    /// Configuration file; see belvedere.example.toml
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// The data directory, instead of the configured one
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    task: transfer::Task,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    belvedere_app::run(async {
        let mut config = Config::load(arguments.config.as_deref())?;
        if let Some(data) = arguments.data {
            config.data.directory = data;
        }
        arguments.task.run(&App::init(config, Role::Scheduler).await?).await
    })
}
