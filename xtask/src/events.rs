//! `cargo xtask events`: events from files and to files, with the program of the same name.

use anyhow::Result;
use clap::Args;

use crate::process::cargo;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// `import FILE --project N` or `export FILE --project N`; `--help` says what else there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "events", "--"]);
    // Paths are meant from where the caller stands, not from the workspace's root.
    command.0.args(&options.arguments).current_dir(std::env::current_dir()?);
    command.run()
}
