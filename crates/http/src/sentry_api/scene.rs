//! Which organisation and project an address means, and what a body says.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use belvedere_accounts::{OrganisationInfo, Project};
use belvedere_kernel::ProjectId;

use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The largest JSON body: a list of commits with the files that each changed.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The organisation that an address names by slug, which must be the token's own.
pub(super) async fn organisation(
    shared: &Shared,
    caller: &Caller,
    named: &str,
) -> Result<OrganisationInfo, Problem> {
    let own = shared.accounts.find_organisation(&caller.principal).await?;
    own.filter(|own| own.slug == named || own.id.to_string() == named)
        .ok_or_else(|| Problem::not_found("organisation"))
}

/// The project of the token's organisation that an address names by slug or number.
pub(super) async fn project(
    shared: &Shared,
    caller: &Caller,
    organisation_named: &str,
    named: &str,
) -> Result<Project, Problem> {
    organisation(shared, caller, organisation_named).await?;
    let mut projects = shared.accounts.list_projects(&caller.principal).await?;
    take_project(&mut projects, named)
}

/// Takes the project with this slug or number out of a list.
pub(super) fn take_project(projects: &mut Vec<Project>, named: &str) -> Result<Project, Problem> {
    let number = named.parse::<ProjectId>().ok();
    projects
        .iter()
        .position(|project| project.slug == named || Some(project.id) == number)
        .map(|index| projects.swap_remove(index))
        .ok_or_else(|| Problem::not_found("project"))
}

/// A JSON body; fields that are not known are passed over, as newer tools send more.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let body = shared.bodies.read(request.into_body(), BODY_BYTES_MAX).await?;
        serde_json::from_slice(&body.bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("body: {error}")))
    }
}
