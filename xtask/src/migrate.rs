//! `cargo xtask migrate`: make, apply, undo and list migrations.

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::process::{cargo, root};

#[derive(Subcommand)]
pub(crate) enum Options {
    /// Make an empty migration of a slice, such as `new error_tracking add_assignee`
    New {
        /// The slice whose tables it changes
        slice: String,
        /// What it does, in words joined by underscores
        name: String,
    },
    /// Apply every pending migration to the configured database
    Up,
    /// Undo the newest migrations
    Down {
        /// How many
        #[arg(default_value_t = 1)]
        count: u32,
    },
    /// List the pending migrations
    Status,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let api = ["run", "--quiet", "--package", "api", "--", "--migrate"];
    match options {
        Options::New { slice, name } => create(slice, name),
        Options::Up => cargo(&[&api[..], &["up"]].concat()).run(),
        Options::Down { count } => cargo(&[&api[..], &[&format!("down:{count}")]].concat()).run(),
        Options::Status => cargo(&[&api[..], &["status"]].concat()).run(),
    }
}

fn create(slice: &str, name: &str) -> Result<()> {
    let word =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    ensure!(word(slice) && word(name), "slice and name are lower-case letters and underscores");
    let folder = root().join("migrations/src");
    let list_path = folder.join("lib.rs");
    let list = std::fs::read_to_string(&list_path)?;
    let newest = list
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("Box::new(m"))
        .context("no migration yet")?;
    let (date, number) = (newest.get(..8).unwrap_or_default(), newest.get(9..15).unwrap_or_default());
    let number: u32 = number.parse().context("the newest migration has no number")?;
    let module = format!("m{date}_{:06}_{slice}_{name}", number + 1);
    let text = TEMPLATE.replace("SLICE", slice);
    std::fs::write(folder.join(format!("{module}.rs")), text)?;
    let list = list.replacen("\n/// Applies", &format!("mod {module};\n\n/// Applies"), 1).replacen(
        "\n        ]",
        &format!("\n            Box::new({module}::Migration),\n        ]"),
        1,
    );
    std::fs::write(&list_path, list)?;
    println!("migrations/src/{module}.rs");
    Ok(())
}

const TEMPLATE: &str = r#"//! SLICE: say what changes and why.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("").await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("").await.map(drop)
    }
}
"#;
