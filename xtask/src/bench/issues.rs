//! The list of issues: filled through the door with as many events and issues as are asked for, then timed over HTTP.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::server::{Api, machine};
use crate::client::Client;
use crate::process::cargo;

#[derive(Args)]
pub(crate) struct Options {
    /// Events sent
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Issues that they belong to
    #[arg(long, default_value_t = 20_000)]
    issues: usize,
    /// Times that each question is asked
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// Measure the release build that is there
    #[arg(long)]
    no_build: bool,
    /// A PostgreSQL database to fill instead of the embedded one: postgres://user:password@host/database
    #[arg(long)]
    postgres: Option<String>,
    /// Keep the filled data directory here, and use it again if it is there
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// How many connections send.
const SENDERS: usize = 16;

/// Times that a question is asked before it counts.
const WARM_UP: usize = 3;

/// How far back the events lie.
const DAYS: u64 = 29;

/// A trace of the first event, for the question that looks for one.
const TRACE: &str = "000000000000000000000000000000a7";

/// What is asked: a name and the query string of the list.
const QUESTIONS: [(&str, &str); 21] = [
    ("last seen", ""),
    ("first seen", "sort=first_seen"),
    ("events", "sort=events"),
    ("subjects", "sort=subjects"),
    ("trend", "sort=trend"),
    ("is:unresolved", "query=is%3Aunresolved"),
    ("is:resolved (none)", "query=is%3Aresolved"),
    ("common tag", "query=environment%3Aproduction"),
    ("common tag, by events", "query=environment%3Aproduction&sort=events"),
    ("rare tag", "query=customer%3Ac17&sort=events"),
    ("release", "query=release%3Ashop%402.17.0"),
    ("release glob", "query=release%3Ashop%402.1*"),
    ("negated tag", "query=%21plan%3Afree"),
    ("level and negation", "query=level%3A%3E%3Derror%20%21browser.name%3AFirefox"),
    ("common word", "query=failed"),
    ("rare words", "query=%22step%204711%22"),
    ("word and tag, by subjects", "query=failed%20plan%3Apro&sort=subjects"),
    ("trace", "query=trace%3A000000000000000000000000000000a7"),
    ("times_seen", "query=times_seen%3A%3E1000&sort=events"),
    ("last 24 h", "since=DAY"),
    ("last 24 h, by events", "since=DAY&sort=events"),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        cargo(&["build", "--release", "--package", "api"]).run()?;
    }
    println!("{}", machine());
    let server = Api::start_in(options.keep.clone(), options.postgres.as_deref(), &[])?;
    if server.count_events()? == 0 {
        fill(&server, options)?;
    }
    println!("| list of issues | p50 ms | p95 ms | max ms | matching |");
    println!("|---|---|---|---|---|");
    let day = rfc3339(now_seconds() - 86_400);
    for (name, question) in QUESTIONS {
        let question = question.replace("DAY", &day.replace(':', "%3A"));
        let path = format!("/api/v1/issues?project={}&limit=50&{question}", server.project);
        println!("| {name} | {}", measure(&server, &path, options.rounds)?);
    }
    println!("\n| page | p50 ms | p95 ms | max ms | |");
    println!("|---|---|---|---|---|");
    let cookie = server.sign_in()?;
    for (name, path) in pages(&server)? {
        let path = format!("/projects/{}{path}", server.project);
        println!("| {name} | {}", measure_page(&server, &path, &cookie, options.rounds)?);
    }
    Ok(())
}

/// Sends the events, and waits until they are all counted.
fn fill(server: &Api, options: &Options) -> Result<()> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let now = now_seconds();
    let send = || -> Result<()> {
        let mut client = Client::connect(&server.host)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= options.events {
                return Ok(());
            }
            let body = envelope(number, options.issues, now);
            let post = |client: &mut Client| {
                client.send("POST", &server.envelope_path, &server.plain_headers, body.as_bytes())
            };
            let mut response = post(&mut client)?;
            while response.status == 503 {
                // The spool is full: the digest is behind.
                std::thread::sleep(Duration::from_secs(1));
                response = post(&mut client)?;
            }
            let said = String::from_utf8_lossy(&response.body);
            ensure!(response.status == 200, "status {}: {said}", response.status);
        }
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        for sender in senders {
            sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        anyhow::Ok(())
    })?;
    let mut last = (0, Instant::now());
    loop {
        let events = server.count_events()?;
        if events >= options.events as u64 {
            break;
        }
        if events > last.0 {
            last = (events, Instant::now());
        }
        ensure!(
            last.1.elapsed() < Duration::from_secs(60),
            "only {events} events are digested, and no more come"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = options.events as f64 / seconds;
    println!(
        "{} events of {} issues sent and digested in {seconds:.0} s: {rate:.0}/s\n",
        options.events, options.issues
    );
    Ok(())
}

/// A stream of numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Below `bound`, small numbers far oftener than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((unit * unit * unit) * bound as f64) as u64
    }
}

