//! Learners, courses, exercises, milestones, who struggles, and the tutor. Learners are numbers of subjects.

mod answer;
mod at_risk;
mod comparison;
mod declared;
mod now;
mod struggling;
mod tutor;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Permission;
use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::{ListLearners, ListMilestones, ListStatements, StatementHome};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use self::answer::{
    CourseRowAnswer, CourseSummaryAnswer, ItemTableAnswer, LearnerAnswer, LearnerOfCourseAnswer,
    MasteryAnswer, MilestoneAnswer, RecommendationAnswer,
};
pub(super) use self::at_risk::{__path_list_away, list_away};
pub(super) use self::comparison::{__path_compare_cohorts, compare_cohorts};
pub(super) use self::declared::{
    __path_find_rules, __path_find_structure, __path_set_rules, __path_set_structure, find_rules,
    find_structure, set_rules, set_structure,
};
use self::now::NowAnswer;
pub(super) use self::struggling::{
    __path_find_precision, __path_give_feedback, __path_list_struggling, find_precision, give_feedback,
    list_struggling,
};
pub(super) use self::tutor::{__path_report_tutor, report_tutor};
use super::answer::List;
use super::input::{InProject, Parameters, PathText, page, project};
use crate::problem::Problem;
use crate::routes::{Access, Caller, Routes};
use crate::state::Shared;

/// How many exercises are recommended unless the request says otherwise.
const RECOMMENDED: usize = 5;

pub(super) fn routes(routes: Routes) -> Routes {
    let view = Access::Needs(Permission::ViewAnalytics);
    let declare = Access::Needs(Permission::ManageProjects);
    routes
        .get("/api/v1/learning/learners/{subject}", view, find_learner)
        .get("/api/v1/learning/learners/{subject}/mastery", view, list_mastery)
        .get("/api/v1/learning/learners/{subject}/recommendations", view, recommend)
        .get("/api/v1/learning/learners/{subject}/statements", view, list_statements)
        .get("/api/v1/learning/courses", view, list_courses)
        .get("/api/v1/learning/courses/{course}", view, find_course)
        .get("/api/v1/learning/courses/{course}/learners", view, list_learners)
        .get("/api/v1/learning/courses/{course}/items", view, list_items)
        .get("/api/v1/learning/courses/{course}/at_risk", view, list_away)
        .get("/api/v1/learning/courses/{course}/comparison", view, compare_cohorts)
        .get("/api/v1/learning/courses/{course}/structure", view, find_structure)
        .put("/api/v1/learning/courses/{course}/structure", declare, set_structure)
        .get("/api/v1/learning/now", view, find_now)
        .get("/api/v1/learning/struggling", view, list_struggling)
        .get("/api/v1/learning/struggling/precision", view, find_precision)
        .post("/api/v1/learning/struggling/feedback", Access::Needs(Permission::ManageIssues), give_feedback)
        .get("/api/v1/learning/tutor", view, report_tutor)
        .get("/api/v1/learning/milestones", view, list_milestones)
        .get("/api/v1/learning/milestone_rules", view, find_rules)
        .put("/api/v1/learning/milestone_rules", declare, set_rules)
}

/// Which page of a project is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecommendationsWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// The course.
    course: String,
    /// How many, 1 to 20; 5 if left out.
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MilestonesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Those of one learner.
    subject: Option<i64>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

fn subject(path: &PathText) -> Result<SubjectId, Problem> {
    path.0.parse().map(SubjectId).map_err(|_| Problem::not_found("learner"))
}

/// Find the progress of a learner in all courses and lessons
#[utoipa::path(get, path = "/api/v1/learning/learners/{subject}", tag = "learning",
    params(("subject" = i64, Path, description = "The learner's number"), InProject),
    responses((status = 200, description = "The learner", body = LearnerAnswer)))]
pub(super) async fn find_learner(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<LearnerAnswer>, Problem> {
    let subject = subject(&path)?;
    let learner = shared.learning.find_learner(project.id, subject).await?;
    learner.map(|learner| Json(learner.into())).ok_or_else(|| Problem::not_found("learner"))
}

/// List what a learner can do, by skill, with how sure that is
#[utoipa::path(get, path = "/api/v1/learning/learners/{subject}/mastery", tag = "learning",
    params(("subject" = i64, Path, description = "The learner's number"), InProject),
    responses((status = 200, description = "Up to 1,000 skills by name", body = Vec<MasteryAnswer>)))]
