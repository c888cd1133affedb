//! What requests bring, checked: paths, queries, JSON bodies, and which project is meant.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use belvedere_accounts::{OWN_PROJECT, Project};
use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Id, PageRequest, Timestamp};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use crate::body::BodyError;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The largest JSON body of the API.
const JSON_BYTES_MAX: usize = 256 << 10;

/// How many rows a page has unless the request says otherwise.
const LIMIT: u16 = 50;

/// The one id in a path; what is no id names nothing.
pub(super) struct PathText(pub(super) String);

impl PathText {
    pub(super) fn id<T>(&self, what: &str) -> Result<Id<T>, Problem> {
        self.0.parse().map_err(|_| Problem::not_found(what))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| Problem::not_found("address"))
    }
}

/// The two ids in a path.
pub(super) struct PathPair(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathPair {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        path.map(|Path((first, second))| Self(first, second)).map_err(|_| Problem::not_found("address"))
    }
}

/// The parameters of a query string.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(parameters)| Self(parameters))
            .map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let body = shared.bodies.read(request.into_body(), JSON_BYTES_MAX).await?;
        serde_json::from_slice(&body.bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("body: {error}")))
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            BodyError::Busy => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(10);
            }
            BodyError::Decode(_) | BodyError::Broken => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

/// The project of a request whose query says nothing else.
pub(super) struct InProject(pub(super) Project);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProjectWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
}

impl FromRequestParts<Arc<Shared>> for InProject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        let Parameters(wanted) = Parameters::<ProjectWanted>::from_request_parts(parts, shared).await?;
        project(shared, &caller, wanted.project.as_deref()).await.map(Self)
    }
}

impl IntoParams for InProject {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<utoipa::openapi::path::Parameter> {
        ProjectWanted::into_params(parameter_in)
    }
}

/// Which page is wanted.
pub(super) fn page(limit: Option<u16>, cursor: Option<String>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=PageRequest::LIMIT_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", format!("must be from 1 to {}", PageRequest::LIMIT_MAX)));
    }
    Ok(PageRequest::new(limit, cursor.map(Cursor::from)))
}

/// An instant that a parameter names.
pub(super) fn instant(field: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let parsed = text.map(str::parse::<Timestamp>).transpose();
    parsed.map_err(|_| Problem::invalid(field, "must be an instant such as 2026-11-23T12:00:00Z"))
}

/// The project that a request means: by number or by slug, or the organisation's only one, that of Belvedere's own
/// errors not counted.
pub(crate) async fn project(
    shared: &Shared,
    caller: &Caller,
    named: Option<&str>,
) -> Result<Project, Problem> {
    let missing = || Problem::not_found("project");
    if let Some(number) = named.and_then(|named| named.parse::<ProjectId>().ok()) {
        return shared.accounts.find_project(&caller.principal, number).await?.ok_or_else(missing);
    }
    let mut projects = shared.accounts.list_projects(&caller.principal).await?;
    if named.is_none() {
        projects.retain(|project| project.slug != OWN_PROJECT);
    }
    match named {
        Some(slug) => projects.into_iter().find(|project| project.slug == slug).ok_or_else(missing),
        None if projects.len() == 1 => projects.pop().ok_or_else(missing),
        None => Err(Problem::invalid("project", "must be given, as there is more than one project")),
    }
}
