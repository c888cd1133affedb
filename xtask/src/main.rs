//! The developer's tool: start, test, check, migrate, demonstrate and measure Belvedere with one command each.

mod bench;
mod ci;
mod client;
mod demo;
mod events;
mod migrate;
mod process;
mod servers;
mod start;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Belvedere for developers")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build Belvedere, set it up on first use, and serve until Ctrl-C
    Start(start::Options),
    /// Run every test suite that this machine has the servers for
    Test(test::Options),
    /// Install what the whole test suite needs: PostgreSQL, Redis, Chromium, cargo-deny
    Setup,
    /// Exactly what continuous integration runs
    Ci,
    /// Work on the database's schema
    #[command(subcommand)]
    Migrate(migrate::Options),
    /// Play a week of errors into a demonstration project of a running server
    Demo(demo::Options),
    /// Import events from a file or export them to one: Parquet, CSV or NDJSON
    Events(events::Options),
    /// Measure: whole process, real sockets, real fsync
    #[command(subcommand)]
    Bench(bench::Options),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Start(options) => start::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Setup => ci::setup(),
        Task::Ci => ci::run(),
        Task::Migrate(options) => migrate::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Events(options) => events::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Openapi => {
            process::cargo(&["run", "--quiet", "--package", "api", "--", "--print-openapi"]).run()
        }
    }
}
