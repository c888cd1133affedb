//! What learners do at this moment.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_learning_analytics::{ListMilestones, ListStruggling};
use belvedere_storage::PageRequest;

use crate::charts::BarChart;
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::learners::{MilestoneRow, learner_href};
use crate::views::learning_now::{LatestRow, PlaceLine, chart_of, places_of};
use crate::wording::{Ago, Count, percent};

const MILESTONES_SHOWN: u16 = 8;

/// The changing parts, which are all.
struct Now {
    base: String,
    is_empty: bool,
    present: Count,
    learners: Count,
    events: Count,
    last_minute: Count,
    attempts: Count,
    right: String,
    struggling: Count,
    /// When somebody was last noticed who still struggles.
    flagged: Option<Ago>,
    chart: BarChart,
    latest: Vec<LatestRow>,
    places: Vec<PlaceLine>,
    milestones: Vec<(String, String, MilestoneRow)>,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "live_learning.html")]
struct LivePage {
    layout: Layout,
    view: Now,
}

#[derive(Template)]
#[template(path = "fragments_live_learning.html")]
struct LiveFragment {
    view: Now,
}

/// `GET /projects/{project}/learning/live`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let view = look(&scene).await?;
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&LiveFragment { view }));
    }
    let mut layout = scene.layout(Section::LearningNow, &pairs).await?;
    layout.live_topic = "learning.events";
    Ok(respond::page(&LivePage { layout, view }))
}

async fn look(scene: &Scene) -> Result<Now, Refusal> {
    let learning = scene.learning()?;
    let (project, base) = (scene.id(), scene.base());
    let flags = ListStruggling { project, with_cleared: false, page: PageRequest::first(1) };
    let milestones = ListMilestones { project, subject: None, page: PageRequest::first(MILESTONES_SHOWN) };
    let (now, precision, flags, milestones, unresolved) = tokio::join!(
        learning.find_now(project),
        learning.find_precision(project),
        learning.list_struggling(flags),
        learning.list_milestones(milestones),
        scene.count_unresolved(),
    );
    let (now, milestones, flags) = (now?, milestones?.items, flags?.items);
    let latest = now.latest.iter().map(|event| LatestRow::new(project, &base, event, scene.now));
    let milestones = milestones.iter().map(|it| {
        let subject = it.subject.to_string();
        let href = learner_href(&base, &subject);
        (subject, href, MilestoneRow::new(it, &str::to_owned))
    });
    Ok(Now {
        is_empty: now.latest.is_empty() && milestones.len() == 0,
        present: Count(now.present),
        learners: Count(now.learners),
        events: Count(now.by_minute.iter().sum()),
        last_minute: Count(now.by_minute.last().copied().unwrap_or(0)),
        attempts: Count(now.attempts),
        right: percent(now.successes, now.attempts),
        struggling: Count(precision?.open),
        flagged: flags.first().map(|flag| Ago { at: flag.flagged_at, now: scene.now }),
        chart: chart_of(&now),
        latest: latest.collect(),
        places: places_of(project, &now.places),
        milestones: milestones.collect(),
        unresolved: Count(unresolved?.unwrap_or(0)),
        base,
    })
}
