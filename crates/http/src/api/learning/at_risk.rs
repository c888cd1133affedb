//! Who is at risk of dropping out of a course.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::ListLearners;
use belvedere_learning_analytics::at_risk::Away;
use serde::Serialize;
use utoipa::ToSchema;

use super::PageWanted;
use crate::api::answer::List;
use crate::api::input::{Parameters, PathText, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// A learner who has not completed a course and has done nothing in it for three days and more.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AwayAnswer {
    /// The learner's number.
    #[schema(value_type = i64)]
    subject: SubjectId,
    /// Whole days since their last event in the course.
    days: i64,
    /// In which quarter of the required lessons they are, 0 to 3.
    stage: usize,
    /// For how many days those were away whom they are compared with: 3, 7, 14 or 28.
    compared_days: i64,
    /// How many learners were away for so long at this stage before; each counts once.
    compared_learners: u64,
    /// Of them, those who did not come back within 28 days.
    lost: u64,
    /// The share of those; null for fewer than 20 learners.
    lost_share: Option<f64>,
    /// The lower end of the interval that has the share nineteen times of twenty.
    low: Option<f64>,
    /// The upper end of it.
    high: Option<f64>,
    /// `at_risk` if the share is a half or more, `not_at_risk`, or `indeterminate` where too little is known.
    verdict: &'static str,
}

impl From<Away> for AwayAnswer {
    fn from(model: Away) -> Self {
        let interval = model.hazard.interval();
        Self {
            subject: SubjectId(model.learner),
            days: model.days,
            stage: model.stage,
            compared_days: model.compared_days,
            compared_learners: model.hazard.learners,
            lost: model.hazard.lost,
            lost_share: model.hazard.share(),
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
            verdict: match model.is_at_risk() {
                Some(true) => "at_risk",
                Some(false) => "not_at_risk",
                None => "indeterminate",
            },
        }
    }
}

/// List learners of a course who are away, those whose likes mostly did not come back first
#[utoipa::path(get, path = "/api/v1/learning/courses/{course}/at_risk", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), PageWanted),
    responses((status = 200, description = "A page of learners", body = List<AwayAnswer>)))]
pub(in crate::api) async fn list_away(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<PageWanted>,
) -> Result<Json<List<AwayAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListLearners { project: project.id, course: path.0, page };
    Ok(List::of(shared.learning.list_away(query).await?, AwayAnswer::from))
}
