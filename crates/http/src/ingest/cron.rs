//! Check-ins by a plain request, as `curl` and job runners send them, without an SDK.
//!
//! `GET` or `POST /api/{project}/cron/{slug}[/{key}]` with `status`, `check_in_id`, `environment` and `duration` in the
//! query, or with a check-in as JSON, which may hold a `monitor_config`. What comes in is handed on as an envelope.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use belvedere_error_tracking::envelope::EventId;
use belvedere_error_tracking::limits::Category;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Refusal, accepted};
use super::sentry::{Door, refuse};
use crate::routes::{Access, Routes};
use crate::state::Shared;

/// The largest check-in as JSON; Sentry's limit.
const BODY_BYTES_MAX: usize = 100 << 10;

const ITEM: &str = "check_in";

const PATHS: [&str; 4] = [
    "/api/{project}/cron/{slug}/",
    "/api/{project}/cron/{slug}",
    "/api/{project}/cron/{slug}/{key}/",
    "/api/{project}/cron/{slug}/{key}",
];

pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in PATHS {
        routes = routes.get(path, Access::IngestKey, check_in).post(path, Access::IngestKey, check_in);
        routes = routes.options(path, super::PREFLIGHT, super::answer::preflight);
    }
    routes
}

async fn check_in(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<HashMap<String, String>>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, path.get("project").map(String::as_str));
    if let Some(key) = path.get("key") {
        door.key_in_path(key);
    }
    let slug = path.get("slug").map(String::as_str).unwrap_or_default();
    let query = query.map(|Query(pairs)| pairs).unwrap_or_default();
    match take(&shared, &mut door, slug, &query, body).await {
        Ok(id) => {
            let mut response = accepted(id, &[]);
            *response.status_mut() = StatusCode::ACCEPTED;
            response.into_response()
        }
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

/// The id of the run, which the client names when it ends.
async fn take(
    shared: &Shared,
    door: &mut Door<'_>,
    slug: &str,
    query: &HashMap<String, String>,
    body: Body,
) -> Result<Option<EventId>, Refusal> {
    let key = door.authenticate(None).await?;
    let body = shared.bodies.read(body, BODY_BYTES_MAX).await?;
    let mut item = read_item(&body.bytes)?;
    for name in ["status", "check_in_id", "environment", "duration"] {
        if let Some(value) = query.get(name) {
            item.insert(name.to_owned(), json!(value));
        }
    }
    let status = item.get("status").and_then(Value::as_str).unwrap_or_default();
    if !matches!(status, "in_progress" | "ok" | "error") {
        return Err(Refusal::Event("status: must be in_progress, ok or error".to_owned()));
    }
    let told = item.get("check_in_id").and_then(Value::as_str).and_then(|id| id.parse::<EventId>().ok());
    let is_named = told.is_some_and(|id| id.to_string().bytes().any(|digit| digit != b'0'));
    let id = match told.filter(|_| is_named) {
        Some(id) => Some(id),
        // A run that begins gets an id; one that ends without an id is the newest.
        None if status == "in_progress" => Some(EventId::generate(shared.clock.now())),
        None => None,
    };
    item.remove("check_in_id");
    if let Some(id) = id {
        item.insert("check_in_id".to_owned(), json!(id.to_string()));
    }
    item.insert("monitor_slug".to_owned(), json!(slug));
    let envelope = format!("{{}}\n{{\"type\":\"{ITEM}\"}}\n{}", Value::Object(item));
    door.accept_made(&key, (ITEM, Category::Monitor), envelope.into()).await?;
    Ok(id)
}

fn read_item(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.trim_ascii().first() != Some(&b'{') {
        // Job runners post forms, logs or nothing; the query says what is meant.
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| Refusal::Event(error.to_string()))
}
