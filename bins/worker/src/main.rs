//! `worker`: digests accepted payloads and runs jobs, beside any number of others

use std::path::PathBuf;

use anyhow::Result;
use belvedere_app::{App, Config, Role, init_telemetry, until_interrupted};
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
    belvedere_app::run(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<()> {
    let config = Config::load(arguments.config.as_deref())?;
    if arguments.check_config {
        println!("the configuration is valid");
        return Ok(());
    }
    init_telemetry(&config.log);
    let app = App::init(config, Role::Worker).await?;
    app.start();
    until_interrupted().await;
    app.stop().await;
    Ok(())
}
