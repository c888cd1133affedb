//! Courses before and after changes of their content.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_learning_analytics::comparison::{Change, Cohort, Comparison, Measure, Metric};
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::input::{InProject, PathText};
use crate::problem::Problem;
use crate::state::Shared;

/// What was measured of some learners.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MeasureAnswer {
    /// Of how many; at least 5.
    learners: u64,
    /// The mean.
    mean: f64,
    /// The lower end of the interval that has the mean nineteen times of twenty.
    low: f64,
    /// The upper end of it.
    high: f64,
}

impl From<Measure> for MeasureAnswer {
    fn from(model: Measure) -> Self {
        Self { learners: model.learners, mean: model.mean, low: model.low, high: model.high }
    }
}

/// What was measured of a cohort; null for what nobody has, and for what would tell of few.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MeasuresAnswer {
    /// Of those who started, the share that completed the course within 28 days after their first event.
    completion_rate: Option<MeasureAnswer>,
    /// The active time of those in seconds.
    active_seconds: Option<MeasureAnswer>,
    /// The share of first attempts at exercises, in those days, that were right; by learner.
    first_attempts: Option<MeasureAnswer>,
    /// (after - before) / (100 - before) of the points of the declared tests.
    normalised_gain: Option<MeasureAnswer>,
}

/// Learners who began with the same version, or with neighbouring ones.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CohortAnswer {
    /// With which versions: several, where one of them alone has fewer than 5 learners.
    versions: Vec<String>,
    /// From when on the first of these versions was there; null for the first of the course.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// How many learners; at least 5.
    learners: u64,
    /// What was measured of them.
    measures: MeasuresAnswer,
}

impl From<Cohort> for CohortAnswer {
    fn from(model: Cohort) -> Self {
        let measure = |metric| {
            let found = model.measures.iter().find(|(of, _)| *of == metric);
            found.map(|(_, measure)| (*measure).into())
        };
        let measures = MeasuresAnswer {
            completion_rate: measure(Metric::CompletionRate),
            active_seconds: measure(Metric::ActiveSeconds),
            first_attempts: measure(Metric::FirstAttempts),
            normalised_gain: measure(Metric::NormalisedGain),
        };
        Self { versions: model.versions, since: model.since, learners: model.learners, measures }
    }
}

/// How a metric of a cohort differs from that of the cohort before. Cohorts are not assigned at random.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ChangeAnswer {
    /// The later cohort, counted from 0; the one before is the earlier.
    cohort: usize,
    /// `completion_rate`, `active_seconds`, `first_attempts` or `normalised_gain`.
    metric: &'static str,
    /// The later mean less the earlier one.
    difference: f64,
    /// The lower end of the interval that has it nineteen times of twenty (Welch).
    low: f64,
    /// The upper end of it.
    high: f64,
    /// How often chance alone makes such a difference, 0 to 1.
    p: f64,
    /// The same, adjusted for all changes here (Benjamini-Hochberg).
    adjusted_p: f64,
    /// Whether that is at most 0.05.
    is_significant: bool,
}

impl From<Change> for ChangeAnswer {
    fn from(model: Change) -> Self {
        Self {
            cohort: model.cohort,
            metric: model.metric.as_str(),
            difference: model.difference,
            low: model.low,
            high: model.high,
            p: model.p,
            adjusted_p: model.adjusted_p,
            is_significant: model.is_significant,
        }
    }
}

/// A course before and after changes of its content.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ComparisonAnswer {
    /// Learners with an event in the course.
    learners: u64,
    /// Those whose 28 days are not over, and who are in no cohort; null where that would tell of fewer than 5.
    recent: Option<u64>,
    /// Cohorts by version; none where there are fewer than 5 learners.
    cohorts: Vec<CohortAnswer>,
    /// How each cohort differs from the one before.
    changes: Vec<ChangeAnswer>,
    /// Metrics that are not shown because they would tell of fewer than 5 learners.
    hidden: Vec<&'static str>,
    /// Whether the course has more than 100,000 learners or 1,000,000 first attempts, of which the first were looked at.
    is_cut: bool,
}

impl From<Comparison> for ComparisonAnswer {
    fn from(model: Comparison) -> Self {
        Self {
            learners: model.learners,
            recent: model.recent,
            cohorts: model.cohorts.into_iter().map(CohortAnswer::from).collect(),
            changes: model.changes.into_iter().map(ChangeAnswer::from).collect(),
            hidden: model.hidden.into_iter().map(Metric::as_str).collect(),
            is_cut: model.is_cut,
        }
    }
}

/// Compare the learners of a course before and after changes of its content
#[utoipa::path(get, path = "/api/v1/learning/courses/{course}/comparison", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), InProject),
    responses((status = 200, description = "Cohorts by the versions of the declared structure", body = ComparisonAnswer)))]
pub(in crate::api) async fn compare_cohorts(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<ComparisonAnswer>, Problem> {
    let found = shared.learning.compare_cohorts(project.id, &path.0).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| Problem::not_found("course"))
}
