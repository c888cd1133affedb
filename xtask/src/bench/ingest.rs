//! The ingest door: accepted and digested per second, latency, CPU and memory, at several concurrencies.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::server::{Api, machine};
use crate::client::Client;
use crate::process::{cargo, root};

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
