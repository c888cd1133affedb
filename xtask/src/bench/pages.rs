//! Pages that people look at, over a store of product events and an imported ledger: how long the server takes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::browser::Browser;
use super::issues::{now_seconds, rfc3339};
use super::load::quantile;
use super::server::{Api, machine};
use crate::client::Client;
use crate::process::{built, cargo, root};

#[derive(Args)]
pub(crate) struct Options {
    /// How many events of 180 days
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Customers with a subscription
    #[arg(long, default_value_t = 20_000)]
    customers: u64,
    /// Times that each page is asked for
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// Look at the pages with headless Chromium too, for the first paint
    #[arg(long)]
    chromium: bool,
    /// Measure the release build that is there
    #[arg(long)]
    no_build: bool,
    /// Keep the filled data directory here, and use it again if it is there
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Times that the browser asks for a page.
const PAINTS: usize = 9;

/// How long nobody looks after a restart.
const UNLOOKED: Duration = Duration::from_secs(10);

/// Lines of one import.
const LINES: u64 = 5_000;

/// The pages and what they are called.
const PAGES: [(&str, &str); 11] = [
    ("Executive", "/business"),
    ("Executive, this day", "/business?period=day"),
    ("Executive, this quarter", "/business?period=quarter"),
    ("Executive, who is there now", "/business?fragment=rows"),
    ("Revenue", "/business/revenue"),
    ("Trends", "/insights/trends?event=page_view"),
    ("Trends by country", "/insights/trends?event=page_view&by=country"),
    ("Funnels", "/insights/funnels?step=page_view&step=Signed+Up&step=Trial+Started"),
    ("Retention", "/insights/retention"),
    ("Paths", "/insights/paths?event=page_view"),
    ("Activity", "/events"),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        cargo(&["build", "--release", "--package", "api"]).run()?;
        cargo(&["build", "--release", "--package", "belvedere-event-store", "--example", "analytics"])
            .run()?;
    }
    println!("{}", machine());
    let folder = format!("pages-{}", options.events);
    let directory =
        options.keep.as_ref().map_or_else(|| root().join("target/bench-pages"), Clone::clone).join(folder);
    let measured = fill(&directory, options).and_then(|()| measure(&directory, options));
    if options.keep.is_none() {
        let _ = std::fs::remove_dir_all(&directory);
    }
    measured
}

/// Fills a directory, unless it was filled before.
fn fill(directory: &Path, options: &Options) -> Result<()> {
    let note = directory.join("pages.json");
    if note.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    let end = now_seconds();
    let server = Api::start_in(Some(directory.to_owned()), None, &[])?;
    import(&server, options.customers, end)?;
    let project = server.project.clone();
    drop(server);
    let mut loader = Command::new(built("release", "examples/analytics"));
    loader.arg("load-known").arg(directory).arg(project);
    loader.arg(options.events.to_string()).arg(format!("{end}000000"));
    let output = loader.stdout(Stdio::piped()).output().context("cannot start the loader")?;
    ensure!(output.status.success(), "the loader failed: {}", output.status);
    let loaded: Value = serde_json::from_slice(&output.stdout)?;
    println!(
        "{} events of {} people loaded in {} s\n",
        loaded["events"], loaded["subjects"], loaded["seconds"]
    );
    std::fs::write(note, output.stdout)?;
    Ok(())
}

/// Subscriptions that began in the last two years; some change, some end.
fn import(server: &Api, customers: u64, end: u64) -> Result<()> {
    let mut client = Client::connect(&server.host)?;
    let path = format!("/api/v1/business/subscriptions/import?project={}", server.project);
    let headers = format!("authorization: Bearer {}\r\ncontent-type: text/csv\r\n", server.token);
    for first in (0..customers).step_by(LINES as usize / 2) {
        let mut file = "id,customer,subscription,kind,at,plan,amount,currency,interval\n".to_owned();
        for customer in first..customers.min(first + LINES / 2) {
            let mixed = customer.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let began = end - mixed % (730 * 86_400);
            let (plan, amount) =
                [("starter", "9.00"), ("pro", "29.00"), ("team", "99.00")][mixed as usize % 3];
            file.push_str(&format!(
                "s{customer},c{customer},sub-{customer},started,{},{plan},{amount},EUR,month\n",
                rfc3339(began)
            ));
            let later = began + (mixed >> 8) % (300 * 86_400);
            if customer % 3 == 0 && later < end {
                file.push_str(&format!(
                    "e{customer},c{customer},sub-{customer},cancelled,{},,,,\n",
                    rfc3339(later)
                ));
            }
        }
        let response = client.send("POST", &path, &headers, file.as_bytes())?;
        let answer = response.json()?;
        ensure!(response.status == 200 && answer["refused"] == 0, "the import was refused: {answer}");
    }
    Ok(())
}

