//! Whether people come again.

use askama::Template;
use axum::response::Response;
use belvedere_business_intelligence::insight::Question;

use super::keep::Keep;
use super::{Ground, question, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::views::insights::InsightView;

const UNITS: [(&str, &str); 3] = [("day", "By day"), ("week", "By week"), ("month", "By month")];
const STARTS: [(&str, &str); 2] = [("first", "first of all"), ("any", "in each period")];
const MODES: [(&str, &str); 3] = [
    ("classic", "in that period"),
    ("rolling", "in that period or later"),
    ("unbounded", "at any time after"),
];

#[derive(Template)]
#[template(path = "insights/retention.html")]
struct RetentionPage {
    layout: Layout,
    starts: Vec<Choice>,
    returns: Vec<Choice>,
    units: Vec<Choice>,
    kinds: Vec<Choice>,
    modes: Vec<Choice>,
    people: Vec<Choice>,
    unit: &'static str,
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
    let asked = question::retention(pairs)?;
    let question = Question::Retention(asked.clone());
    Ok(respond::page(&RetentionPage {
        layout: scene.layout(Section::Retention, pairs).await?,
        starts: ground.events(&asked.start, "Any event"),
        returns: ground.events(&asked.returned, "Any event"),
        units: words(&UNITS, asked.unit.as_str()),
        kinds: words(&STARTS, asked.beginning.as_str()),
        modes: words(&MODES, asked.mode.as_str()),
        people: ground.people(asked.cohort),
        unit: asked.unit.as_str(),
        time_zone: ground.calendar.name().to_owned(),
        view: ground.view(scene, &question).await?,
        keep: Keep::of(scene, &question, pairs, error).await?,
    }))
}
