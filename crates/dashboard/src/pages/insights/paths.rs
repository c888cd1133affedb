//! What people do next, or did before.

use askama::Template;
use axum::response::Response;
use belvedere_business_intelligence::insight::Question;

use super::keep::Keep;
use super::{Ground, periods, question, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::views::insights::{InsightView, gap_minutes};

const DIRECTIONS: [(&str, &str); 2] = [("next", "What happens next"), ("previous", "What came before")];

#[derive(Template)]
#[template(path = "insights/paths.html")]
struct PathsPage {
    layout: Layout,
    base: String,
    anchors: Vec<Choice>,
    directions: Vec<Choice>,
    periods: Vec<Choice>,
    people: Vec<Choice>,
    gap_minutes: u64,
    /// None until there is an event.
    view: Option<InsightView>,
    keep: Option<Keep>,
}

pub(super) async fn page(
    scene: &Scene,
    ground: &Ground,
    pairs: &Pairs,
    error: String,
) -> Result<Response, Refusal> {
    let asked = question::path(pairs)?;
    let question = Question::Path(asked.clone());
    Ok(respond::page(&PathsPage {
        layout: scene.layout(Section::Paths, pairs).await?,
        base: scene.base(),
        anchors: ground.events(&asked.event, "Choose an event"),
        directions: words(&DIRECTIONS, asked.direction.as_str()),
        periods: periods(asked.days),
        people: ground.people(asked.cohort),
        gap_minutes: gap_minutes(),
        view: ground.view(scene, &question).await?,
        keep: Keep::of(scene, &question, pairs, error).await?,
    }))
}
