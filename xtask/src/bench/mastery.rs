//! How well the next attempt is predicted, on a file or on simulated learners, beside BKT, PFA and Elo.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::process::cargo;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Options {
    /// CSV with the columns user, skill, item, correct, order; skills divided by semicolons
    file: Option<PathBuf>,
    /// Simulated learners instead, whose model is known; no figure of real ones
    #[arg(long)]
    generate: Option<Model>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    /// Abilities, difficulties and steady learning
    Irt,
    /// Skills that are known or not, guessed and slipped
    Bkt,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut arguments =
        vec!["run", "--quiet", "--package", "belvedere-learning-analytics", "--example", "mastery"];
    arguments.push("--");
    match (&options.file, options.generate) {
        (Some(file), _) => arguments.push(file.to_str().context("the file's name is not UTF-8")?),
        (None, Some(Model::Bkt)) => arguments.extend(["--generate", "bkt"]),
        (None, _) => arguments.extend(["--generate", "irt"]),
    }
    cargo(&arguments).run()
}
