//! Running other programs and saying which one failed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command that reports itself when it fails.
pub(crate) struct Run(pub(crate) Command);

impl Run {
    /// Runs it to its end with the terminal's input and output.
    pub(crate) fn run(&mut self) -> Result<()> {
        let status = self.0.status().with_context(|| format!("cannot start {:?}", self.0.get_program()))?;
        if !status.success() {
            bail!("{:?} failed: {status}", self.0);
        }
        Ok(())
    }

    /// Runs it quietly and says whether it succeeded.
    pub(crate) fn succeeds(&mut self) -> bool {
        self.0
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|it| it.success())
    }
}

/// `cargo` in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Run {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.args(arguments).current_dir(root());
    // What cargo tells this program of its own package would make build scripts of dependencies run again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    Run(command)
}

/// Any program.
pub(crate) fn program(path: impl AsRef<Path>, arguments: &[&str]) -> Run {
    let mut command = Command::new(path.as_ref());
    command.args(arguments);
    Run(command)
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Where cargo puts what it builds, in the given profile.
pub(crate) fn built(profile: &str, binary: &str) -> PathBuf {
    let target = variable("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(profile).join(binary)
}

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "a developer's tool takes its switches from the shell")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The first of these programs that is installed, by name or path.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    })
}
