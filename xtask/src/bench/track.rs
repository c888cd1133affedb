//! The door of product events: batches as Segment's clients send them, accepted and queryable per second.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;

use super::load::{Target, quantile};
use super::server::{Api, machine};
use crate::client::Client;
use crate::process::cargo;

#[derive(Args)]
pub(crate) struct Options {
    /// Events sent per measurement
    #[arg(long, default_value_t = 400_000)]
    events: usize,
    /// Measure the release build that is there
    #[arg(long)]
    no_build: bool,
}

/// Events of a request, as many as the clients' libraries gather.
const BATCH: usize = 100;
const PEOPLE: usize = 20_000;
const NAMES: [&str; 8] = [
    "Lesson Opened",
    "Feature Used",
    "Hint Asked",
    "Exercise Solved",
    "Search Used",
    "Video Played",
    "Signed Up",
    "Order Completed",
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        cargo(&["build", "--release", "--package", "api"]).run()?;
    }
    println!("{}", machine());
    println!(
        "| concurrency | accepted/s | p50 ms | p99 ms | queryable/s | CPU ms/1,000 events | peak RSS MB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for concurrency in [1, 8, 64] {
        println!("| {concurrency} | {}", measure(options.events, concurrency)?);
    }
    Ok(())
}

/// One fresh server, one load, one row.
fn measure(events: usize, concurrency: usize) -> Result<String> {
    let server = Api::start()?;
    let requests = events / BATCH;
    let bodies: Vec<String> =
        (0..requests).map(|request| batch(&server.write_key, request * BATCH)).collect();
    let cpu_before = server.cpu_ms()?;
    let started = Instant::now();
    let headers = "content-type: application/json\r\n";
    let target = Target { host: &server.host, path: "/v1/batch", headers };
    let latencies = target.load(&bodies, concurrency)?;
    let accepting = started.elapsed();
    wait_for(&server, requests * BATCH)?;
    let digesting = started.elapsed();
    let cpu = server.cpu_ms()? - cpu_before;
    let sent = (requests * BATCH) as f64;
    Ok(format!(
        "{:.0} | {:.2} | {:.2} | {:.0} | {:.1} | {:.0} |",
        sent / accepting.as_secs_f64(),
        quantile(&latencies, 0.5),
        quantile(&latencies, 0.99),
        sent / digesting.as_secs_f64(),
        cpu / sent * 1e3,
        server.peak_rss_mb()?,
    ))
}

/// An event of about 600 bytes, as Segment's library for Node sends it.
fn event(number: usize) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let person = mixed % PEOPLE;
    let name = NAMES[number % NAMES.len()];
    format!(
        r#"{{"type":"track","event":"{name}","userId":"user-{person}","messageId":"node-next-1795{number:010}-{mixed:016x}","timestamp":"2026-11-{:02}T{:02}:{:02}:{:02}.123Z","properties":{{"plan":"{}","course_id":"course-{}","feature":"feature-{}","value":{}}},"context":{{"library":{{"name":"@segment/analytics-node","version":"3.1.0"}},"locale":"en-US","page":{{"path":"/lessons/{}","url":"https://learn.example.org/lessons/{}"}},"campaign":{{"source":"newsletter"}}}},"integrations":{{}},"_metadata":{{"nodeVersion":"22.0.0","jsRuntime":"node"}}}}"#,
        1 + number % 28,
        number / 3_600 % 24,
        number / 60 % 60,
        number % 60,
        ["free", "pro", "team"][mixed % 3],
        mixed % 40,
        mixed % 12,
        mixed % 100,
        mixed % 400,
        mixed % 400,
    )
}

fn batch(write_key: &str, first: usize) -> String {
    let events: Vec<String> = (first..first + BATCH).map(event).collect();
    format!(
        r#"{{"batch":[{}],"writeKey":"{write_key}","sentAt":"2026-11-29T00:00:00.000Z"}}"#,
        events.join(",")
    )
}

/// Waits until questions count `events`.
fn wait_for(server: &Api, events: usize) -> Result<()> {
    let mut client = Client::connect(&server.host)?;
    let path = format!("/api/v1/events/names?project={}", server.project);
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let names = client.api("GET", &path, &server.token, None)?;
        let items = names["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let known = items.iter().filter(|item| NAMES.iter().any(|name| item["name"] == *name));
        let counted: u64 = known.filter_map(|item| item["events"].as_u64()).sum();
        if counted >= events as u64 {
            ensure!(counted == events as u64, "{counted} events counted of {events} sent");
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "only {counted} of {events} events queryable after 300 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}
