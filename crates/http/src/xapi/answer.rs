//! How the record store answers: with headers of the specification on everything, refusals included.

use axum::response::{IntoResponse, Response};
use belvedere_accounts::AccountsError;
use belvedere_storage::Timestamp;
use belvedere_xapi::{Version, XapiError};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, LAST_MODIFIED, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::body::BodyError;
use crate::problem::Problem;
use crate::state::Shared;

const X_VERSION: HeaderName = HeaderName::from_static("x-experience-api-version");
const CONSISTENT_THROUGH: HeaderName = HeaderName::from_static("x-experience-api-consistent-through");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A call that is not answered as hoped.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl Refusal {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(status, detail)))
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "send a working key and its secret by Basic authentication")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "the key has no scope that allows this")
    }

    pub(super) fn too_many(retry_after_seconds: u64) -> Self {
        let why = "the key has reached its limit of requests per minute";
        Self(Box::new(Problem::new(StatusCode::TOO_MANY_REQUESTS, why).retry_after(retry_after_seconds)))
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self(Box::new(Problem::not_found(what)))
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this resource does not take that method")
    }

    pub(super) fn switched_off() -> Self {
        Self::new(StatusCode::NOT_FOUND, "the xAPI record store is switched off here")
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self(Box::new(error.into()))
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Self {
        Self(Box::new(error.into()))
    }
}

impl From<XapiError> for Refusal {
    fn from(error: XapiError) -> Self {
        let status = match &error {
            XapiError::Statement(_) | XapiError::Json(_) | XapiError::Invalid { .. } => {
                StatusCode::BAD_REQUEST
            }
            XapiError::Conflict(_) | XapiError::Unconditional => StatusCode::CONFLICT,
            XapiError::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            XapiError::NotFound(_) => StatusCode::NOT_FOUND,
            XapiError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            error if error.is_transient() => {
                let detail = "the record store is not available at the moment";
                return Self(Box::new(Problem::unavailable(detail, error)));
            }
            error => return Self(Box::new(Problem::internal(error))),
        };
        Self::new(status, error.to_string())
    }
}

/// An answer with a JSON text.
pub(super) fn json(status: StatusCode, text: String) -> Response {
    let mut response = (status, text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Puts on every answer what the specification wants there.
pub(super) fn finish(shared: &Shared, version: Version, result: Result<Response, Refusal>) -> Response {
    let mut response = result.unwrap_or_else(|refusal| refusal.0.into_response());
    let is_unauthorized = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(X_VERSION, HeaderValue::from_static(version.as_str()));
    // Whatever was answered is readable, so everything up to now is.
    if let Ok(now) = HeaderValue::try_from(shared.clock.now().to_string()) {
        headers.insert(CONSISTENT_THROUGH, now);
    }
    if is_unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"xAPI\", charset=\"UTF-8\""));
    }
    allow_reading(headers);
    response
}

/// Puts on answers of the router itself, as to unknown addresses, what the other ones have.
pub(crate) fn dress(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(X_VERSION).or_insert(HeaderValue::from_static(Version::Two.as_str()));
    allow_reading(headers);
}

fn allow_reading(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "etag,last-modified,content-type,content-length,www-authenticate,retry-after,\
             x-experience-api-version,x-experience-api-consistent-through,x-experience-api-hash",
        ),
    );
}

/// The answer to a browser that asks before it sends (CORS preflight).
pub(super) async fn preflight() -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(X_VERSION, HeaderValue::from_static(Version::Two.as_str()));
    allow_reading(headers);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,HEAD,PUT,POST,DELETE"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization,content-type,accept,accept-language,if-match,if-none-match,\
             x-experience-api-version,x-experience-api-hash",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}

/// Adds when what is answered was last changed (RFC 9110, IMF-fixdate).
pub(super) fn last_modified(response: &mut Response, at: Option<Timestamp>) {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = at.and_then(|at| at.to_datetime().format(&format).ok());
    if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(LAST_MODIFIED, value);
    }
}
