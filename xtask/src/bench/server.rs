//! The server that is measured: a release build of `api` in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client::{Client, parse_dsn};
use crate::process::{Run, built, root};
use crate::servers::free_port;

/// A release build of `api` with a data directory of its own.
pub(crate) struct Api {
    child: Child,
    directory: PathBuf,
    /// Whether the directory outlives the process.
    keeps: bool,
    pub(crate) host: String,
    pub(crate) project: String,
    pub(crate) token: String,
    sign_in: String,
    pub(crate) envelope_path: String,
    pub(crate) envelope_headers: String,
    /// The key of product events.
    pub(crate) write_key: String,
    /// Headers of a learning tool.
    pub(crate) xapi_headers: String,
    /// Headers of envelopes that are not compressed.
    pub(crate) plain_headers: String,
}

impl Api {
    pub(crate) fn start() -> Result<Self> {
        Self::start_in(None, None, &[])
    }

    /// With its data in `directory`, which stays, on a PostgreSQL database, which is migrated, instead of the embedded
    /// one, and with `settings` in its environment.
    pub(crate) fn start_in(
        directory: Option<PathBuf>,
        postgres: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let port = free_port()?;
        let keeps = directory.is_some();
        let directory = directory.unwrap_or_else(|| root().join(format!("target/bench-{port}")));
        let command = |arguments: &[&str]| {
            let mut command = Command::new(built("release", "api"));
            command.args(arguments).arg("--data").arg(&directory).env("BELVEDERE_LOG_FILTER", "warn");
            command.envs(settings.iter().copied());
            if let Some(url) = postgres {
                command.env("BELVEDERE_DATABASE_URL", url);
            }
            command
        };
        if postgres.is_some() {
            Run(command(&["--migrate", "up"])).run()?;
        }
        let mut command = command(&["--first-steps", "--json", "--port", &port.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start api")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("api printed {line:?}"))?;
        let text =
            |key: &str| ready[key].as_str().map(str::to_owned).with_context(|| format!("{key} is missing"));
        let (key, host, project) = parse_dsn(&text("dsn")?)?;
        let plain_headers = format!(
            "content-type: application/x-sentry-envelope\r\n\
             x-sentry-auth: Sentry sentry_key={key}, sentry_version=7, sentry_client=sentry.python/2.75.0\r\n"
        );
        Ok(Self {
            child,
            directory,
            keeps,
            host,
            envelope_path: format!("/api/{project}/envelope/"),
            envelope_headers: format!("content-encoding: gzip\r\n{plain_headers}"),
            plain_headers,
            project,
            xapi_headers: xapi_headers(&text("xapi_key")?, &text("xapi_secret")?),
            token: text("api_token")?,
            write_key: text("write_key")?,
            sign_in: text("sign_in")?,
        })
    }

    /// The cookie of a session of the first owner; the link works once.
    pub(crate) fn sign_in(&self) -> Result<String> {
        let path = self.sign_in.split_once(&self.host).map_or(self.sign_in.as_str(), |(_, path)| path);
        let headers = "content-type: application/x-www-form-urlencoded\r\n";
        let response = Client::connect(&self.host)?.send("POST", path, headers, b"")?;
        response.cookie.with_context(|| format!("signing in: status {}", response.status))
    }

    /// How many events are counted: every one of them has a level.
    pub(crate) fn count_events(&self) -> Result<u64> {
        let mut client = Client::connect(&self.host)?;
        let path = format!("/api/v1/tags?project={}", self.project);
        let tags = client.api("GET", &path, &self.token, None)?;
        let keys = tags["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let level = keys.iter().find(|key| key["key"] == "level");
        Ok(level.and_then(|key| key["events"].as_u64()).unwrap_or(0))
    }

    /// Waits until the project's counts of stored events say `events`.
    pub(crate) fn wait_for_digest(&self, events: usize) -> Result<()> {
        let mut client = Client::connect(&self.host)?;
        let path = format!("/api/v1/issues?project={}", self.project);
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let issues = client.api("GET", &path, &self.token, None)?;
            let rows = issues["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let stored: u64 = rows.iter().filter_map(|issue| issue["events"].as_u64()).sum();
            if stored >= events as u64 {
                ensure!(stored == events as u64, "{stored} events stored of {events} sent");
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "only {stored} of {events} events digested after 120 s");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// CPU time of the process so far (fields 14 and 15 of /proc/pid/stat, in ticks of 10 ms).
    pub(crate) fn cpu_ms(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) * 10.0)
    }

    /// What the files of the embedded database take, in bytes.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let files = std::fs::read_dir(&self.directory)?.filter_map(Result::ok);
        let of_database = files.filter(|file| file.file_name().to_string_lossy().starts_with("belvedere.db"));
        of_database.map(|file| Ok(file.metadata()?.len())).sum()
    }

    pub(crate) fn peak_rss_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.keeps {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// What a learning tool sends with every request.
fn xapi_headers(key: &str, secret: &str) -> String {
    let basic = base64(format!("{key}:{secret}").as_bytes());
    format!(
        "authorization: Basic {basic}\r\ncontent-type: application/json\r\nx-experience-api-version: 2.0.0\r\n"
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            (0..3).fold(0, |number, at| number << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = alphabet[(number >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The machine, in words.
pub(crate) fn machine() -> String {
    let cpu = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores,{}; load generator on the same cores\n",
        model.trim_start_matches(['\t', ' ', ':']).trim()
    )
}
