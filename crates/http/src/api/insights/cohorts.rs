//! People with something in common.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_business_intelligence::insight::{Cohort, CohortChange, CohortId, CohortSize, NewCohort, Rule};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::question::RuleSchema;
use super::{changed_by, read};
use crate::api::input::{InProject, JsonBody, PathText, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// People with something in common.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SavedCohortAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: CohortId,
    /// What people call it.
    name: String,
    /// What they have in common.
    #[schema(value_type = RuleSchema)]
    rule: Rule,
    /// Whether it is those whom the rule held for when it was made, or those whom it holds for now.
    is_static: bool,
    /// How many there were when they were last counted; null for fewer than five.
    size: Option<u64>,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    counted_at: Timestamp,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<Cohort> for SavedCohortAnswer {
    fn from(cohort: Cohort) -> Self {
        Self {
            id: cohort.id,
            size: cohort.shown_size(),
            name: cohort.name,
            rule: cohort.rule,
            is_static: cohort.is_static,
            counted_at: cohort.counted_at,
            created_at: cohort.created_at,
            changed_at: cohort.changed_at,
        }
    }
}

/// A cohort to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewCohortBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// What people call it: 1 to 100 characters, no two of a project the same.
    name: String,
    /// What its people have in common.
    #[schema(value_type = RuleSchema)]
    rule: Value,
    /// Whether it keeps those whom the rule holds for now.
    #[serde(default)]
    is_static: bool,
}

/// What changes about a cohort; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CohortChangeBody {
    /// What people call it.
    name: Option<String>,
    /// What its people have in common; not of a static one.
    #[schema(value_type = Option<RuleSchema>)]
    rule: Option<Value>,
}

/// List a project's cohorts by name, with their sizes of the last count
#[utoipa::path(get, path = "/api/v1/cohorts", tag = "insights", params(InProject),
    responses((status = 200, description = "At most 100 cohorts", body = Vec<SavedCohortAnswer>)))]
pub(in crate::api) async fn list_saved_cohorts(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<Vec<SavedCohortAnswer>>, Problem> {
    let cohorts = shared.cohorts.list_cohorts(project.id).await?;
    Ok(Json(cohorts.into_iter().map(SavedCohortAnswer::from).collect()))
}

/// Make a cohort
#[utoipa::path(post, path = "/api/v1/cohorts", tag = "insights", request_body = NewCohortBody,
    responses((status = 201, description = "The new cohort, counted", body = SavedCohortAnswer)))]
pub(in crate::api) async fn create_cohort(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewCohortBody>,
) -> Result<(StatusCode, Json<SavedCohortAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let rule = read("rule", body.rule)?;
    let new = NewCohort { name: body.name, rule, is_static: body.is_static };
    let cohort = shared.cohorts.create_cohort(project.id, new, &changed_by(&caller)).await?;
    Ok((StatusCode::CREATED, Json(cohort.into())))
}

/// Find a cohort, counted at this moment
#[utoipa::path(get, path = "/api/v1/cohorts/{id}", tag = "insights",
    params(("id" = String, Path, description = "The cohort's id"), InProject),
    responses((status = 200, description = "The cohort", body = SavedCohortAnswer)))]
pub(in crate::api) async fn find_cohort(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<SavedCohortAnswer>, Problem> {
    Ok(Json(shared.cohorts.count_cohort(project.id, path.id("cohort")?).await?.into()))
}

/// How many people were in a cohort.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CohortSizeAnswer {
    /// When the week begins.
    #[schema(value_type = String, format = DateTime)]
    week: Timestamp,
    /// Before this: the end of the week, or the present.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// How many; null for fewer than five.
    size: Option<u64>,
}

/// List how many people a live cohort had at the end of each of the last 12 weeks
#[utoipa::path(get, path = "/api/v1/cohorts/{id}/sizes", tag = "insights",
    params(("id" = String, Path, description = "The cohort's id"), InProject),
    responses((status = 200, description = "The oldest week first; none of a static one, which does not change",
        body = Vec<CohortSizeAnswer>)))]
pub(in crate::api) async fn list_cohort_sizes(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<Vec<CohortSizeAnswer>>, Problem> {
    let sizes = shared.cohorts.list_sizes(project.id, path.id("cohort")?).await?;
    let answer = |it: CohortSize| CohortSizeAnswer { week: it.week, until: it.until, size: it.size };
    Ok(Json(sizes.into_iter().map(answer).collect()))
}

/// Change the name of a cohort, or the rule of a live one
#[utoipa::path(put, path = "/api/v1/cohorts/{id}", tag = "insights", request_body = CohortChangeBody,
    params(("id" = String, Path, description = "The cohort's id"), InProject),
    responses((status = 200, description = "The cohort as it is now", body = SavedCohortAnswer)))]
pub(in crate::api) async fn update_cohort(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<CohortChangeBody>,
) -> Result<Json<SavedCohortAnswer>, Problem> {
    let rule = body.rule.map(|rule| read("rule", rule)).transpose()?;
    let (id, change) = (path.id("cohort")?, CohortChange { name: body.name, rule });
    Ok(Json(shared.cohorts.change_cohort(project.id, id, change, &changed_by(&caller)).await?.into()))
}

/// Delete a cohort; what asks about it has no answer from then on
#[utoipa::path(delete, path = "/api/v1/cohorts/{id}", tag = "insights",
    params(("id" = String, Path, description = "The cohort's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(in crate::api) async fn delete_cohort(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    shared.cohorts.delete_cohort(project.id, path.id("cohort")?, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
