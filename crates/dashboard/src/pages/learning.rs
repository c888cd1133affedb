//! Learning: courses, who struggles, learners' ways, and the tutor.

mod learners;
mod now;
mod struggling;
mod tutor;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use belvedere_accounts::Permission;
use belvedere_learning_analytics::ListLearners;
use belvedere_storage::PageRequest;

use crate::charts::FunnelChart;
use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::overview::find_dsn;
use crate::pages::page_request;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::comparison::{ComparisonView, gain_text};
use crate::views::engagement::AwayRow;
use crate::views::learning::{
    CourseLine, ItemsView, PlanRow, event_snippets, funnel_of, plan_of, share_text, time_text, title_or,
};
use crate::views::monitors::Snippet;
use crate::wording::Count;

const COURSES_PER_PAGE: u16 = 50;

/// How many learners who are away a course's page shows.
const AWAY_SHOWN: u16 = 10;

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/learning/courses", get(list_courses))
        .route("/learning/courses/{course}", get(show_course))
        .route("/learning/learners", get(learners::list))
        .route("/learning/learners/{subject}", get(learners::show))
        .route("/learning/live", get(now::show))
        .route("/learning/struggling", get(struggling::list))
        .route("/learning/struggling/feedback", post(struggling::judge))
        .route("/learning/tutor", get(tutor::show))
}

#[derive(Template)]
#[template(path = "courses.html")]
struct CoursesPage {
    layout: Layout,
    rows: Vec<CourseLine>,
    is_empty: bool,
    snippets: Vec<Snippet>,
    keys_href: Option<String>,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "course.html")]
struct CoursePage {
    layout: Layout,
    base: String,
    learners_href: String,
    title: String,
    id: String,
    learners: Count,
    enrolled: Count,
    started: Count,
    completed: Count,
    completion_rate: String,
    median: String,
    /// The normalised gain with its interval, and of how many learners; none without tests.
    gain: Option<(String, Count)>,
    funnel: Option<FunnelChart>,
    comparison: ComparisonView,
    away: Vec<AwayRow>,
    /// Whether more are away than are shown.
    away_more: bool,
    items: ItemsView,
    /// None where nothing is declared.
    plan: Option<Vec<PlanRow>>,
    public_url: String,
}

/// `GET /projects/{project}/learning/courses`: for those who may see analytics.
async fn list_courses(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let page = page_request(&pairs, COURSES_PER_PAGE);
    let found = scene.learning()?.list_courses(scene.id(), page).await?;
    let path = format!("{}/learning/courses", scene.base());
    let is_empty = found.items.is_empty() && pairs.some("after").is_none();
    let dsn = if is_empty { find_dsn(&scene).await? } else { None };
    Ok(respond::page(&CoursesPage {
        layout: scene.layout(Section::Courses, &pairs).await?,
        rows: found.items.iter().map(|row| CourseLine::new(scene.id(), row)).collect(),
        is_empty,
        snippets: dsn.as_deref().map(event_snippets).unwrap_or_default(),
        keys_href: scene.may(Permission::ManageKeys).then(|| format!("{}/settings/keys", scene.base())),
        first_href: pairs.some("after").map(|_| path.clone()),
        next_href: found.next.map(|next| address(&path, &[("after", next.as_str())])),
    }))
}

/// `GET /projects/{project}/learning/courses/{course}`: for those who may see analytics.
async fn show_course(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, course)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let learning = scene.learning()?;
    let found = learning.find_course(scene.id(), &course).await?.ok_or(Refusal::NotFound)?;
    let away =
        ListLearners { project: scene.id(), course: course.clone(), page: PageRequest::first(AWAY_SHOWN) };
    let (items, structure, compared, away) = tokio::join!(
        learning.list_items(scene.id(), &course),
        scene.state.learning_settings.find_structure(scene.id(), &course),
        learning.compare_cohorts(scene.id(), &course),
        learning.list_away(away),
    );
    let (structure, away) = (structure?, away?);
    Ok(respond::page(&CoursePage {
        layout: scene.layout(Section::Courses, &pairs).await?,
        base: scene.base(),
        learners_href: address(&format!("{}/learning/learners", scene.base()), &[("course", &course)]),
        title: title_or(&found.title, &found.course),
        learners: Count(found.learners),
        enrolled: Count(found.enrolled),
        started: Count(found.started),
        completed: Count(found.completed),
        completion_rate: share_text(found.completion_rate),
        median: time_text(found.median_seconds),
        gain: found.gain.as_ref().map(|gain| (gain_text(gain), Count(gain.learners))),
        funnel: funnel_of(&found),
        away: away.items.iter().map(|it| AwayRow::new(&scene.base(), it)).collect(),
        away_more: away.next.is_some(),
        comparison: ComparisonView::new(compared?.unwrap_or_default()),
        items: ItemsView::new(items?, structure.as_ref()),
        plan: structure.as_ref().map(plan_of),
        public_url: scene.state.public_url.clone(),
        id: found.course,
    }))
}
