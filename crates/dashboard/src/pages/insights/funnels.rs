//! How many people get through the steps of a way.

use askama::Template;
use axum::response::Response;
use belvedere_business_intelligence::insight::{Question, STEPS_MAX, WINDOWS_DAYS};

use super::keep::Keep;
use super::{Ground, dimensions, periods, question};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::views::insights::{InsightView, window_text};

/// Steps of the form without any.
const STEPS_MIN: usize = 3;

#[derive(Template)]
#[template(path = "insights/funnels.html")]
struct FunnelsPage {
    layout: Layout,
    base: String,
    choices: Vec<Vec<Choice>>,
    windows: Vec<Choice>,
    periods: Vec<Choice>,
    people: Vec<Choice>,
    by: String,
    dimensions: Vec<&'static str>,
    /// None until there are two steps.
    view: Option<InsightView>,
    keep: Option<Keep>,
}

pub(super) async fn page(
    scene: &Scene,
    ground: &Ground,
    pairs: &Pairs,
    error: String,
) -> Result<Response, Refusal> {
    let asked = question::funnel(pairs)?;
    let question = Question::Funnel(asked.clone());
    let shown = (asked.steps.len() + 1).clamp(STEPS_MIN, STEPS_MAX);
    let chosen = |step: usize| asked.steps.get(step).map_or("", String::as_str);
    let window = |days: u16| Choice {
        value: days.to_string(),
        name: window_text(days),
        is_chosen: days == asked.window_days,
    };
    Ok(respond::page(&FunnelsPage {
        layout: scene.layout(Section::Funnels, pairs).await?,
        base: scene.base(),
        choices: (0..shown).map(|step| ground.events(chosen(step), "No step")).collect(),
        windows: WINDOWS_DAYS.map(window).into(),
        periods: periods(asked.days),
        people: ground.people(asked.cohort),
        by: asked.by.clone().unwrap_or_default(),
        dimensions: dimensions(),
        view: ground.view(scene, &question).await?,
        keep: Keep::of(scene, &question, pairs, error).await?,
    }))
}
