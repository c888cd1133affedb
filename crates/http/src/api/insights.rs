//! Questions worth keeping, dashboards that show them, the links to these, and cohorts.

mod boards;
mod cohorts;
mod question;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use belvedere_accounts::{Permission, Project};
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{
    Asking, Insight, InsightChange, InsightId, NewInsight, Question,
};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

pub(super) use self::boards::*;
pub(super) use self::cohorts::*;
use self::question::QuestionSchema;
use super::business::changed_by;
use super::business::table::Format;
use super::input::{InProject, JsonBody, Parameters, PathText, project};
use crate::problem::Problem;
use crate::routes::{Access, Caller, Routes};
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    let view = Access::Needs(Permission::ViewAnalytics);
    let manage = Access::Needs(Permission::ManageInsights);
    let share = Access::Needs(Permission::ShareDashboards);
    routes
        .get("/api/v1/insights", view, list_insights)
        .post("/api/v1/insights", manage, create_insight)
        .get("/api/v1/insights/{id}", view, find_insight)
        .put("/api/v1/insights/{id}", manage, update_insight)
        .delete("/api/v1/insights/{id}", manage, delete_insight)
        .get("/api/v1/insights/{id}/answer", view, answer_insight)
        .get("/api/v1/dashboards", view, list_dashboards)
        .post("/api/v1/dashboards", manage, create_dashboard)
        .get("/api/v1/dashboards/{id}", view, find_dashboard)
        .put("/api/v1/dashboards/{id}", manage, update_dashboard)
        .delete("/api/v1/dashboards/{id}", manage, delete_dashboard)
        .get("/api/v1/dashboards/{id}/links", share, list_links)
        .post("/api/v1/dashboards/{id}/links", share, create_link)
        .delete("/api/v1/dashboards/{id}/links/{link}", share, revoke_link)
        .get("/api/v1/cohorts", view, list_saved_cohorts)
        .post("/api/v1/cohorts", manage, create_cohort)
        .get("/api/v1/cohorts/{id}", view, find_cohort)
        .get("/api/v1/cohorts/{id}/sizes", view, list_cohort_sizes)
        .put("/api/v1/cohorts/{id}", manage, update_cohort)
        .delete("/api/v1/cohorts/{id}", manage, delete_cohort)
}

/// A question that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InsightAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: InsightId,
    /// What people call it.
    name: String,
    /// What it asks.
    #[schema(value_type = QuestionSchema)]
    question: Question,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<Insight> for InsightAnswer {
    fn from(insight: Insight) -> Self {
        Self {
            id: insight.id,
            name: insight.name,
            question: insight.question,
            created_at: insight.created_at,
            changed_at: insight.changed_at,
        }
    }
}

/// An insight to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInsightBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// What people call it: 1 to 100 characters, no two of a project the same.
    name: String,
    /// What it asks.
    #[schema(value_type = QuestionSchema)]
    question: Value,
}

/// What changes about an insight; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InsightChangeBody {
    /// What people call it.
    name: Option<String>,
    /// What it asks.
    #[schema(value_type = Option<QuestionSchema>)]
    question: Option<Value>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnswerWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// `json`, or `csv` or `parquet` for a file.
    format: Option<String>,
}

/// A table of numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct TableAnswer {
    /// The names of the columns.
    columns: Vec<String>,
    /// A list of cells for each row: texts, numbers and null.
    rows: Vec<Vec<Value>>,
}

/// What a part of a body says; serde tells what is wrong with it.
fn read<T: serde::de::DeserializeOwned>(field: &'static str, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| Problem::invalid(field, error))
}

/// List a project's insights by name
#[utoipa::path(get, path = "/api/v1/insights", tag = "insights", params(InProject),
    responses((status = 200, description = "At most 200 insights", body = Vec<InsightAnswer>)))]
pub(super) async fn list_insights(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<Vec<InsightAnswer>>, Problem> {
    let insights = shared.insights.list_insights(project.id).await?;
    Ok(Json(insights.into_iter().map(InsightAnswer::from).collect()))
}

/// Keep a question as an insight
#[utoipa::path(post, path = "/api/v1/insights", tag = "insights", request_body = NewInsightBody,
    responses((status = 201, description = "The new insight", body = InsightAnswer)))]
pub(super) async fn create_insight(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewInsightBody>,
) -> Result<(StatusCode, Json<InsightAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let new = NewInsight { name: body.name, question: read("question", body.question)? };
    let insight = shared.insights.create_insight(project.id, new, &changed_by(&caller)).await?;
    Ok((StatusCode::CREATED, Json(insight.into())))
}

/// Find an insight
#[utoipa::path(get, path = "/api/v1/insights/{id}", tag = "insights",
    params(("id" = String, Path, description = "The insight's id"), InProject),
    responses((status = 200, description = "The insight", body = InsightAnswer)))]
pub(super) async fn find_insight(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<InsightAnswer>, Problem> {
    Ok(Json(shared.insights.find_insight(project.id, path.id("insight")?).await?.into()))
}

/// Change the name of an insight, or what it asks
#[utoipa::path(put, path = "/api/v1/insights/{id}", tag = "insights", request_body = InsightChangeBody,
    params(("id" = String, Path, description = "The insight's id"), InProject),
    responses((status = 200, description = "The insight as it is now", body = InsightAnswer)))]
pub(super) async fn update_insight(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<InsightChangeBody>,
) -> Result<Json<InsightAnswer>, Problem> {
    let question = body.question.map(|question| read("question", question)).transpose()?;
    let (id, change) = (path.id("insight")?, InsightChange { name: body.name, question });
    Ok(Json(shared.insights.change_insight(project.id, id, change, &changed_by(&caller)).await?.into()))
}

/// Delete an insight, and take it off all dashboards
#[utoipa::path(delete, path = "/api/v1/insights/{id}", tag = "insights",
    params(("id" = String, Path, description = "The insight's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_insight(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    shared.insights.delete_insight(project.id, path.id("insight")?, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answer an insight at this moment, as a table
#[utoipa::path(get, path = "/api/v1/insights/{id}/answer", tag = "insights",
    params(("id" = String, Path, description = "The insight's id"), AnswerWanted),
    responses((status = 200, description = "The table; with another format a file", body = TableAnswer)))]
pub(super) async fn answer_insight(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<AnswerWanted>,
) -> Result<Response, Problem> {
    let format = Format::find(wanted.format.as_deref())?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let insight = shared.insights.find_insight(project.id, path.id("insight")?).await?;
    let calendar = calendar(&project);
    let people = match insight.question.cohort() {
        Some(cohort) => Some(shared.cohorts.find_people(project.id, cohort).await?),
        None => None,
    };
    let asking = Asking {
        queries: &*shared.queries,
        project: project.id,
        calendar: &calendar,
        now: shared.clock.now(),
        people,
        is_public: false,
    };
    let answer = asking.answer(&insight.question).await?;
    let table = answer.table(&insight.question, &calendar);
    Ok(format.answer(&table.json(), &table, &format!("insight-{}", insight.id)))
}

fn calendar(project: &Project) -> Calendar {
    Calendar::find(&project.time_zone).unwrap_or_default()
}
