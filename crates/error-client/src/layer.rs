//! A tower layer for services of HTTP requests.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use sentry::protocol::{Event, SpanStatus};
use sentry::types::random_uuid;
use sentry::{Hub, Level, SentryFuture, SentryFutureExt, TransactionContext, TransactionOrSpan};
use tower::{Layer, Service};

use crate::ErrorClient;
use crate::profile::Profile;

const OPERATION: &str = "http.server";
/// Headers of a request that are worth seeing with an error; no others are recorded.
const HEADERS: [&str; 8] = [
    "accept",
    "accept-language",
    "content-length",
    "content-type",
    "host",
    "origin",
    "referer",
    "user-agent",
];
const REQUEST_ID: &str = "x-request-id";
const HEADER_CHARS_MAX: usize = 500;
const ROUTE_CHARS_MAX: usize = 200;

type RouteFinder = Arc<dyn Fn(&Extensions) -> Option<String> + Send + Sync>;

/// Makes every request a transaction with a hub of its own.
///
/// - Users, tags and breadcrumbs that a handler sets belong to its request alone.
/// - The transaction is called `GET /lessons/{id}`; a trace that began elsewhere (`sentry-trace`, `baggage`) goes on.
/// - A panic is reported and goes on. An answer of 500 or above, and an error instead of an answer, are reported unless
///   the handler reported an error itself.
/// - Events have the tag `request_id`: the request's `x-request-id`, or a new one.
///
/// Of the request method, path and a few headers are recorded; no query, cookies, credentials or body.
#[derive(Clone)]
pub struct RequestLayer {
    client: ErrorClient,
    route: Option<RouteFinder>,
}

impl RequestLayer {
    /// The layer of `client`.
    #[must_use]
    pub fn new(client: ErrorClient) -> Self {
        Self { client, route: None }
    }

    /// Asks `route` for the template of a request's route. With axum:
    /// `|extensions| extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned())`. Otherwise, and where it
    /// finds none, it is the path with `{id}` for each segment that looks like an id.
    #[must_use]
    pub fn with_route(
        mut self,
        route: impl Fn(&Extensions) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.route = Some(Arc::new(route));
        self
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService { inner, layer: self.clone() }
    }
}

/// A service within a [`RequestLayer`].
#[derive(Clone)]
pub struct RequestService<S> {
    inner: S,
    layer: RequestLayer,
}

impl<S, B, R> Service<Request<B>> for RequestService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RequestFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> RequestFuture<S::Future> {
        let watch = Watch::begin(&self.layer, &request);
        let hub = Arc::clone(&watch.hub);
        let future = Hub::run(Arc::clone(&hub), || self.inner.call(request));
        RequestFuture { inner: Box::pin(future.bind_hub(hub)), watch: Some(watch) }
    }
}

/// The answer of a [`RequestService`].
pub struct RequestFuture<F> {
    inner: Pin<Box<SentryFuture<F>>>,
    /// `None` once the request has ended.
    watch: Option<Watch>,
}

impl<F, R, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(watch) = &mut this.watch else { return this.inner.as_mut().poll(context) };
        let turn = || Profile::turn(&mut watch.profile, || this.inner.as_mut().poll(context));
        let result = match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(poll) => Ok(ready!(poll)),
            Err(panic) => Err(panic),
        };
        if let Some(watch) = this.watch.take() {
            watch.end(&result);
        }
        Poll::Ready(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

/// A request that is being answered.
struct Watch {
    client: ErrorClient,
    hub: Arc<Hub>,
    name: String,
    span: TransactionOrSpan,
    profile: Option<Profile>,
    /// Whether an error of this request was reported.
    has_error: Arc<AtomicBool>,
}

impl Watch {
    fn begin<B>(layer: &RequestLayer, request: &Request<B>) -> Self {
        let client = layer.client.clone();
        let hub = Arc::new(Hub::new_from_top(client.hub()));
        let found = layer.route.as_ref().and_then(|route| route(request.extensions()));
        let route = found.unwrap_or_else(|| template(request.uri().path()));
        let name = format!("{} {route}", request.method());
        let headers =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let context = TransactionContext::continue_from_headers(&name, OPERATION, headers);
        let transaction = hub.start_transaction(context);
        transaction.set_data("http.request.method", request.method().as_str().into());
        transaction.set_data("http.route", route.into());
        let span = TransactionOrSpan::from(transaction);
        let profile = Profile::of(&span, client.inner.config.profiles_rate());
        let has_error = Arc::new(AtomicBool::new(false));
        let (facts, noted) = (facts(request), Arc::clone(&has_error));
        hub.configure_scope(|scope| {
            scope.set_span(Some(span.clone()));
            scope.set_transaction(Some(&name));
            scope.set_tag("request_id", request_id(request.headers()));
            scope.add_event_processor(move |mut event| {
                if event.level >= Level::Error {
                    noted.store(true, Ordering::Relaxed);
                }
                event.request.get_or_insert_with(|| facts.clone());
                Some(event)
            });
        });
        Self { client, hub, name, span, profile, has_error }
    }

    fn end<R, E>(self, result: &Result<Result<Response<R>, E>, Box<dyn Any + Send>>) {
        let (status, trouble) = match result {
            Ok(Ok(response)) if response.status().is_server_error() => (
                span_status(response.status()),
                Some(format!("{} answers {}", self.name, response.status().as_u16())),
            ),
            Ok(Ok(response)) => (span_status(response.status()), None),
            Ok(Err(_)) => (SpanStatus::InternalError, Some(format!("{} ends without an answer", self.name))),
            // The hook for panics has reported it.
            Err(_) => (SpanStatus::InternalError, None),
        };
        if let Ok(Ok(response)) = result {
            self.span.set_data("http.response.status_code", response.status().as_u16().into());
        }
        if let Some(message) = trouble.filter(|_| !self.has_error.load(Ordering::Relaxed)) {
            let event = Event { message: Some(message), level: Level::Error, ..Event::default() };
            self.client.capture(&self.hub, event);
        }
        self.span.set_status(status);
        if let Some(profile) = self.profile {
            profile.write(&self.span);
        }
        let span = self.span;
        Hub::run(self.hub, || span.finish());
    }
}

fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |text: &&str| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.:".contains(&it))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(is_plain);
    given.map_or_else(|| random_uuid().simple().to_string(), str::to_owned)
}

