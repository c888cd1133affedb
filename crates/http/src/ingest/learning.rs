//! Learning events: an event, an array of them, or an object with them as `events`, as JSON.
//!
//! The door reads every event and answers which ones it does not take and why; what it takes it puts on disk as it
//! understood it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use belvedere_learning_analytics::event::{Refused, read_events};
use belvedere_learning_analytics::{DELIVERY_KIND, ITEM, name_events};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::answer::{Refusal, allow_reading};
use super::sentry::{Door, refuse};
use crate::metrics;
use crate::routes::{Access, Routes};
use crate::state::Shared;

const PATHS: [&str; 2] = ["/api/{project}/learning/events/", "/api/{project}/learning/events"];

pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in PATHS {
        routes = routes.post(path, Access::IngestKey, events).options(
            path,
            super::PREFLIGHT,
            super::answer::preflight,
        );
    }
    routes
}

/// What became of a request's events.
struct Taken {
    accepted: usize,
    refused: Vec<Refused>,
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, Some(&project));
    match take(&shared, &mut door, body).await {
        Ok(taken) => answer(&shared, &taken),
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

async fn take(shared: &Shared, door: &mut Door<'_>, body: Body) -> Result<Taken, Refusal> {
    let key = door.authenticate_learning().await?;
    let body = shared.bodies.read(body, shared.limits.body_bytes_max).await?;
    let now = shared.clock.now();
    let look = move |bytes: &[u8], is_whole: bool| is_whole.then(|| read_events(bytes, now));
    let received = shared.bodies.decode(door.encoding(), &body.bytes, look).await?;
    let mut received = received.map_err(|error| Refusal::Event(error.to_string()))?;
    let (accepted, refused) = (received.events.len(), received.refused);
    if accepted > 0 {
        name_events(&mut received.events, now);
        door.accept_events((DELIVERY_KIND, ITEM), &key, &received.events).await?;
    }
    if !refused.is_empty() {
        door.note(ITEM, "invalid", refused.len() as u64);
    }
    Ok(Taken { accepted, refused })
}

/// `{"accepted": n, "errors": [{"index", "field", "reason"}]}`; 400 if nothing was accepted.
fn answer(shared: &Shared, taken: &Taken) -> Response {
    let status = if taken.accepted > 0 { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    if taken.accepted == 0 {
        shared.metrics.count_refused(metrics::Refused::Invalid);
    }
    let body = json!({ "accepted": taken.accepted, "errors": taken.refused }).to_string();
    let mut response = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
    allow_reading(response.headers_mut());
    response
}
