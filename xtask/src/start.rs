//! `cargo xtask start`: from a fresh clone to a serving platform.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::process::{built, cargo, root};

#[derive(Args)]
pub(crate) struct Options {
    /// Print one line of JSON when ready, instead of words
    #[arg(long)]
    json: bool,
    /// The port to listen on
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Where the database, the spool and the master key live
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Also play invented errors, learners and customers into a demonstration project
    #[arg(long)]
    demo: bool,
    /// Build with optimisations: slower to build, faster to run
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let profile: &[&str] = if options.release { &["--release"] } else { &[] };
    cargo(&[&["build", "--package", "api"], profile].concat()).run()?;
    let folder = if options.release { "release" } else { "debug" };
    let data = root().join(&options.data);
    if options.demo {
        // What an earlier server left there does not open this one.
        let _ = std::fs::remove_file(data.join("ready.json"));
        let data = data.to_str().context("the data directory's name is not UTF-8")?;
        let mut player = std::process::Command::new(std::env::current_exe()?);
        player.args(["demo", "--wait", "--data", data]);
        if options.json {
            player.stdout(std::process::Stdio::null());
        }
        player.spawn().context("cannot start the demonstration")?;
    }
    let mut api = std::process::Command::new(built(folder, "api"));
    api.current_dir(root())
        .arg("--first-steps")
        .arg("--data")
        .arg(&data)
        .arg("--port")
        .arg(options.port.to_string());
    if options.json {
        api.arg("--json");
    }
    // Becomes the server, so that Ctrl-C and the exit status are the server's own.
    Err(api.exec()).context("cannot start the server")
}
