//! What every answer of the dashboard has: headers that confine a page, and compression.

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use belvedere_accounts::ClientInfo;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::assets::{compress, takes_brotli};
use crate::refusal::{Cause, Refusal};

/// Nothing inline, nothing from elsewhere, no framing. The SVG of charts needs no style of its own.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Bodies below this are not worth compressing.
const COMPRESSED_FROM_BYTES: usize = 1_024;

/// Bodies from this on are compressed on a thread that may block.
const BLOCKING_FROM_BYTES: usize = 128 << 10;

/// The largest page: far more than any template makes of its limited lists.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// A rendered template as an HTML page.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => Refusal::from(error).into_response(),
    }
}

/// The outermost layer.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let takes_brotli = takes_brotli(request.headers());
    let client = request.extensions().get::<ClientInfo>().and_then(|client| client.request_id.clone());
    let mut response = next.run(request).await;
    if let Some(Cause(error)) = response.extensions_mut().remove::<Cause>() {
        tracing::error!(request_id = client, status = response.status().as_u16(), error, "page failed");
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Pages show what their visitor may see, and nobody after them at the same machine.
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if takes_brotli { compressed(response).await } else { response }
}

async fn compressed(response: Response) -> Response {
    let headers = response.headers();
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = ["text/html", "application/json"].iter().any(|kind| content_type.starts_with(kind));
    if !is_page || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, PAGE_BYTES_MAX).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the page is too large").into_response();
    };
    if bytes.len() < COMPRESSED_FROM_BYTES {
        return Response::from_parts(parts, Body::from(bytes));
    }
    let small = if bytes.len() < BLOCKING_FROM_BYTES {
        compress(&bytes, 4)
    } else {
        let page = bytes.clone();
        match tokio::task::spawn_blocking(move || compress(&page, 4)).await {
            Ok(small) => small,
            Err(_) => return Response::from_parts(parts, Body::from(bytes)),
        }
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    parts.headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, Body::from(small))
}
