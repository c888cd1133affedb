//! Answers that are not the page that was asked for.

use belvedere_kernel::error_chain;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::{AccountsError, Permission};
use belvedere_alerting::AlertingError;
use belvedere_audit::AuditError;
use belvedere_business_intelligence::BusinessError;
use belvedere_error_tracking::{ErrorTrackingError, SourceMapError};
use belvedere_event_store::EventStoreError;
use belvedere_event_store::query::QueriesError;
use belvedere_intake::IntakeError;
use belvedere_learning_analytics::LearningError;
use belvedere_privacy::PrivacyError;
use belvedere_storage::StorageError;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::assets::{self, AssetPaths};
use crate::form::address;
use crate::respond;
use crate::wording::capitalised;

/// Why a page is not shown.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Somebody has to sign in first; where they wanted to go.
    SignIn(String),
    /// There is nothing here, or it is another organisation's: the same answer.
    NotFound,
    /// The visitor's role does not include it.
    Forbidden(Permission),
    /// A form without the session's anti-forgery value, or from another site.
    Forged,
    /// What was sent cannot be used; says why.
    Invalid(String),
    /// Too much at once; when to come back, in seconds.
    TooMany(u64),
    /// The database is away for the moment.
    Unavailable(String),
    /// Something that should not happen; for the log only.
    Failed(String),
}

/// Left on an answer for the session layer, which writes it into the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denied(pub(crate) Permission);

/// Left on an answer for the outermost layer, which logs it with the request's id.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    assets: &'static AssetPaths,
    title: &'a str,
    text: &'a str,
    href: &'a str,
    link: &'a str,
    request_id: Option<String>,
}

impl Refusal {
    /// What the visitor can put right, as a sentence for the form that they sent; other refusals come back.
    pub(crate) fn into_form_error(self) -> Result<String, Self> {
        match self {
            Self::Invalid(text) => Ok(capitalised(&text)),
            other => Err(other),
        }
    }

    fn storage(error: &StorageError) -> Self {
        if error.is_transient() {
            Self::Unavailable(error_chain(error))
        } else {
            Self::Failed(error_chain(error))
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, title, text) = match &self {
            Self::SignIn(next) => {
                return Redirect::to(&address("/sign-in", &[("next", next)])).into_response();
            }
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Nothing here",
                "There is nothing at this address, or it is not yours to see.",
            ),
            Self::Forbidden(_) => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                "Your role does not include this. An administrator can change that.",
            ),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "Please try again",
                "The form was too old or did not come from this site. Nothing was changed.",
            ),
            Self::Invalid(text) => (StatusCode::BAD_REQUEST, "That cannot be used", text.as_str()),
            Self::TooMany(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "Too many attempts", "Please wait a little and try again.")
            }
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The database is away",
                "Events are still accepted and will be digested later. This page works again as soon as the database does.",
            ),
            Self::Failed(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong",
                "The failure is in the log. Events are still accepted.",
            ),
        };
        let page = RefusalPage {
            assets: assets::paths(),
            title,
            text,
            href: "/",
            link: "To the overview",
            request_id: None,
        };
        let mut response = respond::page(&page);
        *response.status_mut() = status;
        match self {
            Self::Forbidden(permission) => {
                response.extensions_mut().insert(Denied(permission));
            }
            Self::TooMany(seconds) => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
            }
            Self::Unavailable(cause) | Self::Failed(cause) => {
                response.extensions_mut().insert(Cause(cause));
            }
            _ => {}
        }
        response
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Forbidden(permission) => Self::Forbidden(permission),
            AccountsError::NotFound(_) => Self::NotFound,
            AccountsError::Throttled { retry_after } => Self::TooMany(retry_after.as_secs()),
            AccountsError::WrongCredentials | AccountsError::LinkExpired | AccountsError::Invalid { .. } => {
                Self::Invalid(error.to_string())
            }
            AccountsError::Conflict(conflict) => Self::Invalid(conflict.to_string()),
            AccountsError::Storage(error) => Self::storage(&error),
            other => Self::Failed(error_chain(&other)),
        }
    }
}

impl From<ErrorTrackingError> for Refusal {
    fn from(error: ErrorTrackingError) -> Self {
        match error {
            ErrorTrackingError::InvalidQuery(text) | ErrorTrackingError::InvalidEvent(text) => {
                Self::Invalid(text)
            }
            ErrorTrackingError::NotFound(_) => Self::NotFound,
            error @ (ErrorTrackingError::InvalidRules(_) | ErrorTrackingError::RulesChanged) => {
                Self::Invalid(error.to_string())
            }
            ErrorTrackingError::Storage(error) => Self::storage(&error),
            other => Self::Failed(error_chain(&other)),
        }
    }
}

