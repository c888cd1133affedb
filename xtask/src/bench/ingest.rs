//! The ingest door: accepted and digested per second, latency, CPU and memory, at several concurrencies.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::client::{Client, parse_dsn};
use crate::process::{built, cargo, root};
use crate::servers::free_port;

#[derive(Args)]
pub(crate) struct Options {
    /// Events sent per measurement
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Measure the release build that is there
    #[arg(long)]
    no_build: bool,
}

/// The payloads measured: a real error of the Python SDK of about 23 KB with gzip, and one of 2 KB.
const PAYLOADS: [(&str, &str); 2] = [
    ("23 KB, gzip", "tests/fixtures/sentry/big_python_error.json"),
    ("2 KB, gzip", "tests/fixtures/sentry/small_error.json"),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        cargo(&["build", "--release", "--package", "api"]).run()?;
    }
    println!("{}", machine());
    println!(
        "| payload | concurrency | accepted/s | p50 ms | p99 ms | digested/s | CPU ms/event | peak RSS MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, path) in PAYLOADS {
        let template: Value = serde_json::from_slice(&std::fs::read(root().join(path))?)?;
        for concurrency in [1, 8, 16, 64] {
            let events = if concurrency == 1 { options.events / 10 } else { options.events };
            let row = measure(&template, events, concurrency)?;
            println!("| {name} | {concurrency} | {row}");
        }
    }
    visible()
}

/// One fresh server, one load, one row.
fn measure(template: &Value, events: usize, concurrency: usize) -> Result<String> {
    let server = Api::start()?;
    let bodies = envelopes(template, events, 0)?;
    let warm_up = envelopes(template, 200, events)?;
    load(&server, &warm_up, concurrency.min(8))?;
    server.wait_for_digest(200)?;

    let cpu_before = server.cpu_ms()?;
    let started = Instant::now();
    let mut latencies = load(&server, &bodies, concurrency)?;
    let accepting = started.elapsed();
    server.wait_for_digest(200 + events)?;
    let digesting = started.elapsed();
    let cpu = server.cpu_ms()? - cpu_before;
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    Ok(format!(
        "{:.0} | {:.2} | {:.2} | {:.0} | {:.3} | {:.0} |",
        events as f64 / accepting.as_secs_f64(),
        quantile(0.5),
        quantile(0.99),
        events as f64 / digesting.as_secs_f64(),
        cpu / events as f64,
        server.peak_rss_mb()?,
    ))
}

/// From sending to being found by the API, on an idle server.
fn visible() -> Result<()> {
    let server = Api::start()?;
    let template: Value = serde_json::from_slice(&std::fs::read(root().join(PAYLOADS[0].1))?)?;
    let mut times = Vec::new();
    let (mut sender, mut reader) = (Client::connect(&server.host)?, Client::connect(&server.host)?);
    let authorization = format!("authorization: Bearer {}\r\n", server.token);
    for (number, body) in envelopes(&template, 100, 0)?.iter().enumerate() {
        std::thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        post(&mut sender, &server, body)?;
        let path = format!("/api/v1/events/{}?project={}", event_id(number), server.project);
        while reader.send("GET", &path, &authorization, b"")?.status != 200 {
            ensure!(
                started.elapsed() < Duration::from_secs(10),
                "an event did not become visible within 10 s"
            );
            std::thread::sleep(Duration::from_micros(500));
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    println!(
        "\nsend to visible by the API, idle, 100 events of 23 KB: p50 {:.1} ms, max {:.1} ms",
        ms(50),
        ms(99)
    );
    Ok(())
}

fn event_id(number: usize) -> String {
    format!("{:032x}", number + 1)
}

/// Distinct envelopes as the Python SDK sends them, compressed.
fn envelopes(template: &Value, count: usize, first: usize) -> Result<Vec<Vec<u8>>> {
    let mut event = template.clone();
    let mut bodies = Vec::with_capacity(count);
    for number in first..first + count {
        let id = event_id(number);
        event["event_id"] = Value::String(id.clone());
        if let Some(fields) = event.as_object_mut() {
            fields.remove("timestamp");
        }
        event["user"]["id"] = Value::String(format!("learner-{}", number % 997));
        let payload = serde_json::to_vec(&event)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        write!(encoder, "{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n", payload.len())?;
        encoder.write_all(&payload)?;
        bodies.push(encoder.finish()?);
    }
    Ok(bodies)
}

fn post(client: &mut Client, server: &Api, body: &[u8]) -> Result<()> {
    let response = client.send("POST", &server.envelope_path, &server.envelope_headers, body)?;
    if response.status != 200 {
        bail!("status {}: {}", response.status, String::from_utf8_lossy(&response.body));
    }
    Ok(())
}

/// Sends every body once over `concurrency` connections; the time each took.
fn load(server: &Api, bodies: &[Vec<u8>], concurrency: usize) -> Result<Vec<Duration>> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<Duration>> {
        let mut client = Client::connect(&server.host)?;
        let mut times = Vec::with_capacity(bodies.len() / concurrency + 1);
        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            post(&mut client, server, body)?;
            times.push(started.elapsed());
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..concurrency).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::with_capacity(bodies.len());
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??);
        }
        Ok(all)
    })
}

/// A release build of `api` with a data directory of its own.
struct Api {
    child: Child,
    directory: PathBuf,
    host: String,
    project: String,
    token: String,
    envelope_path: String,
    envelope_headers: String,
}

impl Api {
    fn start() -> Result<Self> {
        let port = free_port()?;
        let directory = root().join(format!("target/bench-{port}"));
        let mut command = Command::new(built("release", "api"));
        command
            .arg("--first-steps")
            .arg("--json")
            .arg("--port")
            .arg(port.to_string())
            .arg("--data")
            .arg(&directory);
        command.env("BELVEDERE_LOG_FILTER", "warn");
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start api")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("api printed {line:?}"))?;
        let text =
            |key: &str| ready[key].as_str().map(str::to_owned).with_context(|| format!("{key} is missing"));
        let (key, host, project) = parse_dsn(&text("dsn")?)?;
        Ok(Self {
            child,
            directory,
            host,
            envelope_path: format!("/api/{project}/envelope/"),
            envelope_headers: format!(
                "content-type: application/x-sentry-envelope\r\ncontent-encoding: gzip\r\n\
                 x-sentry-auth: Sentry sentry_key={key}, sentry_version=7, sentry_client=sentry.python/2.75.0\r\n"
            ),
            project,
            token: text("api_token")?,
        })
    }

    /// Waits until the project's counts of stored events say `events`.
    fn wait_for_digest(&self, events: usize) -> Result<()> {
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
    fn cpu_ms(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) * 10.0)
    }

    fn peak_rss_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores,{}; load generator on the same cores\n",
        model.trim_start_matches(['\t', ' ', ':']).trim()
    )
}
