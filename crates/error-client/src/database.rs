//! Slow queries of a sea-orm connection.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sea_orm::DatabaseConnection;
use sea_orm::metric::Info;
use sentry::protocol::{Event, SpanId, SpanStatus, Value};
use sentry::{Breadcrumb, Hub, Level};

use crate::ErrorClient;
use crate::limiter::Limiter;
use crate::profile::milliseconds;
use crate::statement::shape;

/// Warnings of one statement a minute.
const WARNINGS_PER_MINUTE: u32 = 1;
/// As much of a statement as a title has.
const TITLE_CHARS_MAX: usize = 150;

/// Which queries are worth a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowQueries {
    /// From here on a query is a breadcrumb, and a span of the transaction that it belongs to.
    pub noted_from: Duration,
    /// From here on a query is also reported as a warning, grouped by statement, at most once a minute each.
    pub reported_from: Duration,
}

impl Default for SlowQueries {
    /// Noted from 100 ms, reported from one second.
    fn default() -> Self {
        Self { noted_from: Duration::from_millis(100), reported_from: Duration::from_secs(1) }
    }
}

/// Records the slow queries of `connection` from now on.
///
/// Statements are recorded with their literals replaced by `?`; values are never sent. It takes the place of any other
/// metric callback of the connection.
pub fn observe_queries(client: &ErrorClient, connection: &mut DatabaseConnection, slow: SlowQueries) {
    let client = client.clone();
    let limiter = Mutex::new(Limiter::new(WARNINGS_PER_MINUTE));
    connection.set_metric_callback(move |query| {
        if query.elapsed < slow.noted_from.min(slow.reported_from) {
            return;
        }
        let statement = shape(&query.statement.sql);
        let hub = client.hub();
        if query.elapsed >= slow.noted_from {
            note(&hub, query, &statement);
        }
        let admits = || {
            let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.admits(&statement, Instant::now())
        };
        if query.elapsed >= slow.reported_from && admits() {
            client.capture(&hub, warning(query, &statement));
        }
    });
}

fn facts(query: &Info<'_>) -> BTreeMap<String, Value> {
    let database = format!("{:?}", query.statement.db_backend).to_lowercase();
    BTreeMap::from([
        ("took_ms".to_owned(), Value::from(milliseconds(query.elapsed))),
        ("failed".to_owned(), Value::from(query.failed)),
        ("db.system".to_owned(), Value::from(database)),
    ])
}

fn note(hub: &Hub, query: &Info<'_>, statement: &str) {
    hub.add_breadcrumb(Breadcrumb {
        ty: "query".to_owned(),
        category: Some("query".to_owned()),
        level: Level::Warning,
        message: Some(statement.to_owned()),
        data: facts(query),
        ..Breadcrumb::default()
    });
    let Some(parent) = hub.configure_scope(|scope| scope.get_span()) else { return };
    let ended = SystemTime::now();
    let began = ended.checked_sub(query.elapsed).unwrap_or(ended);
    let span = parent.start_child_with_details("db", statement, SpanId::default(), began);
    for (name, value) in facts(query) {
        span.set_data(&name, value);
    }
    span.set_status(if query.failed { SpanStatus::UnknownError } else { SpanStatus::Ok });
    span.finish_with_timestamp(ended);
}

fn warning(query: &Info<'_>, statement: &str) -> Event<'static> {
    let title: String = statement.chars().take(TITLE_CHARS_MAX).collect();
    let mut event = Event {
        message: Some(format!("Slow query: {title}")),
        level: Level::Warning,
        fingerprint: vec!["slow-query".into(), statement.to_owned().into()].into(),
        ..Event::default()
    };
    event.extra.insert("statement".to_owned(), Value::from(statement));
    event.extra.extend(facts(query));
    event
}
