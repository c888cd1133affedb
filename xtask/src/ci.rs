//! What continuous integration runs, and what it needs installed.

use anyhow::{Result, bail};

use crate::process::{cargo, find_program, program};
use crate::servers::postgres_programs;

/// Format, lints, documentation, licences and sources of dependencies, then every test.
pub(crate) fn run() -> Result<()> {
    cargo(&["fmt", "--all", "--check"]).run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()?;
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    documentation.0.env("RUSTDOCFLAGS", "-D warnings");
    documentation.run()?;
    // Looking at the dependencies of all platforms needs all of them downloaded.
    cargo(&["fetch", "--locked"]).run()?;
    cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]).run()?;
    cargo(&["xtask", "test"]).run()
}

/// Installs PostgreSQL, Redis and Chromium from the system's packages, and cargo-deny, as far as they are missing.
pub(crate) fn setup() -> Result<()> {
    let mut packages = Vec::new();
    if postgres_programs().is_none() {
        packages.push("postgresql");
    }
    if find_program(&["redis-server", "valkey-server"]).is_none() {
        packages.push("redis-server");
    }
    if find_program(&["chromium", "chromium-browser", "google-chrome"]).is_none() {
        packages.push("chromium");
    }
    if find_program(&["chromedriver"]).is_none() {
        packages.push("chromium-driver");
    }
    if !packages.is_empty() {
        let Some(apt) = find_program(&["apt-get"]) else {
            bail!("please install {} with this system's package manager", packages.join(", "));
        };
        program(&apt, &["update"]).run()?;
        let mut install = program(&apt, &["install", "--yes", "--no-install-recommends"]);
        install.0.args(&packages).env("DEBIAN_FRONTEND", "noninteractive");
        install.run()?;
    }
    if !cargo(&["deny", "--version"]).succeeds() {
        // Built without optimisation: it runs for seconds, and that would take minutes.
        cargo(&["install", "cargo-deny", "--locked", "--no-default-features", "--debug"]).run()?;
    }
    println!("everything that the whole test suite needs is installed");
    Ok(())
}
