//! The event store: loaded through its typed API, then asked over HTTP, beside DuckDB and ClickHouse if wanted.

mod peers;
mod questions;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::issues::now_seconds;
use super::server::{Api, machine};
use crate::client::Client;
use crate::process::{built, cargo, program, root};
use peers::Peers;
use questions::{Question, questions};

#[derive(Args)]
pub(crate) struct Options {
    /// How many events; several numbers, separated by commas, show how cost grows
    #[arg(long, value_delimiter = ',', default_value = "10000000")]
    events: Vec<u64>,
    /// Times that each question is asked
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Seconds of going on at 100,000 events a second, questions asked meanwhile, in the largest store; 0 for none
    #[arg(long, default_value_t = 60)]
    ingest_seconds: u64,
    /// Ask DuckDB and ClickHouse the same, if Python has the packages duckdb and chdb
    #[arg(long)]
    peers: bool,
    /// The Python that has them
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Measure the release build that is there
    #[arg(long)]
    no_build: bool,
    /// Keep the filled data directories here, and use them again if they are there
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Events a second while ingesting.
const RATE: u64 = 100_000;

/// Times that a question is asked before it counts.
const WARM_UP: usize = 3;

/// Between two questions of somebody who looks at a page.
const PAUSE: Duration = Duration::from_millis(100);

const WEEK_SECONDS: u64 = 7 * 86_400;

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        cargo(&["build", "--release", "--package", "api"]).run()?;
        cargo(&["build", "--release", "--package", "belvedere-event-store", "--example", "analytics"])
            .run()?;
    }
    println!("{}", machine());
    let largest = options.events.iter().max().copied();
    for &events in &options.events {
        let folder = format!("events-{events}");
        let directory = options
            .keep
            .as_ref()
            .map_or_else(|| root().join("target/bench-analytics"), Clone::clone)
            .join(folder);
        let measured = measure(options, events, &directory, largest == Some(events));
        if options.keep.is_none() {
            let _ = std::fs::remove_dir_all(&directory);
        }
        measured?;
    }
    Ok(())
}

/// Whether a server may answer from rollups, or has to read the events.
#[derive(Clone, Copy)]
enum Rollups {
    On,
    Off,
}

/// A filled data directory.
struct Filled {
    directory: PathBuf,
    events: u64,
    /// Seconds since 1970 at which its events end: a Monday, 00:00 UTC.
    end: u64,
}

impl Filled {
    fn start(&self, rollups: Rollups) -> Result<Api> {
        let settings = match rollups {
            Rollups::On => [("BELVEDERE_EVENTS_ROLLUPS", "true")],
            Rollups::Off => [("BELVEDERE_EVENTS_ROLLUPS", "false")],
        };
        Api::start_in(Some(self.directory.clone()), None, &settings)
    }

    /// Fills a directory, or finds what filled it before.
    fn fill(directory: &Path, events: u64) -> Result<(Self, Value)> {
        let note = directory.join("analytics.json");
        if let Ok(text) = std::fs::read(&note) {
            let loaded: Value = serde_json::from_slice(&text)?;
            let end = loaded["end"].as_u64().context("analytics.json has no end")?;
            return Ok((Self { directory: directory.to_owned(), events, end }, loaded));
        }
        std::fs::create_dir_all(directory)?;
        // 1970-01-01 was a Thursday.
        let end = (now_seconds() - 4 * 86_400) / WEEK_SECONDS * WEEK_SECONDS + 4 * 86_400;
        let filled = Self { directory: directory.to_owned(), events, end };
        let project = filled.start(Rollups::On)?.project.clone();
        let loader = filled.loader(&["load"], &project, &[])?;
        let mut loaded = finish(loader)?;
        loaded["end"] = json!(end);
        std::fs::write(&note, loaded.to_string())?;
        Ok((filled, loaded))
    }

    /// Starts the program that appends events.
    fn loader(&self, task: &[&str], project: &str, more: &[String]) -> Result<Child> {
        let mut command = Command::new(built("release", "examples/analytics"));
        command.args(task).arg(&self.directory).arg(project);
        command.arg(self.events.to_string()).arg(format!("{}000000", self.end)).args(more);
        command.stdout(Stdio::piped()).spawn().context("cannot start the loader")
    }
}

