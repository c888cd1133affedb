//! Learners by course, and one learner's way.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::{CourseProgress, ListLearners, ListMilestones};
use belvedere_storage::PageRequest;

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::page_request;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::learners::{CourseView, LearnerRow, MilestoneRow, NextRow, SkillsView};
use crate::views::learning::title_or;
use crate::wording::{Ago, Count, counted, percent};

const LEARNERS_PER_PAGE: u16 = 50;

/// From how many courses can be chosen; others are reached by their address.
const COURSES_OFFERED: u16 = 200;

/// How many courses of a learner are shown.
const COURSES_SHOWN: usize = 20;

/// For how many of them exercises are recommended, and how many each.
const RECOMMENDED: (usize, usize) = (3, 3);

const MILESTONES_SHOWN: u16 = 50;

/// A course that can be chosen.
struct CourseChoice {
    id: String,
    title: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "learners.html")]
struct LearnersPage {
    layout: Layout,
    base: String,
    courses: Vec<CourseChoice>,
    title: String,
    rows: Vec<LearnerRow>,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "learner.html")]
struct LearnerPage {
    layout: Layout,
    base: String,
    subject: SubjectId,
    may_reveal: bool,
    may_see_events: bool,
    events: Count,
    first: Option<Ago>,
    last: Option<Ago>,
    active_days: Count,
    streak: String,
    attempts: Count,
    right: String,
    completed: usize,
    course_count: usize,
    courses: Vec<CourseView>,
    courses_more: usize,
    skills: SkillsView,
    milestones: Vec<MilestoneRow>,
    next: Vec<NextRow>,
}

/// `GET /projects/{project}/learning/learners?course=`: for those who may see analytics.
pub(super) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let learning = scene.learning()?;
    let known = learning.list_courses(scene.id(), PageRequest::first(COURSES_OFFERED)).await?.items;
    let course = pairs.some("course").or_else(|| known.first().map(|row| row.course.clone()));
    let course = course.unwrap_or_default();
    let mut courses: Vec<CourseChoice> = known
        .into_iter()
        .map(|row| CourseChoice {
            title: title_or(&row.title, &row.course),
            is_chosen: row.course == course,
            id: row.course,
        })
        .collect();
    if !course.is_empty() && !courses.iter().any(|choice| choice.is_chosen) {
        let found = learning.find_course(scene.id(), &course).await?.ok_or(Refusal::NotFound)?;
        let title = title_or(&found.title, &found.course);
        courses.push(CourseChoice { id: found.course, title, is_chosen: true });
    }
    let page = page_request(&pairs, LEARNERS_PER_PAGE);
    let query = ListLearners { project: scene.id(), course: course.clone(), page };
    let found = learning.list_learners(query).await?;
    let path = format!("{}/learning/learners", scene.base());
    let title = courses.iter().find(|choice| choice.is_chosen).map(|choice| choice.title.clone());
    Ok(respond::page(&LearnersPage {
        layout: scene.layout(Section::Learners, &pairs).await?,
        base: scene.base(),
        courses,
        title: title.unwrap_or_default(),
        rows: found.items.iter().map(|it| LearnerRow::new(&scene.base(), it, scene.now)).collect(),
        first_href: pairs.some("after").map(|_| address(&path, &[("course", &course)])),
        next_href: found.next.map(|next| address(&path, &[("course", &course), ("after", next.as_str())])),
    }))
}

/// `GET /projects/{project}/learning/learners/{subject}`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, subject)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let learning = scene.learning()?;
    let subject = SubjectId(subject.parse().map_err(|_| Refusal::NotFound)?);
    let mut learner = learning.find_learner(scene.id(), subject).await?.ok_or(Refusal::NotFound)?;
    let milestones = ListMilestones {
        project: scene.id(),
        subject: Some(subject),
        page: PageRequest::first(MILESTONES_SHOWN),
    };
    let (mastery, milestones) =
        tokio::join!(learning.list_mastery(scene.id(), subject), learning.list_milestones(milestones));
    learner.courses.sort_by_key(|course| std::cmp::Reverse(course.progress.last_at));
    let next = next_of(&scene, subject, &learner.courses).await?;
    let titles = |course: &str| {
        let known = learner.courses.iter().find(|it| it.course == course);
        known.map_or_else(|| course.to_owned(), |it| title_or(&it.title, &it.course))
    };
    let ago = |at| Ago { at, now: scene.now };
    Ok(respond::page(&LearnerPage {
        layout: scene.layout(Section::Learners, &pairs).await?,
        base: scene.base(),
        subject,
        may_reveal: scene.may(Permission::RevealSubjects),
        may_see_events: scene.may(Permission::ViewIssues),
        events: Count(learner.events),
        first: learner.first_at.map(ago),
        last: learner.last_at.map(ago),
        active_days: Count(learner.active_days),
        streak: counted(learner.streak_days as usize, "day", "days"),
        attempts: Count(learner.attempts),
        right: percent(learner.successes, learner.attempts),
        completed: learner.courses.iter().filter(|it| it.progress.completed_at.is_some()).count(),
        course_count: learner.courses.len(),
        courses_more: learner.courses.len().saturating_sub(COURSES_SHOWN),
        milestones: milestones?.items.iter().map(|it| MilestoneRow::new(it, &titles)).collect(),
        courses: learner
            .courses
            .iter()
            .take(COURSES_SHOWN)
            .map(|course| CourseView::new(scene.id(), course, scene.now))
            .collect(),
        skills: SkillsView::new(mastery?, scene.now),
        next,
    }))
}

/// The best exercises of the courses that the learner was in last and has not completed.
async fn next_of(
    scene: &Scene,
    subject: SubjectId,
    courses: &[CourseProgress],
) -> Result<Vec<NextRow>, Refusal> {
    let (courses_max, exercises_max) = RECOMMENDED;
    let mut rows = Vec::new();
    let open = courses.iter().filter(|course| course.progress.completed_at.is_none());
    for course in open.take(courses_max) {
        let found = scene.learning()?.recommend(scene.id(), subject, &course.course, exercises_max).await?;
        rows.extend(found.iter().map(|it| NextRow::new(course, it)));
    }
    Ok(rows)
}