fn measure(directory: &Path, options: &Options) -> Result<()> {
    let server = Api::start_in(Some(directory.to_owned()), None, &[])?;
    let cookie = server.sign_in()?;
    let headers = format!("cookie: {cookie}\r\n");
    let browser = options.chromium.then(Browser::start).transpose()?;
    if let Some(browser) = &browser {
        browser.keep(&format!("http://{}/sign-in", server.host), &cookie)?;
    }
    let painted = if browser.is_some() { " first paint, median ms | most |" } else { "" };
    println!("| page | first after a restart, ms | p50 | p95 | max |{painted}");
    println!("|---|---|---|---|---|{}", if browser.is_some() { "---|---|" } else { "" });
    let mut client = Client::connect(&server.host)?;
    for (title, path) in PAGES {
        let path = format!("/projects/{}{path}", server.project);
        let times = ask_often(&mut client, &path, &headers, options.rounds)?;
        print!("| {title} | {}", row(times));
        if let Some(browser) = browser.as_ref().filter(|_| !path.contains("fragment")) {
            let address = format!("http://{}{path}", server.host);
            let paints = (0..PAINTS).map(|_| browser.first_paint_ms(&address));
            let mut paints = paints.collect::<Result<Vec<f64>>>()?;
            paints.sort_by(f64::total_cmp);
            print!(" {:.0} | {:.0} |", paints[PAINTS / 2], paints[PAINTS - 1]);
        }
        println!();
    }
    // Each asks for another goal, so that no answer is given again.
    for (title, period) in [("day", "day"), ("month", "month"), ("quarter", "quarter")] {
        let mut times = Vec::new();
        for round in 0..options.rounds.clamp(2, 11) {
            let path = format!(
                "/api/v1/business/metrics?project={}&period={period}&goal=goal-{period}-{round}",
                server.project
            );
            let started = Instant::now();
            client.api("GET", &path, &server.token, None)?;
            times.push(started.elapsed());
        }
        println!("| all numbers of this {title}, made anew | {}", row(times));
    }
    let peak = server.peak_rss_mb()?;
    drop((client, server));
    looked_at_before(directory, options)?;
    println!("\npeak RSS of the server: {peak:.0} MB");
    Ok(())
}

/// How long a page takes the first time, and so many times more.
fn ask_often(client: &mut Client, path: &str, headers: &str, rounds: usize) -> Result<Vec<Duration>> {
    let ask = |_| {
        let started = Instant::now();
        let response = client.send("GET", path, headers, b"")?;
        ensure!(response.status == 200, "{path}: status {}", response.status);
        Ok(started.elapsed())
    };
    (0..=rounds).map(ask).collect()
}

/// The page of all numbers after another restart, which has it ready because it was looked at before.
fn looked_at_before(directory: &Path, options: &Options) -> Result<()> {
    let server = Api::start_in(Some(directory.to_owned()), None, &[])?;
    let headers = format!("cookie: {}\r\n", server.sign_in()?);
    std::thread::sleep(UNLOOKED);
    let mut client = Client::connect(&server.host)?;
    let path = format!("/projects/{}/business", server.project);
    let times = ask_often(&mut client, &path, &headers, options.rounds)?;
    println!("| Executive, {} s after a restart | {}", UNLOOKED.as_secs(), row(times));
    Ok(())
}

/// The first time, and p50, p95 and the most of the others, in milliseconds.
fn row(mut times: Vec<Duration>) -> String {
    let first = times.remove(0);
    times.sort_unstable();
    format!(
        "{:.0} | {:.1} | {:.1} | {:.1} |",
        first.as_secs_f64() * 1e3,
        quantile(&times, 0.5),
        quantile(&times, 0.95),
        quantile(&times, 1.0)
    )
}
