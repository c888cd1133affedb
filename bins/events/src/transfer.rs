use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use belvedere_app::App;
use belvedere_event_transfer::{Export, Format, Import, export, import};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use clap::{Subcommand, ValueEnum};

/// The bar's length in characters.
const BAR: u64 = 30;

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Read events from a file; each counts once, however often it is imported
    Import {
        /// A file of Parquet, CSV or NDJSON
        file: PathBuf,
        /// The project's number
        #[arg(long)]
        project: i64,
        /// How it is written, if its name does not say it
        #[arg(long, value_enum)]
        format: Option<FormatArgument>,
    },
    /// Write the events of a project to a file
    Export {
        /// A file of Parquet, CSV or NDJSON
        file: PathBuf,
        /// The project's number
        #[arg(long)]
        project: i64,
        /// From this instant on, such as 2026-11-01T00:00:00Z
        #[arg(long)]
        from: Option<String>,
        /// Before this instant
        #[arg(long)]
        until: Option<String>,
        /// How to write it, if its name does not say it
        #[arg(long, value_enum)]
        format: Option<FormatArgument>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum FormatArgument {
    /// Apache Parquet
    Parquet,
    /// RFC 4180
    Csv,
    /// One JSON object a line
    Ndjson,
}

impl From<FormatArgument> for Format {
    fn from(format: FormatArgument) -> Self {
        match format {
            FormatArgument::Parquet => Self::Parquet,
            FormatArgument::Csv => Self::Csv,
            FormatArgument::Ndjson => Self::Ndjson,
        }
    }
}

fn format_of(given: Option<FormatArgument>, file: &Path) -> Result<Format> {
    let format = given.map(Format::from).or_else(|| Format::of(file));
    format.with_context(|| format!("{} ends with neither .parquet nor .csv nor .ndjson", file.display()))
}

fn instant(text: Option<&str>, otherwise: Timestamp) -> Result<Timestamp> {
    text.map_or(Ok(otherwise), |text| text.parse().with_context(|| format!("{text:?} is no instant")))
}

impl Task {
    pub(crate) async fn run(self, app: &App) -> Result<()> {
        match self {
            Self::Import { file, project, format } => {
                let format = format_of(format, &file)?;
                let project = existing(app, project).await?;
                let (db, store, gate) = (&app.db, &app.events, app.privacy.clone());
                let wanted = Import { path: &file, format, project, db, store, gate };
                let done = import(&wanted, |now| {
                    let part = (format != Format::Parquet).then_some(now.per_mille);
                    show(part, &format!("{} rows, {} rejected", now.rows, now.rejected));
                })
                .await?;
                clear();
                println!(
                    "{} rows: {} events are new, {} were there before, {} rows were rejected",
                    done.rows, done.stored, done.duplicates, done.rejected
                );
                if let Some(path) = done.rejected_to {
                    println!("what was rejected, with line numbers and reasons: {}", path.display());
                }
            }
            Self::Export { file, project, from, until, format } => {
                let format = format_of(format, &file)?;
                let project = existing(app, project).await?;
                let from = instant(from.as_deref(), Timestamp::EPOCH)?;
                let until = instant(until.as_deref(), Timestamp::from_micros(i64::MAX / 2))?;
                let wanted = Export { path: &file, format, project, from, until, store: &app.events };
                let done = export(&wanted, |now| show(None, &format!("{} events", now.events))).await?;
                clear();
                println!("{} events", done.events);
            }
        }
        Ok(())
    }
}

async fn existing(app: &App, project: i64) -> Result<ProjectId> {
    let project = ProjectId(project);
    if app.accounts.has_project(project).await? {
        return Ok(project);
    }
    bail!("there is no project {project}");
}

/// Draws over the line before, where somebody looks.
fn show(per_mille: Option<u64>, words: &str) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = per_mille.map(|part| {
        let full = part * BAR / 1_000;
        let line = |count: u64, of: &str| of.repeat(usize::try_from(count).unwrap_or(0));
        format!("[{}{}] {:>3} %  ", line(full, "#"), line(BAR.saturating_sub(full), " "), part / 10)
    });
    let _ = write!(std::io::stderr(), "\r\x1b[K{}{words}", bar.unwrap_or_default());
}

fn clear() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}
