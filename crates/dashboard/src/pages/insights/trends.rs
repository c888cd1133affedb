//! How often something happens, over time.

use askama::Template;
use axum::response::Response;
use belvedere_business_intelligence::insight::Question;

use super::keep::Keep;
use super::{Ground, dimensions, periods, question, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::views::insights::InsightView;

const MEASURES: [(&str, &str); 2] = [("events", "Events"), ("people", "People")];
const UNITS: [(&str, &str); 3] = [("day", "By day"), ("week", "By week"), ("month", "By month")];

#[derive(Template)]
#[template(path = "insights/trends.html")]
struct TrendsPage {
    layout: Layout,
    base: String,
    events: Vec<Choice>,
    measures: Vec<Choice>,
    units: Vec<Choice>,
    periods: Vec<Choice>,
    people: Vec<Choice>,
    by: String,
    dimensions: Vec<&'static str>,
    time_zone: String,
    view: Option<InsightView>,
    keep: Option<Keep>,
}

pub(super) async fn page(
    scene: &Scene,
    ground: &Ground,
    pairs: &Pairs,
    error: String,
) -> Result<Response, Refusal> {
    let asked = question::trend(pairs)?;
    let question = Question::Trend(asked.clone());
    Ok(respond::page(&TrendsPage {
        layout: scene.layout(Section::Trends, pairs).await?,
        base: scene.base(),
        events: ground.events(&asked.event, "All events"),
        measures: words(&MEASURES, asked.measure.as_str()),
        units: words(&UNITS, asked.unit.as_str()),
        periods: periods(asked.days),
        people: ground.people(asked.cohort),
        by: asked.by.unwrap_or_default(),
        dimensions: dimensions(),
        time_zone: ground.calendar.name().to_owned(),
        view: ground.view(scene, &question).await?,
        keep: Keep::of(scene, &question, pairs, error).await?,
    }))
}
