//! What people declare: the structure of courses and the rules of milestones.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_learning_analytics::milestones::Rule;
use belvedere_learning_analytics::structure::{ContentVersion, CourseStructure, ExercisePlan, LessonPlan};
use belvedere_learning_analytics::{ChangeRules, ChangedBy};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::input::{InProject, JsonBody, PathText};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

pub(super) fn changed_by(caller: &Caller) -> ChangedBy {
    ChangedBy { actor: caller.principal.actor, request_id: caller.client.request_id.clone() }
}

/// A course as its makers declare it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StructureBody {
    /// What people call it, at most 300 bytes.
    #[serde(default)]
    title: String,
    /// Its lessons in their order, at most 500.
    lessons: Vec<LessonBody>,
    /// The exercise that tests what learners know before the course; its first attempt with a score counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pretest: Option<String>,
    /// The exercise that tests what they know after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    posttest: Option<String>,
    /// The versions of its content in their order, at most 20; two or more make a comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    versions: Vec<VersionBody>,
}

/// A version of a course's content.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct VersionBody {
    /// What people call it, once in a course.
    version: String,
    /// From when on learners began with it. Those who came before the first one count with it.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// A lesson of a course.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LessonBody {
    /// Its id in events.
    id: String,
    /// What people call it, at most 300 bytes.
    #[serde(default)]
    title: String,
    /// Whether the course is complete without it.
    #[serde(default)]
    is_optional: bool,
    /// Its exercises in their order; at most 2,000 in the course.
    #[serde(default)]
    exercises: Vec<ExerciseBody>,
}

/// An exercise of a lesson.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ExerciseBody {
    /// Its id in events, once in a course.
    id: String,
    /// What people call it, at most 300 bytes.
    #[serde(default)]
    title: String,
    /// What it is about, for events that do not say so; at most 8.
    #[serde(default)]
    skills: Vec<String>,
}

impl From<CourseStructure> for StructureBody {
    fn from(structure: CourseStructure) -> Self {
        let exercise = |it: ExercisePlan| ExerciseBody { id: it.id, title: it.title, skills: it.skills };
        let lesson = |it: LessonPlan| LessonBody {
            id: it.id,
            title: it.title,
            is_optional: it.is_optional,
            exercises: it.exercises.into_iter().map(exercise).collect(),
        };
        let version = |it: ContentVersion| VersionBody { version: it.version, since: it.since };
        Self {
            title: structure.title,
            lessons: structure.lessons.into_iter().map(lesson).collect(),
            pretest: structure.pretest,
            posttest: structure.posttest,
            versions: structure.versions.into_iter().map(version).collect(),
        }
    }
}

impl From<StructureBody> for CourseStructure {
    fn from(body: StructureBody) -> Self {
        let exercise = |it: ExerciseBody| ExercisePlan { id: it.id, title: it.title, skills: it.skills };
        let lesson = |it: LessonBody| LessonPlan {
            id: it.id,
            title: it.title,
            is_optional: it.is_optional,
            exercises: it.exercises.into_iter().map(exercise).collect(),
        };
        let version = |it: VersionBody| ContentVersion { version: it.version, since: it.since };
        Self {
            title: body.title,
            lessons: body.lessons.into_iter().map(lesson).collect(),
            pretest: body.pretest,
            posttest: body.posttest,
            versions: body.versions.into_iter().map(version).collect(),
        }
    }
}

/// When something is a milestone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::api) enum RuleBody {
    /// A lesson is completed for the first time.
    FirstLesson,
    /// On so many days in a row, in the project's time zone, something was done.
    StreakDays {
        /// 2 to 100.
        days: u32,
    },
    /// So many exercises were solved without a hint.
    ExercisesWithoutHint {
        /// 1 to 1,000.
        exercises: u32,
    },
    /// A course is completed; each course is a milestone of its own.
    CourseComplete,
}

impl From<Rule> for RuleBody {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::FirstLesson => Self::FirstLesson,
            Rule::StreakDays { days } => Self::StreakDays { days },
            Rule::ExercisesWithoutHint { exercises } => Self::ExercisesWithoutHint { exercises },
            Rule::CourseComplete => Self::CourseComplete,
        }
    }
}

impl From<RuleBody> for Rule {
    fn from(rule: RuleBody) -> Self {
        match rule {
            RuleBody::FirstLesson => Self::FirstLesson,
            RuleBody::StreakDays { days } => Self::StreakDays { days },
            RuleBody::ExercisesWithoutHint { exercises } => Self::ExercisesWithoutHint { exercises },
            RuleBody::CourseComplete => Self::CourseComplete,
        }
    }
}

/// All rules of milestones of a project.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RulesBody {
    /// At most 20.
    rules: Vec<RuleBody>,
}

/// Find the declared structure of a course
#[utoipa::path(get, path = "/api/v1/learning/courses/{course}/structure", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), InProject),
    responses((status = 200, description = "The structure", body = StructureBody)))]
pub(in crate::api) async fn find_structure(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<StructureBody>, Problem> {
    let structure = shared.learning_settings.find_structure(project.id, &path.0).await?;
    structure.map(|it| Json(it.into())).ok_or_else(|| Problem::not_found("structure"))
}

/// Declare the structure of a course
#[utoipa::path(put, path = "/api/v1/learning/courses/{course}/structure", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), InProject), request_body = StructureBody,
    responses((status = 204, description = "Learners are judged by it from their next event on")))]
pub(in crate::api) async fn set_structure(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<StructureBody>,
) -> Result<StatusCode, Problem> {
    let by = changed_by(&caller);
    shared.learning_settings.set_structure(project.id, &path.0, body.into(), &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Find the rules of milestones
#[utoipa::path(get, path = "/api/v1/learning/milestone_rules", tag = "learning", params(InProject),
    responses((status = 200, description = "The rules; the usual ones where none are declared", body = RulesBody)))]
pub(in crate::api) async fn find_rules(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<RulesBody>, Problem> {
    let rules = shared.learning_settings.find_rules(project.id).await?;
    Ok(Json(RulesBody { rules: rules.into_iter().map(RuleBody::from).collect() }))
}

/// Declare all rules of milestones
#[utoipa::path(put, path = "/api/v1/learning/milestone_rules", tag = "learning", params(InProject),
    request_body = RulesBody,
    responses((status = 204, description = "They hold from the next event of each learner on")))]
pub(in crate::api) async fn set_rules(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(body): JsonBody<RulesBody>,
) -> Result<StatusCode, Problem> {
    let rules = body.rules.into_iter().map(Rule::from).collect();
    let change = ChangeRules { project: project.id, rules };
    shared.learning_settings.set_rules(change, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
