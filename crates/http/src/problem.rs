//! Errors as clients see them: RFC 9457 problem details, one status mapping per slice.

use belvedere_kernel::error_chain;
use std::error::Error;

use axum::response::{IntoResponse, Response};
use belvedere_accounts::{AccountsError, Permission};
use belvedere_alerting::AlertingError;
use belvedere_audit::AuditError;
use belvedere_business_intelligence::BusinessError;
use belvedere_error_tracking::{ErrorTrackingError, SourceMapError};
use belvedere_event_store::EventStoreError;
use belvedere_event_store::query::QueriesError;
use belvedere_intake::IntakeError;
use belvedere_learning_analytics::LearningError;
use belvedere_storage::StorageError;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a problem.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request was not answered as hoped (RFC 9457). The id of the request stands in `x-request-id`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says all that a program needs.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The status in words.
    pub(crate) title: &'static str,
    /// The HTTP status code.
    #[schema(value_type = u16)]
    #[serde(serialize_with = "status_number")]
    pub(crate) status: StatusCode,
    /// What was wrong with this request, and where.
    pub(crate) detail: String,
    /// The parameter or field at fault, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) field: Option<&'static str>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
    #[serde(skip)]
    cause: Option<Cause>,
    #[serde(skip)]
    denied: Option<Denied>,
}

/// Marks an answer whose cause only the log may tell.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

/// Marks an answer that a permission stood in the way of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denied(pub(crate) Permission);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            field: None,
            retry_after_seconds: None,
            cause: None,
            denied: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn invalid(field: &'static str, why: impl std::fmt::Display) -> Self {
        Self { field: Some(field), ..Self::bad_request(format!("{field}: {why}")) }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what} here"))
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub(crate) fn forbidden(permission: Permission) -> Self {
        let detail = format!("not allowed without the permission {}", permission.as_str());
        Self { denied: Some(Denied(permission)), ..Self::new(StatusCode::FORBIDDEN, detail) }
    }

    /// A failure of ours: the log learns `error`, the client does not.
    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Self {
        let detail = "something failed here; the log knows it by this answer's x-request-id";
        Self {
            cause: Some(Cause(error_chain(error))),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        }
    }

    /// A failure that will pass.
    pub(crate) fn unavailable(detail: &str, error: &(dyn Error + 'static)) -> Self {
        Self { cause: Some(Cause(error_chain(error))), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
            .retry_after(5)
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds.max(1)), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Serialising strings and numbers cannot fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        if let Some(denied) = self.denied {
            response.extensions_mut().insert(denied);
        }
        response
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Conflict(_) => {
                Self::new(StatusCode::CONFLICT, "the change contradicts what is stored")
            }
            StorageError::Busy(_) | StorageError::Unavailable(_) => {
                Self::unavailable("the database is not available at the moment", &error)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Forbidden(permission) => Self::forbidden(permission),
            AccountsError::NotFound(what) => Self::not_found(what),
            AccountsError::Throttled { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry_after(retry_after.as_secs())
            }
            AccountsError::WrongCredentials | AccountsError::LinkExpired => {
                Self::unauthorized(error.to_string())
            }
            AccountsError::Invalid { field, why } => Self::invalid(field, why),
            AccountsError::Conflict(conflict) => Self::new(StatusCode::CONFLICT, conflict.to_string()),
            AccountsError::Storage(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<ErrorTrackingError> for Problem {
    fn from(error: ErrorTrackingError) -> Self {
        match error {
            ErrorTrackingError::InvalidEvent(_) | ErrorTrackingError::InvalidQuery(_) => {
                Self::bad_request(error.to_string())
            }
            ErrorTrackingError::Invalid { field, why } => Self::invalid(field, why),
            ErrorTrackingError::NotFound(what) => Self::not_found(what),
            ErrorTrackingError::InvalidRules(why) => Self::invalid("rules", why),
            ErrorTrackingError::RulesChanged => Self::new(StatusCode::CONFLICT, error.to_string()),
            ErrorTrackingError::Storage(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<SourceMapError> for Problem {
    fn from(error: SourceMapError) -> Self {
        match error {
            SourceMapError::Invalid { field, why } => Self::invalid(field, why),
            SourceMapError::Full(why) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, why),
            SourceMapError::Storage(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::NotFound => Self::not_found("set-aside delivery"),
            IntakeError::InvalidQuery(why) => Self::bad_request(why),
            IntakeError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            IntakeError::Storage(error) => error.into(),
            error if error.is_transient() => {
                Self::unavailable("intake is not available at the moment", &error)
            }
            error => Self::internal(&error),
        }
    }
}

impl From<QueriesError> for Problem {
    fn from(error: QueriesError) -> Self {
        match error {
            QueriesError::Invalid { field, why } => Self::invalid(field, why),
            QueriesError::TooSlow { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(5)
            }
            QueriesError::Store(EventStoreError::Storage(error)) => error.into(),
            error if error.is_transient() => {
                Self::unavailable("the event store is not available at the moment", &error)
            }
            error => Self::internal(&error),
        }
    }
}

impl From<LearningError> for Problem {
    fn from(error: LearningError) -> Self {
        match &error {
            LearningError::Invalid { field, why } => Self::invalid(field, why),
            LearningError::NotFound(what) => Self::not_found(what),
            error if error.is_transient() => {
                Self::unavailable("learning analytics is not available at the moment", error)
            }
            error => Self::internal(error),
        }
    }
}

impl From<BusinessError> for Problem {
    fn from(error: BusinessError) -> Self {
        match &error {
            BusinessError::Invalid { field, why } => Self::invalid(field, why),
            BusinessError::NotFound(what) => Self::not_found(what),
            BusinessError::Currencies(_) => {
                Self { field: Some("currency"), ..Self::bad_request(error.to_string()) }
            }
            BusinessError::MissingRate(_) => {
                Self { field: Some("currency"), ..Self::new(StatusCode::CONFLICT, error.to_string()) }
            }
            BusinessError::Queries(queries) => match &**queries {
                QueriesError::Invalid { field, why } => Self::invalid(field, why),
                queries if queries.is_transient() => {
                    Self::unavailable("the event store is not available at the moment", queries)
                }
                queries => Self::internal(queries),
            },
            error if error.is_transient() => {
                Self::unavailable("business intelligence is not available at the moment", error)
            }
            error => Self::internal(error),
        }
    }
}

impl From<AlertingError> for Problem {
    fn from(error: AlertingError) -> Self {
        match &error {
            AlertingError::Invalid { field, why } => Self::invalid(field, why),
            AlertingError::NotFound(what) => Self::not_found(what),
            error if error.is_transient() => {
                Self::unavailable("webhooks are not available at the moment", error)
            }
            error => Self::internal(error),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::InvalidCursor(_) => Self::invalid("cursor", "is not one that a page gave"),
            AuditError::Storage(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}
