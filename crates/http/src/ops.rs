//! For whoever runs the installation: is it alive, is it ready, how does it fare.

use belvedere_kernel::error_chain;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, FORWARDED};
use http::{HeaderName, StatusCode};
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::address::{ClientAddress, Peer};
use crate::metrics::{render_storage, render_waiting};
use crate::problem::Problem;
use crate::routes::{Access, Routes, bearer};
use crate::state::Shared;

/// How long the database may take to answer before it counts as away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get("/healthz", Access::Public("says only that the process runs"), healthz)
        .get(
            "/readyz",
            Access::Public("load balancers ask without credentials; says only which part is away"),
            readyz,
        )
        .get("/metrics", Access::Operator, metrics)
}

async fn healthz() -> Response {
    Json(serde_json::json!({ "status": "ok" })).into_response()
}

#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    database: &'static str,
    spool: &'static str,
    intake: &'static str,
}

/// 200 if requests can be accepted and digested, else 503.
///
/// A database that is away does not stop the door: events are accepted into the spool all the same. But no page can be shown,
/// and where there are several processes another may do better.
async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let database = match tokio::time::timeout(PING_TIMEOUT, shared.db.ping()).await {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(error = error_chain(&error), "database does not answer");
            "unavailable"
        }
        Err(_) => "unavailable",
    };
    let depth = shared.intake.depth();
    let spool = if depth.bytes < depth.bytes_max { "ok" } else { "full" };
    let intake = if shared.intake_stats.is_stalled() { "stalled" } else { "ok" };
    let is_ready = [database, spool, intake].iter().all(|part| *part == "ok");
    let (code, status) =
        if is_ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    (code, Json(Readiness { status, database, spool, intake })).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut text = shared.metrics.render(&shared.intake_stats.snapshot(), &shared.intake.depth());
    // The numbers of this process do not wait for a database that is away.
    if let Ok(Ok(sums)) = tokio::time::timeout(PING_TIMEOUT, shared.project_limits.list_storage()).await {
        render_storage(&mut text, &sums);
    }
    if let Ok(Ok(waiting)) = tokio::time::timeout(PING_TIMEOUT, shared.learning.count_waiting()).await {
        render_waiting(&mut text, waiting);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Lets a request pass that comes from this machine or carries the token for metrics.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if is_operator(&shared, &request) {
        return next.run(request).await;
    }
    let detail = "for this machine only, or with Authorization: Bearer <server.metrics_token>";
    Problem::unauthorized(detail).into_response()
}

fn is_operator(shared: &Shared, request: &Request) -> bool {
    if let Some(expected) = &shared.metrics_token {
        return bearer(request.headers())
            .is_some_and(|token| token.as_bytes().ct_eq(expected.as_bytes()).into());
    }
    // A reverse proxy on this machine brings strangers over the loopback interface: whoever is forwarded is none of us.
    let is_forwarded =
        request.headers().contains_key(FORWARDED_FOR) || request.headers().contains_key(FORWARDED);
    let is_local = |address: IpAddr| address.to_canonical().is_loopback();
    !is_forwarded
        && request.extensions().get::<Peer>().is_some_and(|peer| is_local(peer.0.ip()))
        && request.extensions().get::<ClientAddress>().is_some_and(|client| is_local(client.0))
}