/// Waits for a loader and reads what it measured.
fn finish(loader: Child) -> Result<Value> {
    let output = loader.wait_with_output()?;
    ensure!(output.status.success(), "the loader failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn measure(options: &Options, events: u64, directory: &Path, is_largest: bool) -> Result<()> {
    let (filled, loaded) = Filled::fill(directory, events)?;
    describe(&loaded)?;
    let questions = questions(filled.end);
    let mut first = Vec::new();
    for question in &questions {
        let server = filled.start(Rollups::Off)?;
        first.push(ask(&mut Client::connect(&server.host)?, &server, question)?.0);
    }
    let (warm, peak) = ask_all(&filled, &questions, Rollups::Off, options.rounds)?;
    let (rolled, peak_rolled) = ask_all(&filled, &questions, Rollups::On, options.rounds)?;
    let peers = if options.peers {
        peers::ask(&options.python, directory, filled.end, options.rounds)?
    } else {
        Peers::default()
    };
    print(&questions, &first, &warm, &rolled, &peers)?;
    println!(
        "\npeak RSS of the server that was asked all questions: {peak:.0} MB, with rollups {peak_rolled:.0} MB\n"
    );
    if is_largest && options.ingest_seconds > 0 {
        ingest(options, &filled, &questions)?;
    }
    Ok(())
}

/// The median times and answers of a server that is asked each question often, and its peak RSS.
fn ask_all(
    filled: &Filled,
    questions: &[Question],
    rollups: Rollups,
    rounds: usize,
) -> Result<(Vec<(Duration, Value)>, f64)> {
    let server = filled.start(rollups)?;
    let asked =
        questions.iter().map(|question| ask_often(&server, question, rounds)).collect::<Result<_>>()?;
    Ok((asked, server.peak_rss_mb()?))
}

fn describe(loaded: &Value) -> Result<()> {
    let number = |key: &str| loaded[key].as_f64().with_context(|| format!("{key} is missing"));
    let (events, seconds) = (number("events")?, number("seconds")?);
    println!(
        "{events} events of {} subjects over 180 days: loaded and sealed in {seconds:.0} s, {:.0}/s; merged into {} segments \
         in {:.0} s; {:.0} MB of Parquet ({:.1} bytes an event), {:.0} MB with filters of ids\n",
        number("subjects")?,
        events / seconds,
        number("segments")?,
        number("merging_seconds")?,
        number("bytes")? / 1e6,
        number("bytes")? / events,
        number("bytes_on_disk")? / 1e6,
    );
    Ok(())
}

/// Asks a question once: the time it took, and its answer.
fn ask(client: &mut Client, server: &Api, question: &Question) -> Result<(Duration, Value)> {
    let path = format!("{}?project={}", question.path, server.project);
    let started = Instant::now();
    let answer = client.api("POST", &path, &server.token, Some(&question.body))?;
    Ok((started.elapsed(), answer))
}

/// The median time of a question that was asked before, and its answer in the form that all engines give.
fn ask_often(server: &Api, question: &Question, rounds: usize) -> Result<(Duration, Value)> {
    let mut client = Client::connect(&server.host)?;
    let mut times = Vec::with_capacity(rounds);
    let mut answer = Value::Null;
    for round in 0..WARM_UP + rounds {
        let (took, answered) = ask(&mut client, server, question)?;
        answer = answered;
        if round >= WARM_UP {
            times.push(took);
        }
    }
    Ok((median(times), (question.read)(&answer)))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn print(
    questions: &[Question],
    first: &[Duration],
    warm: &[(Duration, Value)],
    rolled: &[(Duration, Value)],
    peers: &Peers,
) -> Result<()> {
    let names: Vec<String> =
        peers.0.iter().map(|peer| format!(" {} {} ms |", peer.name, peer.version)).collect();
    let faster = if peers.0.is_empty() { "" } else { " times faster than the best |" };
    println!(
        "| question | first after a restart, ms | warm, median ms | with rollups, ms |{}{faster}",
        names.concat()
    );
    println!("|---|---|---|---|{}", "---|".repeat(names.len() + usize::from(!peers.0.is_empty())));
    for (((question, first), (time, answer)), (by_rollups, same)) in
        questions.iter().zip(first).zip(warm).zip(rolled)
    {
        ensure!(same == answer, "{} has another answer with rollups", question.title);
        print!("| {} | {:.0} | {:.1} | {:.1} |", question.title, ms(*first), ms(*time), ms(*by_rollups));
        let mut best = f64::INFINITY;
        for peer in &peers.0 {
            let (theirs, found) = peer.of(question.key)?;
            if found != answer {
                let brief = |answer: &Value| answer.to_string().chars().take(200).collect::<String>();
                bail!(
                    "{} answers {}: {}, and not {}",
                    peer.name,
                    question.title,
                    brief(found),
                    brief(answer)
                );
            }
            print!(" {theirs:.0} |");
            best = best.min(theirs);
        }
        if !peers.0.is_empty() {
            print!(" {:.1} |", best / ms(*time));
        }
        println!();
    }
    for peer in &peers.0 {
        println!("\n{} loaded its two tables in {:.0} s and gave the same answers.", peer.name, peer.seconds);
    }
    Ok(())
}

/// Appends at a rate to a copy of the store by one process while another is asked.
fn ingest(options: &Options, filled: &Filled, questions: &[Question]) -> Result<()> {
    let copy = filled.directory.with_extension("ingest");
    let _ = std::fs::remove_dir_all(&copy);
    program("cp", &["-a", &filled.directory.display().to_string(), &copy.display().to_string()]).run()?;
    let filled = Filled { directory: copy.clone(), ..*filled };
    let done = ingest_into(options, &filled, questions);
    let _ = std::fs::remove_dir_all(&copy);
    done
}

/// Asks one question after the other until `is_over`, at the pace of somebody who looks at a page: the times of each.
fn look(
    client: &mut Client,
    server: &Api,
    questions: &[Question],
    mut is_over: impl FnMut() -> Result<bool>,
) -> Result<Vec<Vec<Duration>>> {
    let mut times = vec![Vec::new(); questions.len()];
    while !is_over()? {
        for (question, times) in questions.iter().zip(&mut times) {
            times.push(ask(client, server, question)?.0);
            std::thread::sleep(PAUSE);
        }
    }
    Ok(times)
}

fn ingest_into(options: &Options, filled: &Filled, questions: &[Question]) -> Result<()> {
    let server = filled.start(Rollups::Off)?;
    let mut client = Client::connect(&server.host)?;
    for question in questions {
        ask(&mut client, &server, question)?;
    }
    // The first events that come in are up to ten minutes older than the last ones that are there.
    let count = questions::count_from(filled.end - 86_400);
    let counted = || -> Result<u64> {
        let answer = ask(&mut Client::connect(&server.host)?, &server, &count)?.1;
        Ok(answer["series"][0]["events"].as_u64().unwrap_or(0))
    };
    let before = counted()?;
    let started = Instant::now();
    let length = Duration::from_secs(options.ingest_seconds);
    let idle = look(&mut client, &server, questions, || Ok(started.elapsed() > length))?;
    let more = [filled.events.to_string(), options.ingest_seconds.to_string(), RATE.to_string()];
    let mut loader = filled.loader(&["ingest"], &server.project, &more)?;
    let times = look(&mut client, &server, questions, || Ok(loader.try_wait()?.is_some()))?;
    let appended = finish(loader)?;
    let found = counted()? - before;
    let events = appended["events"].as_u64().unwrap_or(0);
    ensure!(found == events, "{events} events were appended, {found} are found");
    println!(
        "{events} events appended in {} s by another process, {} a second, the longest transaction {} ms; all are found.\n",
        appended["seconds"], appended["events_per_second"], appended["longest_append_ms"]
    );
    println!(
        "| question, at the same pace | idle, median ms | while events come in, median ms | of its time idle |"
    );
    println!("|---|---|---|---|");
    for ((question, idle), times) in questions.iter().zip(idle).zip(times) {
        let (idle, time) = (median(idle), median(times));
        println!("| {} | {:.1} | {:.1} | {:.2} |", question.title, ms(idle), ms(time), ms(time) / ms(idle));
    }
    Ok(())
}