impl From<SourceMapError> for Refusal {
    fn from(error: SourceMapError) -> Self {
        match error {
            SourceMapError::Invalid { .. } | SourceMapError::Full(_) => Self::Invalid(error.to_string()),
            SourceMapError::Storage(error) => Self::storage(&error),
            other => Self::Failed(error_chain(&other)),
        }
    }
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::NotFound => Self::NotFound,
            IntakeError::InvalidQuery(text) => Self::Invalid(text),
            error if error.is_transient() => Self::Unavailable(error_chain(&error)),
            error => Self::Failed(error_chain(&error)),
        }
    }
}

impl From<QueriesError> for Refusal {
    fn from(error: QueriesError) -> Self {
        match error {
            QueriesError::Invalid { .. } | QueriesError::TooSlow { .. } => {
                Self::Invalid(capitalised(&error.to_string()).trim_end_matches('.').to_owned())
            }
            QueriesError::Store(EventStoreError::Storage(error)) => Self::storage(&error),
            error if error.is_transient() => Self::Unavailable(error_chain(&error)),
            error => Self::Failed(error_chain(&error)),
        }
    }
}

impl From<LearningError> for Refusal {
    fn from(error: LearningError) -> Self {
        match error {
            LearningError::Invalid { .. } => Self::Invalid(error.to_string()),
            LearningError::NotFound(_) => Self::NotFound,
            LearningError::Storage(error) => Self::storage(&error),
            error if error.is_transient() => Self::Unavailable(error_chain(&error)),
            error => Self::Failed(error_chain(&error)),
        }
    }
}

impl From<BusinessError> for Refusal {
    fn from(error: BusinessError) -> Self {
        match error {
            BusinessError::Invalid { .. } | BusinessError::Currencies(_) | BusinessError::MissingRate(_) => {
                Self::Invalid(error.to_string())
            }
            BusinessError::NotFound(_) => Self::NotFound,
            BusinessError::Queries(error)
                if matches!(*error, QueriesError::Invalid { .. } | QueriesError::TooSlow { .. }) =>
            {
                Self::Invalid(capitalised(&error.to_string()).trim_end_matches('.').to_owned())
            }
            BusinessError::Storage(error) => Self::storage(&error),
            error if error.is_transient() => Self::Unavailable(error_chain(&error)),
            error => Self::Failed(error_chain(&error)),
        }
    }
}

impl From<AlertingError> for Refusal {
    fn from(error: AlertingError) -> Self {
        match error {
            AlertingError::Invalid { .. } => Self::Invalid(error.to_string()),
            AlertingError::NotFound(_) => Self::NotFound,
            AlertingError::Storage(error) => Self::storage(&error),
            error => Self::Failed(error_chain(&error)),
        }
    }
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::InvalidCursor(_) => Self::Invalid(error.to_string()),
            AuditError::Storage(error) => Self::storage(&error),
            other => Self::Failed(error_chain(&other)),
        }
    }
}

impl From<PrivacyError> for Refusal {
    fn from(error: PrivacyError) -> Self {
        match error {
            PrivacyError::Invalid { .. } => Self::Invalid(error.to_string()),
            PrivacyError::Storage(error) => Self::storage(&error),
            other => Self::Failed(error_chain(&other)),
        }
    }
}

impl From<askama::Error> for Refusal {
    fn from(error: askama::Error) -> Self {
        Self::Failed(error_chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use belvedere_accounts::Conflict;

    use super::*;

    #[test]
    fn failures_keep_their_cause_for_the_log_and_off_the_page() {
        let error = AccountsError::Storage(StorageError::corrupt("row 7 of accounts_user"));
        let response = Refusal::from(error).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let Cause(cause) = response.extensions().get::<Cause>().unwrap();
        assert_eq!(cause, "stored data is corrupt: row 7 of accounts_user");
        assert!(Refusal::Failed(cause.clone()).into_form_error().is_err());
    }

    #[test]
    fn what_visitors_can_put_right_becomes_a_sentence() {
        let refusal = Refusal::from(AccountsError::Invalid { field: "slug", why: "is too long".to_owned() });
        assert_eq!(refusal.into_form_error().unwrap(), "Slug: is too long.");
        let refusal = Refusal::from(AccountsError::Conflict(Conflict::EmailTaken));
        assert_eq!(refusal.into_form_error().unwrap(), "Email: already in use.");
    }
}
