//! `cargo xtask demo`: a week of a learning product's errors and what surrounds them, invented but shaped like real
//! ones, sent through the public endpoint into a project of its own that says it is a demonstration.

mod learning;
mod product;
mod surroundings;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::surroundings::Door;
use crate::client::{Client, parse_dsn};
use crate::process::root;

/// The kinds of errors and the code they come from.
const CATALOGUE: &str = include_str!("demo/catalogue.json");
const HOURS: u64 = 7 * 24;
/// The releases of the week, the newest first.
const RELEASES: [&str; 3] = ["codeland@4.12.0", "codeland@4.11.2", "codeland@4.11.1"];

#[derive(Args)]
pub(crate) struct Options {
    /// The data directory of the running server
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// How many errors to send
    #[arg(long, default_value_t = 4_000)]
    events: u64,
    /// Wait up to ten minutes for the server to be ready
    #[arg(long)]
    wait: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let ready = ready(options)?;
    let text = |key: &str| ready[key].as_str().with_context(|| format!("{key} is missing"));
    let (_, host, _) = parse_dsn(text("dsn")?)?;
    let mut client = Client::connect(&host)?;
    let dsn = demo_dsn(&mut client, text("api_token")?)?;
    let (key, host, project) = parse_dsn(&dsn)?;
    let mut client = Client::connect(&host)?;
    let catalogue: Value = serde_json::from_str(CATALOGUE)?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let path = format!("/api/{project}/envelope/");
    let headers = format!(
        "x-sentry-auth: Sentry sentry_key={key}, sentry_version=7, sentry_client=belvedere-demo/1\r\n"
    );
    let mut newest = Vec::new();
    for number in 0..options.events {
        let age = age_seconds(number, options.events, &mut random);
        let event = event(&catalogue, &mut random, now - age, age)?;
        let payload = event.to_string();
        let body = format!("{{}}\n{{\"type\":\"event\",\"length\":{}}}\n{payload}\n", payload.len());
        let response = client.send("POST", &path, &headers, body.as_bytes())?;
        if response.status != 200 {
            bail!("status {}: {}", response.status, String::from_utf8_lossy(&response.body));
        }
        if let Some(id) = event["event_id"].as_str()
            && age < 86_400
        {
            newest.push(id.to_owned());
        }
    }
    let mut door = Door { client: &mut client, path: &path, headers: &headers, now };
    surroundings::send_sessions(&mut door, &mut random)?;
    surroundings::send_logs(&mut door, &mut random)?;
    surroundings::send_check_ins(&mut door, &mut random)?;
    surroundings::send_feedback(&mut door, &mut random, &newest)?;
    let token = text("api_token")?;
    let mut door = learning::Door { client: &mut client, project: &project, headers: &headers, token, now };
    let learning = learning::send(&mut door, &mut random)?;
    let product = product::send(&mut client, &key, &mut random, now)?;
    product::keep(&mut client, &project, token)?;
    println!(
        "{} errors of the last seven days, {learning} learning and {product} product events sent to the demonstration project {project}",
        options.events
    );
    Ok(())
}

