//! The xAPI record store: statements stored per second, each on disk before its answer, and questions to many.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;

use super::load::{Target, quantile};
use super::server::{Api, machine};
use crate::client::Client;
use crate::process::cargo;

#[derive(Args)]
pub(crate) struct Options {
    /// Statements among which is searched
    #[arg(long, default_value_t = 100_000)]
    statements: usize,
    /// Requests per measurement of storing
    #[arg(long, default_value_t = 6_000)]
    requests: usize,
    /// How often each question is asked
    #[arg(long, default_value_t = 300)]
    questions: usize,
    /// On this PostgreSQL database instead of the embedded one; it should be empty
    #[arg(long)]
    postgres: Option<String>,
    /// Measure the release build that is there
    #[arg(long)]
    no_build: bool,
}

const LEARNERS: usize = 5_000;
const VERBS: [&str; 6] = ["initialized", "experienced", "answered", "answered", "completed", "passed"];

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        cargo(&["build", "--release", "--package", "api"]).run()?;
    }
    println!("{}", machine());
    println!(
        "| statements per POST | concurrency | statements/s | p50 ms | p95 ms | in progress/s | CPU ms/statement |"
    );
    println!("|---|---|---|---|---|---|---|");
    let server = Api::start_in(None, options.postgres.as_deref(), &[])?;
    let target = Target { host: &server.host, path: "/xapi/statements", headers: &server.xapi_headers };
    // Everybody has been seen once: a platform meets few of its learners for the first time.
    let everybody: Vec<String> = (0..LEARNERS).map(|learner| statement_of(learner, learner)).collect();
    let everybody: Vec<String> = everybody.chunks(200).map(|some| format!("[{}]", some.join(","))).collect();
    target.load(&everybody, 4)?;
    wait_for_progress(&server)?;
    let mut stored = LEARNERS;
    for (size, requests) in [(1, options.requests), (50, options.requests / 10)] {
        for concurrency in [1, 4, 16, 64] {
            let requests = if concurrency == 1 { requests / 4 } else { requests };
            let bodies = bodies(stored, requests, size);
            stored += requests * size;
            let cpu = server.cpu_ms()?;
            let started = Instant::now();
            let latencies = target.load(&bodies, concurrency)?;
            let took = started.elapsed().as_secs_f64();
            wait_for_progress(&server)?;
            let followed = started.elapsed().as_secs_f64();
            let cpu = (server.cpu_ms()? - cpu) / (requests * size) as f64;
            println!(
                "| {size} | {concurrency} | {:.0} | {:.2} | {:.2} | {:.0} | {cpu:.3} |",
                (requests * size) as f64 / took,
                quantile(&latencies, 0.5),
                quantile(&latencies, 0.95),
                (requests * size) as f64 / followed,
            );
        }
    }
    while stored < options.statements {
        let requests = (options.statements - stored).div_ceil(200).min(500);
        target.load(&bodies(stored, requests, 200), 4)?;
        stored += requests * 200;
    }
    wait_for_progress(&server)?;
    ask(&server, options.questions, stored)?;
    println!("\npeak RSS {:.0} MB", server.peak_rss_mb()?);
    if options.postgres.is_none() {
        println!(
            "database {:.0} bytes per statement, events included",
            server.disk_bytes()? as f64 / stored as f64
        );
    }
    Ok(())
}

