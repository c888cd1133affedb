//! Which organisation and project an address means.

use belvedere_accounts::{OrganisationInfo, Project};
use belvedere_kernel::ProjectId;

use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

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
