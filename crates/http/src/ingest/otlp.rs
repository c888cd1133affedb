//! Logs by OTLP/HTTP in its JSON encoding (`OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json`).
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Requests in protobuf are answered 415, which makes an
//! exporter say so.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use belvedere_error_tracking::limits::Category;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::answer::{Refusal, accepted, empty};
use super::sentry::{Door, refuse};
use crate::routes::{Access, Routes};
use crate::state::Shared;

const ITEM: &str = "log";

const PATHS: [&str; 2] =
    ["/api/{project}/integration/otlp/v1/logs/", "/api/{project}/integration/otlp/v1/logs"];

pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in PATHS {
        routes = routes.post(path, Access::IngestKey, logs).options(
            path,
            super::PREFLIGHT,
            super::answer::preflight,
        );
    }
    routes
}

async fn logs(State(shared): State<Arc<Shared>>, Path(project): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json =
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let mut door = Door::new(&shared, parts, Some(&project));
    match take(&shared, &mut door, is_json, body).await {
        Ok(true) => accepted(None, &[]),
        Ok(false) => empty(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

/// Whether it was in an encoding that is understood.
async fn take(shared: &Shared, door: &mut Door<'_>, is_json: bool, body: Body) -> Result<bool, Refusal> {
    let key = door.authenticate(None).await?;
    if !is_json {
        shared.bodies.discard(body, shared.limits.body_bytes_max).await?;
        door.note(ITEM, "unsupported_encoding", 1);
        return Ok(false);
    }
    let body = shared.bodies.read(body, shared.limits.body_bytes_max).await?;
    let encoding = door.encoding();
    let look = |bytes: &[u8], is_whole: bool| {
        let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
        // The end tells whether it decodes.
        (is_whole || !is_object).then_some(is_object)
    };
    if !shared.bodies.decode(encoding, &body.bytes, look).await? {
        return Err(Refusal::Event("not a JSON object".to_owned()));
    }
    door.accept_limited(&key, "otlp.logs", (ITEM, Category::Log), body.bytes.clone(), encoding).await?;
    Ok(true)
}