/// Waits until all statements are in what is kept of their learners.
fn wait_for_progress(server: &Api) -> Result<()> {
    let mut client = Client::connect(&server.host)?;
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let answer = client.send("GET", "/metrics", "", b"")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let waiting = text.lines().find_map(|line| line.strip_prefix("belvedere_learning_waiting "));
        match waiting.and_then(|number| number.parse::<u64>().ok()) {
            Some(0) => return Ok(()),
            None => bail!("/metrics does not say what waits: status {}", answer.status),
            Some(waiting) => ensure!(Instant::now() < deadline, "{waiting} commits wait after 300 s"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A statement of about a kilobyte, as a learning platform sends it.
fn statement(number: usize) -> String {
    statement_of(number, (mix(number) >> 20) % LEARNERS)
}

fn mix(number: usize) -> usize {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn statement_of(number: usize, learner: usize) -> String {
    let mixed = mix(number);
    let (verb, lesson) = (VERBS[number % VERBS.len()], (mixed >> 7) % 400);
    let (course, score) = (lesson / 20, (mixed >> 3) % 100);
    format!(
        r#"{{"id":"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}","actor":{{"objectType":"Agent","name":"Learner {learner}","account":{{"homePage":"https://lms.example.org","name":"learner-{learner}"}}}},"verb":{{"id":"http://adlnet.gov/expapi/verbs/{verb}","display":{{"en-US":"{verb}"}}}},"object":{{"objectType":"Activity","id":"https://lms.example.org/lessons/{lesson}/exercises/{}","definition":{{"name":{{"en-US":"Exercise {}"}},"description":{{"en-US":"The exercise at the end of the lesson"}},"type":"http://adlnet.gov/expapi/activities/cmi.interaction"}}}},"result":{{"score":{{"scaled":0.{score:02},"raw":{score},"min":0,"max":100}},"success":true,"completion":true,"duration":"PT{}S"}},"context":{{"registration":"{:08x}-0000-4000-8000-000000000000","platform":"web","language":"en-US","contextActivities":{{"parent":[{{"id":"https://lms.example.org/lessons/{lesson}"}}],"grouping":[{{"id":"https://lms.example.org/courses/{course}"}}]}},"extensions":{{"https://lms.example.org/session":"{mixed:x}"}}}},"timestamp":"2026-11-{:02}T{:02}:{:02}:{:02}.123Z"}}"#,
        mixed >> 32,
        number >> 48 & 0xffff,
        number >> 36 & 0xfff,
        number >> 24 & 0xfff,
        mixed & 0xffff_ffff_ffff ^ number,
        number % 5,
        number % 5,
        20 + score,
        learner,
        1 + number % 28,
        number / 3_600 % 24,
        number / 60 % 60,
        number % 60,
    )
}

fn bodies(first: usize, requests: usize, size: usize) -> Vec<String> {
    (0..requests)
        .map(|request| {
            let first = first + request * size;
            if size == 1 {
                return statement(first);
            }
            let statements: Vec<String> = (first..first + size).map(statement).collect();
            format!("[{}]", statements.join(","))
        })
        .collect()
}

/// Asks each question many times, each time for somebody or something else.
fn ask(server: &Api, questions: usize, stored: usize) -> Result<()> {
    println!("\n| {stored} statements, 50 a page | p50 ms | p95 ms |");
    println!("|---|---|---|");
    let agent = |number: usize| {
        let learner = number * 7 % LEARNERS;
        format!(
            "agent=%7B%22account%22%3A%7B%22homePage%22%3A%22https%3A%2F%2Flms.example.org%22%2C%22name%22%3A%22learner-{learner}%22%7D%7D"
        )
    };
    let verb = "verb=http%3A%2F%2Fadlnet.gov%2Fexpapi%2Fverbs%2Fcompleted";
    let lesson =
        |number: usize| format!("activity=https%3A%2F%2Flms.example.org%2Flessons%2F{}", number % 400);
    let course =
        |number: usize| format!("activity=https%3A%2F%2Flms.example.org%2Fcourses%2F{}", number % 20);
    let kinds: [(&str, &dyn Fn(usize) -> String); 8] = [
        ("all", &|_| String::new()),
        ("agent", &agent),
        ("agent and verb", &|number| format!("{}&{verb}", agent(number))),
        ("verb", &|_| verb.to_owned()),
        ("activity", &|number| format!("{}%2Fexercises%2F{}", lesson(number), number % 5)),
        ("related activities, a course", &|number| format!("{}&related_activities=true", course(number))),
        ("verb, related activities", &|number| format!("{}&{verb}&related_activities=true", lesson(number))),
        ("since", &|_| "since=2026-01-01T00%3A00%3A00Z&ascending=true".to_owned()),
    ];
    let mut client = Client::connect(&server.host)?;
    for (name, question) in kinds {
        let mut latencies = Vec::with_capacity(questions);
        for number in 0..questions {
            let path = format!("/xapi/statements?limit=50&{}", question(number));
            let started = Instant::now();
            let answer = client.send("GET", &path, &server.xapi_headers, b"")?;
            latencies.push(started.elapsed());
            if answer.status != 200 {
                bail!("{name}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
        }
        latencies.sort_unstable();
        println!("| {name} | {:.2} | {:.2} |", quantile(&latencies, 0.5), quantile(&latencies, 0.95));
    }
    Ok(())
}