pub(super) async fn list_mastery(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<Vec<MasteryAnswer>>, Problem> {
    let subject = subject(&path)?;
    let mastery = shared.learning.list_mastery(project.id, subject).await?;
    Ok(Json(mastery.into_iter().map(MasteryAnswer::from).collect()))
}

/// List what a learner did as xAPI statements, the latest first
#[utoipa::path(get, path = "/api/v1/learning/learners/{subject}/statements", tag = "learning",
    params(("subject" = i64, Path, description = "The learner's number"), PageWanted),
    responses((status = 200, description = "A page of statements as of xAPI 2.0.0", body = List<Value>)))]
pub(super) async fn list_statements(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<PageWanted>,
) -> Result<Json<List<Value>>, Problem> {
    let subject = subject(&path)?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let home = StatementHome { url: shared.public_url.clone(), project: project.id };
    let statements = shared.learning.list_statements(ListStatements { home, subject, page }).await?;
    Ok(List::of(statements, |statement| statement))
}

/// List the exercises of a course that a learner should try next
#[utoipa::path(get, path = "/api/v1/learning/learners/{subject}/recommendations", tag = "learning",
    params(("subject" = i64, Path, description = "The learner's number"), RecommendationsWanted),
    responses((status = 200, description = "Exercises, the best first", body = Vec<RecommendationAnswer>)))]
pub(super) async fn recommend(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<RecommendationsWanted>,
) -> Result<Json<Vec<RecommendationAnswer>>, Problem> {
    let subject = subject(&path)?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let limit = wanted.limit.unwrap_or(RECOMMENDED);
    let exercises = shared.learning.recommend(project.id, subject, &wanted.course, limit).await?;
    Ok(Json(exercises.into_iter().map(RecommendationAnswer::from).collect()))
}

/// Find what learners do at this moment: the last half hour by minute, where they are, and the last events
#[utoipa::path(get, path = "/api/v1/learning/now", tag = "learning", params(InProject),
    responses((status = 200, description = "The last 30 minutes", body = NowAnswer)))]
pub(super) async fn find_now(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<NowAnswer>, Problem> {
    Ok(Json(shared.learning.find_now(project.id).await?.into()))
}

/// List the courses that somebody has been in
#[utoipa::path(get, path = "/api/v1/learning/courses", tag = "learning", params(PageWanted),
    responses((status = 200, description = "A page of courses by id", body = List<CourseRowAnswer>)))]
pub(super) async fn list_courses(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PageWanted>,
) -> Result<Json<List<CourseRowAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let courses = shared.learning.list_courses(project.id, page).await?;
    Ok(List::of(courses, CourseRowAnswer::from))
}

/// Find how a course does: enrolments, starts, completions, and where learners stop
#[utoipa::path(get, path = "/api/v1/learning/courses/{course}", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), InProject),
    responses((status = 200, description = "The course", body = CourseSummaryAnswer)))]
pub(super) async fn find_course(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<CourseSummaryAnswer>, Problem> {
    let course = shared.learning.find_course(project.id, &path.0).await?;
    course.map(|course| Json(course.into())).ok_or_else(|| Problem::not_found("course"))
}

/// List the learners of a course
#[utoipa::path(get, path = "/api/v1/learning/courses/{course}/learners", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), PageWanted),
    responses((status = 200, description = "A page of learners by number", body = List<LearnerOfCourseAnswer>)))]
pub(super) async fn list_learners(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<PageWanted>,
) -> Result<Json<List<LearnerOfCourseAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListLearners { project: project.id, course: path.0, page };
    let learners = shared.learning.list_learners(query).await?;
    Ok(List::of(learners, LearnerOfCourseAnswer::from))
}

/// List how the exercises of a course do: difficulty, discrimination, hints, time, and what is suspicious
#[utoipa::path(get, path = "/api/v1/learning/courses/{course}/items", tag = "learning",
    params(("course" = String, Path, description = "The course's id"), InProject),
    responses((status = 200, description = "The exercises by id", body = ItemTableAnswer)))]
pub(super) async fn list_items(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<ItemTableAnswer>, Problem> {
    let table = shared.learning.list_items(project.id, &path.0).await?;
    Ok(Json(table.into()))
}

/// List the milestones that learners have reached, the latest first
#[utoipa::path(get, path = "/api/v1/learning/milestones", tag = "learning", params(MilestonesWanted),
    responses((status = 200, description = "A page of milestones", body = List<MilestoneAnswer>)))]
pub(super) async fn list_milestones(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<MilestonesWanted>,
) -> Result<Json<List<MilestoneAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListMilestones { project: project.id, subject: wanted.subject.map(SubjectId), page };
    let milestones = shared.learning.list_milestones(query).await?;
    Ok(List::of(milestones, MilestoneAnswer::from))
}