/// What `start` wrote down when it was ready.
fn ready(options: &Options) -> Result<Value> {
    let file = root().join(&options.data).join("ready.json");
    let deadline = Instant::now() + Duration::from_secs(if options.wait { 600 } else { 0 });
    loop {
        if let Ok(text) = std::fs::read_to_string(&file) {
            let ready: Value = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
            let (_, host, _) = parse_dsn(ready["dsn"].as_str().unwrap_or_default())?;
            if Client::connect(&host).is_ok() {
                return Ok(ready);
            }
        }
        if Instant::now() > deadline {
            bail!("no server is running on {}: start one with `cargo xtask start`", options.data.display());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The demonstration project's DSN; the project is made where there is none.
fn demo_dsn(client: &mut Client, token: &str) -> Result<String> {
    let projects = client.api("GET", "/api/v1/projects", token, None)?;
    let existing =
        projects["items"].as_array().into_iter().flatten().find(|project| project["slug"] == "demo");
    let project = match existing {
        Some(project) => project.clone(),
        None => {
            let project =
                json!({"slug": "demo", "name": "Demo (invented data)", "time_zone": "UTC", "is_demo": true});
            client.api("POST", "/api/v1/projects", token, Some(&project))?
        }
    };
    let id = project["id"].as_i64().context("the project has no id")?;
    let keys = client.api("GET", &format!("/api/v1/ingest_keys?project={id}"), token, None)?;
    let usable = keys["items"].as_array().into_iter().flatten().find(|key| key["revoked_at"].is_null());
    let dsn = match usable {
        Some(key) => key["dsn"].as_str().map(str::to_owned),
        None => {
            let body = json!({"project": id.to_string(), "label": "Demo"});
            let key = client.api("POST", "/api/v1/ingest_keys", token, Some(&body))?;
            key["dsn"].as_str().map(str::to_owned)
        }
    };
    dsn.context("the key has no DSN")
}

/// Spreads events over the week: more by day than by night, more on working days, the newest last.
fn age_seconds(number: u64, total: u64, random: &mut Random) -> u64 {
    loop {
        let hour = HOURS - 1 - number * HOURS / total;
        let hour = (hour + random.below(5)).min(HOURS - 1);
        let daylight = [2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 9, 8, 9, 9, 8, 8, 8, 9, 9, 8, 6, 4, 3];
        let of_day = 23 - usize::try_from(hour % 24).unwrap_or(0);
        if random.below(9) < daylight[of_day] {
            return hour * 3_600 + random.below(3_600);
        }
    }
}

/// The release that was out so many seconds ago.
fn release_at(age: u64) -> &'static str {
    match age / 86_400 {
        0 | 1 => RELEASES[0],
        2..=4 => RELEASES[1],
        _ => RELEASES[2],
    }
}

/// One error of the catalogue, by weight among those whose release is out at that age.
fn event(catalogue: &Value, random: &mut Random, at: u64, age: u64) -> Result<Value> {
    let release = release_at(age);
    let kinds: Vec<&Value> = catalogue
        .as_array()
        .context("the catalogue is a list")?
        .iter()
        .filter(|kind| kind["since"].as_str().is_none_or(|since| release >= since))
        .collect();
    let weight = |kind: &Value| kind["weight"].as_u64().unwrap_or(1);
    let mut left = random.below(kinds.iter().map(|kind| weight(kind)).sum());
    let kind = kinds
        .into_iter()
        .find(|kind| {
            let found = left < weight(kind);
            left = left.saturating_sub(weight(kind));
            found
        })
        .context("the catalogue is empty")?;
    let mut event = kind["event"].clone();
    let mut id = String::new();
    write!(id, "{:016x}{:016x}", random.next(), random.next())?;
    event["event_id"] = id.into();
    event["timestamp"] = at.into();
    for (crumb, before) in
        event["breadcrumbs"]["values"].as_array_mut().into_iter().flatten().rev().zip([1, 4, 53, 71])
    {
        crumb["timestamp"] = (at - before).into();
    }
    event["release"] = release.into();
    event["environment"] = if random.below(12) == 0 { "staging" } else { "production" }.into();
    let learner = random.below(400).min(random.below(400));
    event["user"] = json!({"id": format!("learner-{learner}")});
    let lesson = 1 + random.below(9);
    let course = random.pick(&["rust-101", "sql-basics", "python-start"]);
    event["tags"] = json!({"course": course, "lesson": lesson.to_string()});
    if kind["browser"] == true {
        let (browser, version) = random.pick(&[("Chrome", "142"), ("Firefox", "145"), ("Safari", "19.1")]);
        event["contexts"]["browser"] = json!({"type": "browser", "name": browser, "version": version});
    }
    let text = event
        .to_string()
        .replace("{lesson}", &lesson.to_string())
        .replace("{percent}", &random.below(100).to_string())
        .replace("{number}", &random.below(90_000).to_string());
    Ok(serde_json::from_str(&text)?)
}

/// Xorshift: the same week every time, without a dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, choices: &[T; 3]) -> T {
        choices[usize::try_from(self.below(3)).unwrap_or(0)]
    }
}
