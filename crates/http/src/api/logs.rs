//! Logs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_error_tracking::logs::{LogCounts, LogFilter, LogLevel, LogRecord, SearchLogs};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

use super::input::{Parameters, instant, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The span of time that is searched unless the request says otherwise.
const SPAN: Duration = Duration::from_secs(24 * 3_600);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Words and "quoted texts" of the body, and `level:warn`, `trace:`, `release:`, `environment:`, `logger:` and
    /// `attribute:value`.
    query: Option<String>,
    /// From this instant; 24 hours before `to` if left out.
    from: Option<String>,
    /// Before this instant; now if left out.
    to: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of log records, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogList {
    /// The records.
    items: Vec<LogAnswer>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
    /// If the search reached its limit before the page was full: the instant down to which everything was looked at.
    #[schema(value_type = Option<String>, format = DateTime)]
    searched_to: Option<Timestamp>,
}

/// A log record.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogAnswer {
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `trace`, `debug`, `info`, `warn`, `error` or `fatal`.
    level: &'static str,
    /// What it says.
    body: String,
    /// The trace it belongs to.
    trace_id: Option<String>,
    /// The release that wrote it.
    release: Option<String>,
    /// `production`, `staging`, ..
    environment: Option<String>,
    /// The logger that wrote it.
    logger: Option<String>,
    /// Whom it is about, as a number.
    subject: Option<i64>,
    /// Everything else.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
}

/// How many records match.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogCountsAnswer {
    /// Hours with records, oldest first.
    hours: Vec<LogHourAnswer>,
    /// If counting reached its limit: the instant down to which the counts are complete.
    #[schema(value_type = Option<String>, format = DateTime)]
    counted_to: Option<Timestamp>,
}

/// Records of an hour.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogHourAnswer {
    /// Start of the UTC hour.
    #[schema(value_type = String, format = DateTime)]
    hour: Timestamp,
    /// By level.
    trace: u64,
    /// By level.
    debug: u64,
    /// By level.
    info: u64,
    /// By level.
    warn: u64,
    /// By level.
    error: u64,
    /// By level.
    fatal: u64,
}

impl From<LogRecord> for LogAnswer {
    fn from(record: LogRecord) -> Self {
        Self {
            at: record.at,
            level: LogLevel::as_str(record.level),
            body: record.body,
            trace_id: record.trace_id,
            release: record.release,
            environment: record.environment,
            logger: record.logger,
            subject: record.subject.map(|subject| subject.0),
            attributes: record.attributes,
        }
    }
}

impl From<LogCounts> for LogCountsAnswer {
    fn from(counts: LogCounts) -> Self {
        let hours = counts.hours.into_iter().map(|hour| {
            let [trace, debug, info, warn, error, fatal] = hour.levels;
            LogHourAnswer { hour: hour.hour, trace, debug, info, warn, error, fatal }
        });
        Self { hours: hours.collect(), counted_to: counts.counted_to }
    }
}

fn search(shared: &Shared, project: ProjectId, wanted: &LogsWanted) -> Result<SearchLogs, Problem> {
    let to = instant("to", wanted.to.as_deref())?.unwrap_or_else(|| shared.clock.now());
    let from = instant("from", wanted.from.as_deref())?.unwrap_or_else(|| to.minus(SPAN));
    let filter = LogFilter::parse(wanted.query.as_deref().unwrap_or_default());
    let filter = filter.map_err(|why| Problem::invalid("query", why))?;
    Ok(SearchLogs { project, from, to, filter, page: page(wanted.limit, wanted.cursor.clone())? })
}

/// Search log records, newest first
#[utoipa::path(get, path = "/api/v1/logs", tag = "logs", params(LogsWanted),
    responses((status = 200, description = "A page of records", body = LogList)))]
pub(super) async fn search_logs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<LogsWanted>,
) -> Result<Json<LogList>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let found = shared.logs.search_logs(search(&shared, project.id, &wanted)?).await?;
    Ok(Json(LogList {
        items: found.records.into_iter().map(LogAnswer::from).collect(),
        next: found.next.as_ref().map(|cursor| cursor.as_str().to_owned()),
        searched_to: found.searched_to,
    }))
}

/// Count log records by hour and level
#[utoipa::path(get, path = "/api/v1/logs/counts", tag = "logs", params(LogsWanted),
    responses((status = 200, description = "Counts", body = LogCountsAnswer)))]
pub(super) async fn count_logs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<LogsWanted>,
) -> Result<Json<LogCountsAnswer>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let counts = shared.logs.count_logs(search(&shared, project.id, &wanted)?).await?;
    Ok(Json(counts.into()))
}