fn facts<B>(request: &Request<B>) -> sentry::protocol::Request {
    let header = |name: &str| {
        let text = request.headers().get(name)?.to_str().ok()?;
        // What follows a question mark may be a secret.
        let text = if name == "referer" { text.split('?').next().unwrap_or_default() } else { text };
        Some((name.to_owned(), text.chars().take(HEADER_CHARS_MAX).collect()))
    };
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).or(request.uri().host());
    let url = format!("http://{}{}", host.unwrap_or("localhost"), request.uri().path());
    sentry::protocol::Request {
        url: url.parse().ok(),
        method: Some(request.method().to_string()),
        headers: HEADERS.iter().filter_map(|name| header(name)).collect(),
        ..sentry::protocol::Request::default()
    }
}

/// The path with `{id}` for what looks like an id: digits, or a long segment with a digit in it.
fn template(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let has_digit = segment.bytes().any(|byte| byte.is_ascii_digit());
        let is_number = has_digit && segment.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || (has_digit && segment.len() >= 16) { "{id}" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/").chars().take(ROUTE_CHARS_MAX).collect()
}

fn span_status(status: StatusCode) -> SpanStatus {
    match status.as_u16() {
        100..=399 => SpanStatus::Ok,
        401 => SpanStatus::Unauthenticated,
        403 => SpanStatus::PermissionDenied,
        404 => SpanStatus::NotFound,
        409 => SpanStatus::AlreadyExists,
        429 => SpanStatus::ResourceExhausted,
        499 => SpanStatus::Cancelled,
        400..=498 => SpanStatus::InvalidArgument,
        501 => SpanStatus::Unimplemented,
        503 => SpanStatus::Unavailable,
        504 => SpanStatus::DeadlineExceeded,
        _ => SpanStatus::InternalError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_become_templates() {
        for (path, expected) in [
            ("/", "/"),
            ("/lessons/17/steps/3", "/lessons/{id}/steps/{id}"),
            ("/users/01JDKB3V5S8W0Q2Z7X9Y4R6T1N", "/users/{id}"),
            ("/files/6f1c8a52-0d9e-4a67-9c1b-2f3e4d5c6b7a/raw", "/files/{id}/raw"),
            ("/api/v1/issues", "/api/v1/issues"),
            ("/a-long-but-plain-segment", "/a-long-but-plain-segment"),
        ] {
            assert_eq!(template(path), expected);
        }
        assert_eq!(template(&"/x".repeat(5_000)).len(), ROUTE_CHARS_MAX);
    }

    #[test]
    fn a_request_id_that_is_no_id_is_replaced() {
        let id = |text: &str| {
            request_id(
                &[(http::HeaderName::from_static(REQUEST_ID), text.parse().unwrap())].into_iter().collect(),
            )
        };
        assert_eq!(id("abc-1.2:3_4"), "abc-1.2:3_4");
        assert_eq!(id("<script>").len(), 32);
        assert_eq!(request_id(&HeaderMap::new()).len(), 32);
    }

    #[test]
    fn only_harmless_parts_of_a_request_are_recorded() {
        let request = Request::get("/lessons/7?token=secret")
            .header("host", "lessons.example")
            .header("cookie", "sid=1")
            .header("authorization", "Bearer abcdefghijkl")
            .header("referer", "https://a.example/x?key=secret")
            .header("user-agent", "test")
            .body(())
            .unwrap();
        let facts = facts(&request);
        assert_eq!(facts.url.unwrap().as_str(), "http://lessons.example/lessons/7");
        let headers: Vec<_> =
            facts.headers.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(headers, ["host=lessons.example", "referer=https://a.example/x", "user-agent=test"]);
        assert_eq!((facts.query_string, facts.cookies), (None, None));
    }
}
