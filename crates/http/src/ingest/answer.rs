//! The answers that Sentry SDKs understand, with the headers that let scripts of any origin read them.

use axum::response::{IntoResponse, Response};
use belvedere_accounts::AccountsError;
use belvedere_business_intelligence::BusinessError;
use belvedere_error_tracking::envelope::{DecodeError, EnvelopeError, EventId};
use belvedere_error_tracking::quota::Limited;
use belvedere_intake::IntakeError;
use belvedere_kernel::error_chain;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::body::BodyError;
use crate::metrics::Refused;
use crate::problem::Cause;

const X_SENTRY_ERROR: HeaderName = HeaderName::from_static("x-sentry-error");
const X_SENTRY_RATE_LIMITS: HeaderName = HeaderName::from_static("x-sentry-rate-limits");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Categories that a key's limit silences in SDKs. Sessions and client reports, a few small requests an hour which
/// say how healthy a release is and what was discarded, are not among them.
const LIMITED: &str = "default;error;transaction;security;attachment;profile;profile_chunk;profile_chunk_ui;replay;\
                       span;feedback;log_item;log_byte;trace_metric";

/// A header of SDKs longer than this is not worth sending.
const DETAIL_BYTES_MAX: usize = 500;

/// Why the door refuses a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no key: send it as X-Sentry-Auth, as Authorization, as ?sentry_key= or in the envelope's dsn")]
    NoKey,
    #[error(
        "no write key: send it as user of basic authentication, as X-Write-Key, or as writeKey or api_key in the body"
    )]
    NoWriteKey,
    #[error("the key is unknown or was revoked")]
    UnknownKey,
    #[error("there is no such project, or the key is another project's")]
    WrongProject,
    #[error("this origin may not send with this key")]
    Origin,
    #[error("the key has reached its limit of requests per minute")]
    RateLimited { retry_after_seconds: u64 },
    #[error("{0} is switched off here")]
    SwitchedOff(&'static str),
    #[error("{}", describe(.0))]
    Limited(Vec<Limited>),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("invalid event: {0}")]
    Event(String),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("cannot look the key up at the moment")]
    Accounts(#[from] AccountsError),
    #[error("cannot read the feature flags at the moment")]
    Flags(#[from] BusinessError),
    #[error("cannot store anything at the moment")]
    Intake(#[source] IntakeError),
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::TooLarge { max, .. } => Self::Body(BodyError::TooLarge(max as usize)),
            error => Self::Intake(error),
        }
    }
}

