//! What people do next, or did before.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_event_store::kernel::filter::Filter;
use belvedere_event_store::kernel::path::{Direction, PathAnswer};
use belvedere_event_store::query::AskPath;

use super::{Ground, days_of, event_of, periods, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Count, percent};

/// Steps from the anchor, and ways from each step that are named.
const STEPS: usize = 4;
const EDGES_MAX: usize = 10;
/// The longest time from one step to the next.
const GAP: Duration = Duration::from_secs(30 * 60);

const DIRECTIONS: [(&str, &str); 2] = [("next", "What happens next"), ("previous", "What came before")];

/// A way from one event to another.
struct Edge {
    from: String,
    /// Empty where the path ends.
    to: String,
    paths: Count,
    people: Count,
    share: String,
    /// In hundredths of all paths.
    width: String,
}

#[derive(Template)]
#[template(path = "insights/paths.html")]
struct PathsPage {
    layout: Layout,
    base: String,
    anchors: Vec<Choice>,
    directions: Vec<Choice>,
    periods: Vec<Choice>,
    anchor: String,
    is_back: bool,
    days: u16,
    gap_minutes: u64,
    paths: Count,
    people: Count,
    /// By step.
    steps: Vec<Vec<Edge>>,
}

/// `GET /projects/{project}/insights/paths`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let ground = Ground::of(&scene).await?;
    let (anchor, days) = (pairs.text("event").to_owned(), days_of(&pairs));
    let is_back = pairs.text("direction") == "previous";
    let mut answer = PathAnswer { paths: 0, subjects: 0, edges: Vec::new() };
    if !anchor.is_empty() {
        let ask = AskPath {
            span: ground.span(&scene, days)?,
            anchor: event_of(&anchor)?,
            events: Filter::And(Vec::new()),
            direction: if is_back { Direction::Previous } else { Direction::Next },
            steps: STEPS,
            gap_ms: i64::try_from(GAP.as_millis()).unwrap_or(i64::MAX),
            limit: EDGES_MAX,
        };
        answer = scene.state.queries.path(ask).await?;
    }
    Ok(respond::page(&PathsPage {
        layout: scene.layout(Section::Paths, &pairs).await?,
        base: scene.base(),
        anchors: ground.events(&anchor, "Choose an event"),
        directions: words(&DIRECTIONS, if is_back { "previous" } else { "next" }),
        periods: periods(days),
        is_back,
        days,
        gap_minutes: GAP.as_secs() / 60,
        paths: Count(answer.paths),
        people: Count(answer.subjects),
        steps: steps_of(&answer),
        anchor,
    }))
}

fn steps_of(answer: &PathAnswer) -> Vec<Vec<Edge>> {
    let mut steps: Vec<Vec<Edge>> = Vec::new();
    for edge in &answer.edges {
        let share = if answer.paths > 0 { edge.paths as f64 / answer.paths as f64 * 100.0 } else { 0.0 };
        let place = edge.step.saturating_sub(1);
        if steps.len() <= place {
            steps.resize_with(place + 1, Vec::new);
        }
        steps[place].push(Edge {
            from: edge.from.clone(),
            to: edge.to.clone().unwrap_or_default(),
            paths: Count(edge.paths),
            people: Count(edge.subjects),
            share: percent(edge.paths, answer.paths),
            width: format!("{share:.1}"),
        });
    }
    steps
}
