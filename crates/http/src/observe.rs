//! What every answer carries and every request leaves behind: an id, a metric, a log line, safe headers.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use belvedere_storage::Id;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tracing::Instrument;

use crate::problem::{Cause, Problem};
use crate::sentry_api;
use crate::state::Shared;
use crate::xapi;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, a ULID; a request extension, and the answer's `x-request-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Marks generated ids of requests.
enum RequestKey {}

/// Wraps every route.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Id::<RequestKey>::generate(shared.clock.now()).to_string();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_for_sentry_tools = request.uri().path().starts_with(sentry_api::BASE);
    let is_xapi = request.uri().path().starts_with(xapi::BASE);
    request.extensions_mut().insert(RequestId(id.clone()));
    // A span at level info would be formatted for every request; what must be logged names the id itself.
    let span = tracing::debug_span!("request", id);
    let mut response = next.run(request).instrument(span).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    if response.headers().get(CONTENT_TYPE).is_none() {
        response = explain(response);
    }
    if is_for_sentry_tools {
        sentry_api::as_plain_json(&mut response);
    }
    if is_xapi {
        xapi::dress(&mut response);
    }
    if let Some(Cause(error)) = response.extensions_mut().remove::<Cause>() {
        let status = response.status().as_u16();
        tracing::error!(request_id = id, %method, route, status, error, "request failed");
    }
    let took = started.elapsed();
    shared.metrics.count_answer(route, response.status(), took);
    // The template and not the path: paths can hold one-time secrets.
    tracing::debug!(request_id = id, %method, route, status = response.status().as_u16(), ?took, "answered");
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    secure(headers);
    response
}

/// Gives the router's own bare answers for unknown paths and wrong methods a body.
fn explain(response: Response) -> Response {
    let problem = match response.status() {
        StatusCode::NOT_FOUND => Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address"),
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed =
                response.headers().get(ALLOW).and_then(|methods| methods.to_str().ok()).unwrap_or("others");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address takes {allowed}"))
        }
        _ => return response,
    };
    let (bare, _) = response.into_parts();
    let mut response = problem.into_response();
    for (name, value) in &bare.headers {
        if name != http::header::CONTENT_LENGTH {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// Headers that every answer has unless its handler chose its own.
fn secure(headers: &mut HeaderMap) {
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    // Answers to SDKs are not pages, and their scripts read them across origins.
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
}
