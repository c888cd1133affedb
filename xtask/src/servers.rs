//! Throw-away servers for tests, started from whatever is installed and gone with the test run.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Run, find_program, program};

/// A running server; stopped and removed when dropped.
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    /// Where tests reach it.
    pub(crate) url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // An interrupt is a fast shutdown for PostgreSQL and for Redis.
        let _ = program("kill", &["-INT", &self.child.id().to_string()]).succeeds();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The folder of PostgreSQL's server programs, where they are installed.
pub(crate) fn postgres_programs() -> Option<PathBuf> {
    if let Some(initdb) = find_program(&["initdb"]) {
        return initdb.parent().map(Path::to_owned);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().find(|folder| folder.join("initdb").is_file())
}

/// A PostgreSQL server of its own.
pub(crate) fn postgres(programs: &Path) -> Result<Server> {
    let directory = temporary_directory("postgres")?;
    let data = directory.join("data");
    let data = data.to_str().context("the temporary directory's name is not UTF-8")?;
    // PostgreSQL refuses to run as root; its package brings a user for it.
    let is_root = program("sh", &["-c", "test $(id -u) = 0"]).succeeds();
    if is_root && !program("chown", &["postgres", &directory.display().to_string()]).succeeds() {
        bail!("PostgreSQL does not run as root, and there is no user postgres");
    }
    let as_owner = |name: &str, arguments: &[&str]| {
        let file = programs.join(name).display().to_string();
        if is_root {
            program("runuser", &[&["-u", "postgres", "--", &file], arguments].concat())
        } else {
            program(&file, arguments)
        }
    };
    if !as_owner("initdb", &["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"])
        .succeeds()
    {
        bail!("initdb failed in {data}");
    }
    let port = free_port()?;
    let port_text = port.to_string();
    let socket = directory.display().to_string();
    let Run(mut command) = as_owner(
        "postgres",
        &[
            "-D",
            data,
            "-p",
            &port_text,
            "-h",
            "127.0.0.1",
            "-k",
            &socket,
            "-c",
            "fsync=off",
            "-c",
            "max_connections=300",
        ],
    );
    start(&mut command, directory, port, format!("postgres://postgres@127.0.0.1:{port}/postgres"))
}

/// A Redis server of its own.
pub(crate) fn redis(server: &Path) -> Result<Server> {
    let directory = temporary_directory("redis")?;
    let port = free_port()?;
    let mut command = Command::new(server);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(&directory);
    start(&mut command, directory, port, format!("redis://127.0.0.1:{port}"))
}

fn start(command: &mut Command, directory: PathBuf, port: u16, url: String) -> Result<Server> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let mut server = Server { child, directory, url };
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = server.child.try_wait()? {
            bail!("{:?} ended at once: {status}", command.get_program());
        }
        if Instant::now() > deadline {
            bail!("{:?} does not listen after 30 s", command.get_program());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

fn temporary_directory(name: &str) -> Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("belvedere-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
