//! A service that reports to Belvedere: `cargo run -p belvedere-error-client --example embed_client -- DSN DIRECTORY`.
//!
//! Prints the ids of what it reported, one a line, and ends without waiting for the server: what is undelivered waits in
//! DIRECTORY. With `--abort` as third argument it dies like a killed process; with `--deliver` it reports nothing and
//! waits until everything that earlier runs left is delivered.

use std::time::Duration;

use belvedere_error_client::{
    ClientConfig, ErrorClient, ErrorContext, Level, QueueConfig, RetryConfig, RouteRate, User,
};

#[derive(Debug, thiserror::Error)]
#[error("lesson {0} cannot be opened")]
struct OpenLesson(String, #[source] std::num::ParseIntError);

fn open_lesson(number: &str) -> Result<u32, OpenLesson> {
    number.parse().map_err(|error| OpenLesson(number.to_owned(), error))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (dsn, directory) =
        (arguments.next().ok_or("a DSN is missing")?, arguments.next().ok_or("a directory is missing")?);
    let mode = arguments.next();

    let mut config = ClientConfig::new(dsn, "production");
    config.release = Some("lessons@4.12.0".to_owned());
    config.service = Some("lessons".to_owned());
    config.routes = vec![RouteRate::new("/health*", 0.0), RouteRate::new("POST /checkout*", 1.0)];
    config.queue = Some(QueueConfig::new(directory));
    config.retry = RetryConfig { first: Duration::from_millis(100), max: Duration::from_secs(1) };
    config.shutdown_timeout = Duration::ZERO;
    let client = ErrorClient::init(config)?;

    if mode.as_deref() == Some("--deliver") {
        while !client.flush(Duration::from_secs(10)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        return Ok(());
    }
    client.set_user(Some(User {
        id: "learner-7".to_owned(),
        role: Some("learner".to_owned()),
        ..User::default()
    }));
    if let Err(error) = open_lesson("seven") {
        let context = ErrorContext::new("lessons", "open").with("lesson", "seven");
        println!("{}", client.capture_error(&error, &context).ok_or("not reported")?.simple());
    }
    let id = client.capture_message("the lesson server ends", Level::Fatal).ok_or("not reported")?;
    println!("{}", id.simple());
    if mode.as_deref() == Some("--abort") {
        std::process::abort();
    }
    Ok(())
}