impl Refusal {
    /// The reason as counted, and the status.
    pub(super) fn class(&self) -> (Refused, StatusCode) {
        match self {
            Self::NoKey | Self::NoWriteKey => (Refused::Unauthenticated, StatusCode::UNAUTHORIZED),
            Self::UnknownKey => (Refused::UnknownKey, StatusCode::FORBIDDEN),
            Self::WrongProject => (Refused::WrongProject, StatusCode::FORBIDDEN),
            Self::Origin => (Refused::Origin, StatusCode::FORBIDDEN),
            Self::RateLimited { .. } | Self::Limited(_) => {
                (Refused::RateLimited, StatusCode::TOO_MANY_REQUESTS)
            }
            Self::SwitchedOff(_) => (Refused::SwitchedOff, StatusCode::NOT_FOUND),
            Self::Envelope(_) | Self::Event(_) => (Refused::Invalid, StatusCode::BAD_REQUEST),
            Self::Body(error) => match error {
                BodyError::TooLarge(_) | BodyError::Decode(DecodeError::TooLarge { .. }) => {
                    (Refused::TooLarge, StatusCode::PAYLOAD_TOO_LARGE)
                }
                BodyError::Decode(_) | BodyError::Broken => (Refused::Invalid, StatusCode::BAD_REQUEST),
                BodyError::Timeout(_) => (Refused::Timeout, StatusCode::REQUEST_TIMEOUT),
                BodyError::Busy => (Refused::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            },
            Self::Accounts(AccountsError::Storage(error)) if !error.is_transient() => {
                (Refused::Failed, StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Flags(error) if !error.is_transient() => {
                (Refused::Failed, StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Accounts(_) | Self::Flags(_) => (Refused::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Intake(error) if error.is_transient() => {
                (Refused::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Intake(_) => (Refused::Failed, StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// What the log must learn, once; refusals that are the client's doing are only counted.
    fn cause(&self) -> Option<Cause> {
        match self {
            Self::Accounts(error) => Some(Cause(error_chain(error))),
            Self::Flags(error) => Some(Cause(error_chain(error))),
            // A full queue would otherwise be logged for every request.
            Self::Intake(IntakeError::Full | IntakeError::DiskFull | IntakeError::Closed) => None,
            Self::Intake(error) => Some(Cause(error_chain(error))),
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (_, status) = self.class();
        let mut detail = self.to_string();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        let mut response = (status, json!({ "detail": detail, "causes": [] }).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Ok(detail) = HeaderValue::try_from(detail) {
            headers.insert(X_SENTRY_ERROR, detail);
        }
        match self {
            Self::Limited(ref limited) => add_limits(headers, limited),
            Self::RateLimited { retry_after_seconds } => {
                headers.insert(RETRY_AFTER, retry_after_seconds.into());
                let limits = format!("{retry_after_seconds}:{LIMITED}:key");
                if let Ok(limits) = HeaderValue::try_from(limits) {
                    headers.insert(X_SENTRY_RATE_LIMITS, limits);
                }
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, 10_u64.into());
            }
            _ => {}
        }
        allow_reading(headers);
        if let Some(cause) = self.cause() {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

/// The answer to what was accepted: `{"id":"<32 hexadecimal digits>"}`, or `{}` where nothing has an id.
pub(super) fn accepted(id: Option<EventId>, limited: &[Limited]) -> Response {
    let mut response = match id {
        Some(id) => format!("{{\"id\":\"{id}\"}}").into_response(),
        None => "{}".into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    allow_reading(headers);
    tell(response, limited)
}

/// The same answer, which names the categories that were left out of what was sent.
pub(super) fn tell(mut response: Response, limited: &[Limited]) -> Response {
    if !limited.is_empty() {
        add_limits(response.headers_mut(), limited);
    }
    response
}

/// Names each category with when to try again, so that an SDK goes on sending all others.
fn add_limits(headers: &mut HeaderMap, limited: &[Limited]) {
    let parts: Vec<String> = limited
        .iter()
        .map(|limited| {
            let (seconds, words) = (limited.retry_after_seconds, limited.category.sdk_words());
            format!("{seconds}:{words}:project:{}", limited.reason.as_str())
        })
        .collect();
    if let Ok(limits) = HeaderValue::try_from(parts.join(", ")) {
        headers.insert(X_SENTRY_RATE_LIMITS, limits);
    }
    if let Some(seconds) = limited.iter().map(|limited| limited.retry_after_seconds).max() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
}

fn describe(limited: &[Limited]) -> String {
    let named =
        limited.iter().map(|limited| format!("{} ({})", limited.category.as_str(), limited.reason.as_str()));
    format!("the project takes no more of these for now: {}", named.collect::<Vec<_>>().join(", "))
}

/// An answer without content that browsers let scripts see.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = status.into_response();
    allow_reading(response.headers_mut());
    response
}

/// Without the exposed headers a script cannot see that it is being limited.
pub(super) fn allow_reading(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-sentry-error,x-sentry-rate-limits,retry-after"),
    );
}

/// The answer to a browser that asks before it sends (CORS preflight). SDKs avoid the question, scripts may not.
pub(super) async fn preflight() -> Response {
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "x-sentry-auth,x-requested-with,x-forwarded-for,origin,referer,accept,content-type,authentication,\
             authorization,content-encoding,transfer-encoding,x-write-key",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}
