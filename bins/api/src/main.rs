//! `api`: the door, the API and the pages; alone also the digest, the jobs and the schedules.

mod arguments;
mod serve;

use anyhow::Result;
use belvedere_app::{App, Config, connect_database, init_telemetry};
use clap::Parser;
use mimalloc::MiMalloc;

use arguments::Arguments;

/// Parsing and scrubbing events is mostly allocation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<()> {
    belvedere_app::run(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<()> {
    if arguments.print_openapi {
        println!("{}", belvedere_http::openapi().to_pretty_json()?);
        return Ok(());
    }
    let mut config = Config::load(arguments.config.as_deref())?;
    arguments.lay_over(&mut config);
    if arguments.check_config {
        println!("the configuration is valid");
        return Ok(());
    }
    init_telemetry(&config.log);
    if let Some(migrate) = arguments.migrate {
        return migrate.run(&connect_database(&config).await?).await;
    }
    let app = App::init(config, arguments.role.into()).await?;
    serve::run(app, arguments.first_steps, arguments.json).await
}
