//! How the tutor does.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_learning_analytics::tutor::{AskTutor, SOLVE_MINUTES};

use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::tutor::TutorView;

/// The periods that can be chosen, in days.
const PERIODS: [u16; 3] = [7, 30, 90];
const PERIOD: u16 = 30;

#[derive(Template)]
#[template(path = "tutor.html")]
struct TutorPage {
    layout: Layout,
    base: String,
    view: TutorView,
    days: u16,
    periods: [u16; 3],
    solve_minutes: u16,
}

/// `GET /projects/{project}/learning/tutor`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let wanted = pairs.text("days").parse().ok();
    let days = wanted.filter(|days| PERIODS.contains(days)).unwrap_or(PERIOD);
    let question = AskTutor { project: scene.id(), days, solve_minutes: SOLVE_MINUTES };
    let report = scene.learning()?.report_tutor(question).await?;
    Ok(respond::page(&TutorPage {
        layout: scene.layout(Section::Tutor, &pairs).await?,
        base: scene.base(),
        view: TutorView::new(&report),
        days,
        periods: PERIODS,
        solve_minutes: SOLVE_MINUTES,
    }))
}
