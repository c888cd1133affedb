//! Endpoints of Sentry's protocol whose features do not exist yet: they take what is sent, count it on the project's
//! page and forget it, so that clients do not fail and nothing vanishes silently.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use belvedere_kernel::{ItemOutcome, Tally};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::answer::{Refusal, accepted, empty, preflight};
use super::sentry::{Door, refuse};
use crate::routes::{Access, Routes};
use crate::state::Shared;

/// Path, the type of item as which it is counted, and the status of success.
const POSTED: [(&str, &str, StatusCode); 10] = [
    ("/api/{project}/nel/", "nel", StatusCode::OK),
    ("/api/{project}/nel", "nel", StatusCode::OK),
    ("/api/{project}/minidump/", "minidump", StatusCode::OK),
    ("/api/{project}/minidump", "minidump", StatusCode::OK),
    ("/api/{project}/unreal/{key}/", "unreal_report", StatusCode::OK),
    ("/api/{project}/unreal/{key}", "unreal_report", StatusCode::OK),
    ("/api/{project}/otlp/v1/traces/", "span", StatusCode::OK),
    ("/api/{project}/otlp/v1/traces", "span", StatusCode::OK),
    ("/api/{project}/integration/otlp/v1/traces/", "span", StatusCode::OK),
    ("/api/{project}/integration/otlp/v1/traces", "span", StatusCode::OK),
];

pub(super) fn routes(mut routes: Routes) -> Routes {
    for (path, item, status) in POSTED {
        let handler =
            move |State(shared): State<Arc<Shared>>,
                  Path(path): Path<HashMap<String, String>>,
                  request: Request| async move { take(&shared, &path, request, item, status).await };
        routes = routes.post(path, Access::IngestKey, handler);
        routes = routes.options(path, super::PREFLIGHT, preflight);
    }
    routes
}

async fn take(
    shared: &Shared,
    path: &HashMap<String, String>,
    request: Request,
    item: &'static str,
    status: StatusCode,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(shared, parts, path.get("project").map(String::as_str));
    if let Some(key) = path.get("key") {
        door.key_in_path(key);
    }
    let taken = async {
        door.authenticate(None).await?;
        shared.bodies.discard(body, shared.limits.body_bytes_max).await?;
        Ok::<_, Refusal>(())
    };
    if let Err(refusal) = taken.await {
        return refuse(&door, refusal, item);
    }
    if let Some(key) = &door.key {
        shared.intake.note(Tally {
            project: key.project,
            item: item.to_owned(),
            outcome: ItemOutcome::Dropped,
            reason: "not_yet_supported",
            quantity: 1,
        });
    }
    // OpenTelemetry's exporters read the answer as the encoding they sent; an empty one is a valid protobuf message.
    let is_json = door.parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if item == "span" && is_json {
        return accepted(None, &[]);
    }
    empty(status)
}
