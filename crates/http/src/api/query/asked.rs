//! What a question comes with: its project and its body.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use belvedere_accounts::Project;
use belvedere_event_store::kernel::filter::Filter;
use serde::de::DeserializeOwned;

use super::super::input::{InProject, JsonBody};
use super::condition::EventsBody;
use crate::problem::Problem;
use crate::state::Shared;

/// The body of a question to a project that the caller may ask.
pub(crate) struct Asked<T> {
    pub(super) project: Project,
    pub(super) body: T,
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<Shared>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let InProject(project) = InProject::from_request_parts(&mut parts, shared).await?;
        let JsonBody(body) = JsonBody::from_request(Request::from_parts(parts, body), shared).await?;
        Ok(Self { project, body })
    }
}

/// Who answers, and about which project.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) shared: &'a Shared,
    pub(super) project: &'a Project,
}

impl<'a> Asking<'a> {
    pub(super) fn new(shared: &'a Shared, project: &'a Project) -> Self {
        Self { shared, project }
    }

    /// The filter of some events; all events if nothing is said about them.
    pub(super) async fn filter(&self, events: Option<EventsBody>) -> Result<Filter, Problem> {
        events.unwrap_or_default().found(self).await
    }
}
