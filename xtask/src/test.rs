//! `cargo xtask test`: the embedded suites everywhere, and those with servers wherever the servers are installed.

use anyhow::{Result, bail};
use clap::Args;

use crate::process::{cargo, find_program, variable};
use crate::servers::{Server, postgres, postgres_programs, redis};

#[derive(Args)]
pub(crate) struct Options {
    /// Passed on to `cargo test`, such as `-p belvedere-storage` or a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut left_out = Vec::new();
    let mut servers: Vec<Server> = Vec::new();
    let mut environment: Vec<(&str, String)> = Vec::new();
    let mut offer = |name: &'static str, suite: &'static str, server: Option<Result<Server>>| -> Result<()> {
        if variable(name).is_some() {
            return Ok(());
        }
        match server {
            Some(server) => {
                let server = server?;
                environment.push((name, server.url.clone()));
                servers.push(server);
            }
            None => left_out.push(suite),
        }
        Ok(())
    };
    let wanted = |name: &str| variable(name).is_none();
    let programs = postgres_programs().filter(|_| wanted("TEST_POSTGRES_URL"));
    offer(
        "TEST_POSTGRES_URL",
        "PostgreSQL (server programs not found)",
        programs.map(|programs| postgres(&programs)),
    )?;
    let program = find_program(&["redis-server", "valkey-server"]).filter(|_| wanted("TEST_REDIS_URL"));
    offer("TEST_REDIS_URL", "Redis (redis-server not found)", program.map(|program| redis(&program)))?;
    if find_program(&["chromedriver"]).is_none()
        || find_program(&["chromium", "chromium-browser", "google-chrome"]).is_none()
    {
        left_out.push("browser (chromium and chromedriver not found)");
    }
    for suite in &left_out {
        eprintln!("LEFT OUT: {suite}; `cargo xtask setup` installs it");
    }
    if !left_out.is_empty() && variable("CI").is_some() {
        bail!("no suite may be left out under CI");
    }
    // The end-to-end tests start the real binaries.
    cargo(&["build", "--package", "api", "--package", "worker", "--package", "scheduler"]).run()?;
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    tests.0.args(&options.arguments).envs(environment);
    if variable("RUST_TEST_THREADS").is_none() {
        // Most tests wait for databases, sockets and clocks half of their time.
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        tests.0.env("RUST_TEST_THREADS", (2 * processors).to_string());
    }
    tests.run()
}
