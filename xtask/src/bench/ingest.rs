//! The ingest door: accepted and digested per second, latency, CPU and memory, at several concurrencies.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::load::{Target, quantile};
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
    target(&server).load(&warm_up, concurrency.min(8))?;
    server.wait_for_digest(200)?;

    let cpu_before = server.cpu_ms()?;
    let started = Instant::now();
    let latencies = target(&server).load(&bodies, concurrency)?;
    let accepting = started.elapsed();
    server.wait_for_digest(200 + events)?;
    let digesting = started.elapsed();
    let cpu = server.cpu_ms()? - cpu_before;
    Ok(format!(
        "{:.0} | {:.2} | {:.2} | {:.0} | {:.3} | {:.0} |",
        events as f64 / accepting.as_secs_f64(),
        quantile(&latencies, 0.5),
        quantile(&latencies, 0.99),
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
        target(&server).post(&mut sender, body)?;
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

fn target(server: &Api) -> Target<'_> {
    Target { host: &server.host, path: &server.envelope_path, headers: &server.envelope_headers }
}
