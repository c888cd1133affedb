//! Who struggles with what, and whether that was right.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::{FlagFeedback, ListStruggling};
use http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{PrecisionAnswer, StrugglingAnswer};
use super::declared::changed_by;
use crate::api::answer::List;
use crate::api::input::{InProject, JsonBody, Parameters, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct StrugglingWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Those as well of learners who do not struggle any more.
    #[serde(default)]
    with_cleared: bool,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What somebody says of the latest flag of a learner and a skill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct FeedbackBody {
    /// The learner's number.
    subject: i64,
    /// The skill.
    skill: String,
    /// `helped` or `not_struggling`.
    feedback: String,
}

/// List learners who struggle, with the reasons; the latest first
#[utoipa::path(get, path = "/api/v1/learning/struggling", tag = "learning", params(StrugglingWanted),
    responses((status = 200, description = "A page of learners and skills", body = List<StrugglingAnswer>)))]
pub(in crate::api) async fn list_struggling(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<StrugglingWanted>,
) -> Result<Json<List<StrugglingAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListStruggling { project: project.id, with_cleared: wanted.with_cleared, page };
    let struggling = shared.learning.list_struggling(query).await?;
    Ok(List::of(struggling, StrugglingAnswer::from))
}

/// Find how often flags were right
#[utoipa::path(get, path = "/api/v1/learning/struggling/precision", tag = "learning", params(InProject),
    responses((status = 200, description = "Counts of feedback", body = PrecisionAnswer)))]
pub(in crate::api) async fn find_precision(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<PrecisionAnswer>, Problem> {
    Ok(Json(shared.learning.find_precision(project.id).await?.into()))
}

/// Say whether the latest flag of a learner and a skill was right
#[utoipa::path(post, path = "/api/v1/learning/struggling/feedback", tag = "learning", params(InProject),
    request_body = FeedbackBody, responses((status = 204, description = "It is counted")))]
pub(in crate::api) async fn give_feedback(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(body): JsonBody<FeedbackBody>,
) -> Result<StatusCode, Problem> {
    let feedback = FlagFeedback::find(&body.feedback)
        .ok_or_else(|| Problem::invalid("feedback", "must be helped or not_struggling"))?;
    let (subject, by) = (SubjectId(body.subject), changed_by(&caller));
    shared.learning_settings.give_feedback(project.id, subject, &body.skill, feedback, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}
