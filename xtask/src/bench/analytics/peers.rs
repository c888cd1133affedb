//! DuckDB and ClickHouse, through their Python packages.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::root;

/// The engines that answered.
#[derive(Default)]
pub(super) struct Peers(pub(super) Vec<Peer>);

/// What one engine answered, and how fast.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) version: String,
    /// How long loading took.
    pub(super) seconds: f64,
    questions: Value,
}

impl Peer {
    /// The median milliseconds of a question, and its answer.
    pub(super) fn of(&self, key: &str) -> Result<(f64, &Value)> {
        let question = &self.questions[key];
        let ms = question["ms"].as_f64().with_context(|| format!("{} was not asked {key}", self.name))?;
        Ok((ms, &question["answer"]))
    }
}

/// Asks those whose packages are there; says aloud which are not.
pub(super) fn ask(python: &Path, directory: &Path, end: u64, rounds: usize) -> Result<Peers> {
    let events = directory.join("events");
    let projects = std::fs::read_dir(&events).with_context(|| format!("no {}", events.display()))?;
    let segments = projects.flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    let output = Command::new(python)
        .arg(root().join("xtask/peers/analytics.py"))
        .arg(segments.context("the store has no segments")?)
        .arg(format!("{end}000000"))
        .arg(rounds.to_string())
        .stderr(Stdio::inherit())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("DuckDB and ClickHouse are left out: cannot start {}: {error}\n", python.display());
            return Ok(Peers::default());
        }
    };
    ensure!(output.status.success(), "the questions to DuckDB and ClickHouse failed: {}", output.status);
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let peer = |(name, peer): (&String, &Value)| {
        Ok(Peer {
            name: name.clone(),
            version: peer["version"].as_str().unwrap_or_default().to_owned(),
            seconds: peer["seconds"].as_f64().context("seconds are missing")?,
            questions: peer["questions"].clone(),
        })
    };
    Ok(Peers(found.as_object().into_iter().flatten().map(peer).collect::<Result<_>>()?))
}