/// An event of about 1.3 KB. The first events make one issue each; of the rest a few issues get most, as it is in life.
fn envelope(number: usize, issues: usize, now: u64) -> String {
    let mut numbers = Numbers(number as u64);
    let issue = if number < issues { number as u64 } else { numbers.skewed(issues as u64) };
    let age = if number < issues { numbers.below(DAYS * 86_400) } else { numbers.skewed(DAYS * 86_400) };
    let kinds = [
        "PaymentDeclined",
        "KeyError",
        "TimeoutError",
        "ImportFailed",
        "ValueError",
        "LessonNotFound",
        "QuotaExceeded",
    ];
    let kind = kinds[(issue % 7) as usize];
    let browsers = ["Chrome", "Firefox", "Safari", "Edge", "Opera"];
    let environments = ["production", "production", "production", "staging", "development"];
    let level = ["error", "error", "error", "warning", "fatal"][(issue % 5) as usize];
    let plan = ["free", "free", "pro", "team"][(issue % 3 + numbers.below(2)) as usize];
    let (browser, release) = (browsers[numbers.skewed(5) as usize], numbers.skewed(20));
    let environment = environments[numbers.below(5) as usize];
    let (user, customer, host) = (numbers.skewed(50_000), numbers.skewed(300), numbers.below(40));
    let trace = if number == 0 { TRACE.to_owned() } else { format!("{:032x}", numbers.next() | 1) };
    let id = format!("{:032x}", number + 1);
    let timestamp = rfc3339(now - age);
    let event = format!(
        r#"{{"event_id":"{id}","timestamp":"{timestamp}","platform":"python","level":"{level}","release":"shop@2.{release}.0","environment":"{environment}","server_name":"web-{host}","transaction":"/course/{course}/lesson","sdk":{{"name":"sentry.python.django","version":"2.75.0"}},"user":{{"id":"learner-{user}"}},"tags":{{"plan":"{plan}","customer":"c{customer}","region":"eu-{region}"}},"contexts":{{"trace":{{"trace_id":"{trace}","span_id":"00f067aa0ba902b7"}},"browser":{{"name":"{browser}","version":"14{minor}.0"}},"os":{{"name":"Windows","version":"11"}},"runtime":{{"name":"CPython","version":"3.13.1"}}}},"exception":{{"values":[{{"type":"{kind}","value":"step {issue} of the order failed for customer {customer}","mechanism":{{"type":"django","handled":false}},"stacktrace":{{"frames":[{{"filename":"shop/views.py","function":"dispatch","in_app":true,"lineno":40}},{{"filename":"shop/part{part}.py","function":"run_{issue}","in_app":true,"lineno":{line},"context_line":"    return charge(order, step_{issue})"}}]}}}}]}}}}"#,
        course = issue % 400,
        region = numbers.below(4),
        minor = numbers.below(4),
        part = issue % 60,
        line = numbers.below(900),
    );
    format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n{event}\n", event.len())
}

/// p50, p95 and maximum of a list, and how many issues it says match.
fn measure(server: &Api, path: &str, rounds: usize) -> Result<String> {
    let authorization = format!("authorization: Bearer {}\r\n", server.token);
    let mut client = Client::connect(&server.host)?;
    let mut times = Vec::with_capacity(rounds);
    let mut matching = String::new();
    for round in 0..WARM_UP + rounds {
        let started = Instant::now();
        let response = client.send("GET", path, &authorization, b"")?;
        let took = started.elapsed();
        let answer = response.json()?;
        ensure!(response.status == 200, "{path}: {answer}");
        matching = answer["matching"].to_string();
        if answer["matching_is_exact"] == Value::Bool(false) {
            matching.push('+');
        }
        if round >= WARM_UP {
            times.push(took);
        }
    }
    Ok(format!("{} | {matching} |", quantiles(times)))
}

fn measure_page(server: &Api, path: &str, cookie: &str, rounds: usize) -> Result<String> {
    let headers = format!("cookie: {cookie}\r\n");
    let mut client = Client::connect(&server.host)?;
    let mut times = Vec::with_capacity(rounds);
    for round in 0..WARM_UP + rounds {
        let started = Instant::now();
        let response = client.send("GET", path, &headers, b"")?;
        ensure!(response.status == 200, "{path}: status {}", response.status);
        if round >= WARM_UP {
            times.push(started.elapsed());
        }
    }
    Ok(format!("{} | |", quantiles(times)))
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q).round() as usize].as_secs_f64() * 1e3;
    format!("{:.1} | {:.1} | {:.1}", at(0.5), at(0.95), at(1.0))
}

/// Pages that people open, with the largest issue as the one that they look at.
fn pages(server: &Api) -> Result<Vec<(&'static str, String)>> {
    let mut client = Client::connect(&server.host)?;
    let path = format!("/api/v1/issues?project={}&sort=events&limit=1", server.project);
    let largest = client.api("GET", &path, &server.token, None)?;
    let id = largest["items"][0]["id"].as_str().context("no issue")?.to_owned();
    Ok(vec![
        ("Issues", "/issues".to_owned()),
        ("Issues by trend", "/issues?sort=trend".to_owned()),
        ("Issues, search", "/issues?status=all&q=failed%20%21plan%3Afree".to_owned()),
        ("Largest issue", format!("/issues/{id}")),
        ("its events", format!("/issues/{id}/events")),
        ("its events with a rare tag", format!("/issues/{id}/events?q=customer%3Ac299")),
        ("its tag", format!("/issues/{id}/tags/customer")),
    ])
}

pub(super) fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 as RFC 3339 in UTC (days to a date after Howard Hinnant's `civil_from_days`).
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (days, time) = ((seconds / 86_400) as i64, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3_600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_as_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_435_445), "2026-11-23T12:04:05Z");
        assert_eq!(rfc3339(1_709_164_800), "2024-02-29T00:00:00Z");
    }

    #[test]
    fn every_event_is_an_envelope_whose_length_is_right() {
        for number in [0, 7, 20_000, 999_999] {
            let envelope = envelope(number, 20_000, 1_795_435_445);
            let lines: Vec<&str> = envelope.lines().collect();
            let header: Value = serde_json::from_str(lines[1]).unwrap();
            let event: Value = serde_json::from_str(lines[2]).unwrap();
            assert_eq!(header["length"], lines[2].len());
            assert_eq!(event["event_id"], format!("{:032x}", number + 1));
        }
    }
}
