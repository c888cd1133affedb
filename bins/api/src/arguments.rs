use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use belvedere_app::{Config, Database, Role};
use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(name = "api", version, about = "Belvedere: the door, the API and the pages")]
pub(crate) struct Arguments {
    /// Configuration file; see belvedere.example.toml
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// The data directory, instead of the configured one
    #[arg(long)]
    data: Option<PathBuf>,
    /// The port to listen on, instead of the configured one
    #[arg(long)]
    port: Option<u16>,
    /// What this process does
    #[arg(long, value_enum, default_value_t)]
    pub(crate) role: RoleArgument,
    /// Make the first organisation, project and owner if there are none, and print how to get in
    #[arg(long)]
    pub(crate) first_steps: bool,
    /// With --first-steps: print one line of JSON when ready
    #[arg(long, requires = "first_steps")]
    pub(crate) json: bool,
    /// Explain what is wrong with the configuration, and do nothing else
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Change or show the schema and end: up, down:COUNT or status
    #[arg(long)]
    pub(crate) migrate: Option<Migrate>,
    /// Print the OpenAPI document of the HTTP API and end
    #[arg(long)]
    pub(crate) print_openapi: bool,
}

impl Arguments {
    /// Puts what was said on the command line over what the file and the environment say.
    pub(crate) fn lay_over(&self, config: &mut Config) {
        if let Some(data) = &self.data {
            config.data.directory.clone_from(data);
        }
        if let Some(port) = self.port {
            config.server.address.set_port(port);
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum RoleArgument {
    /// Everything in one process
    #[default]
    All,
    /// The door, the API and the pages; workers and schedulers run elsewhere
    Api,
}

impl From<RoleArgument> for Role {
    fn from(role: RoleArgument) -> Self {
        match role {
            RoleArgument::All => Self::All,
            RoleArgument::Api => Self::Api,
        }
    }
}

/// What to do with the schema.
#[derive(Clone, Copy)]
pub(crate) enum Migrate {
    Up,
    Down(u32),
    Status,
}

impl FromStr for Migrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "up" => Ok(Self::Up),
            None if text == "status" => Ok(Self::Status),
            Some(("down", count)) => {
                count.parse().map(Self::Down).map_err(|_| format!("not a number: {count:?}"))
            }
            _ => Err("expected up, down:COUNT or status".to_owned()),
        }
    }
}

impl Migrate {
    /// Does it and says what is pending afterwards.
    pub(crate) async fn run(self, db: &Database) -> Result<()> {
        match self {
            Self::Up => db.migrate().await?,
            Self::Down(count) => db.migrate_down(count).await?,
            Self::Status => {}
        }
        let pending = db.list_pending_migrations().await?;
        match pending.as_slice() {
            [] => println!("the schema is up to date"),
            pending => println!("pending:\n  {}", pending.join("\n  ")),
        }
        Ok(())
    }
}
