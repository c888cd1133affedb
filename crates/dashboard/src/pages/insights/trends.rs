//! How often something happens, or how much, over time.

use askama::Template;
use axum::response::Response;
use belvedere_business_intelligence::insight::{Question, SERIES_MAX, SeriesQuestion, TrendQuestion, letter};
use http::StatusCode;

use super::keep::Keep;
use super::{Ground, dimensions, periods, question, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::views::insights::InsightView;

const MEASURES: [(&str, &str); 11] = [
    ("events", "Events"),
    ("people", "People"),
    ("sum", "Sum of values"),
    ("average", "Average value"),
    ("min", "Least value"),
    ("max", "Greatest value"),
    ("median", "Median"),
    ("p75", "75th percentile"),
    ("p90", "90th percentile"),
    ("p95", "95th percentile"),
    ("p99", "99th percentile"),
];
const UNITS: [(&str, &str); 3] = [("day", "By day"), ("week", "By week"), ("month", "By month")];

/// A series behind the first one, as a form shows it.
struct More {
    number: usize,
    letter: char,
    events: Vec<Choice>,
    measures: Vec<Choice>,
    of: String,
}

impl More {
    fn new(ground: &Ground, place: usize, series: &SeriesQuestion) -> Self {
        Self {
            number: place + 1,
            letter: letter(place),
            events: ground.events(&series.event, "All events"),
            measures: words(&MEASURES, series.measure.as_str()),
            of: series.of.clone().unwrap_or_default(),
        }
    }

    /// Those of a question, and an empty one if there is room.
    fn list(ground: &Ground, question: &TrendQuestion) -> Vec<Self> {
        let blank = SeriesQuestion::default();
        let all = question.more.iter().chain([&blank]).take(SERIES_MAX - 1);
        (1..).zip(all).map(|(place, series)| Self::new(ground, place, series)).collect()
    }
}

#[derive(Template)]
#[template(path = "insights/trends.html")]
struct TrendsPage {
    layout: Layout,
    base: String,
    events: Vec<Choice>,
    measures: Vec<Choice>,
    of: String,
    more: Vec<More>,
    formula: String,
    units: Vec<Choice>,
    periods: Vec<Choice>,
    people: Vec<Choice>,
    by: String,
    dimensions: Vec<&'static str>,
    time_zone: String,
    view: Option<InsightView>,
    /// Why there is none.
    trouble: String,
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
    // What cannot be asked is put right in the form.
    let (view, trouble) = match ground.view(scene, &question).await {
        Ok(view) => (view, String::new()),
        Err(refusal) => (None, refusal.into_form_error()?),
    };
    let has_trouble = !trouble.is_empty();
    let mut response = respond::page(&TrendsPage {
        layout: scene.layout(Section::Trends, pairs).await?,
        base: scene.base(),
        events: ground.events(&asked.event, "All events"),
        measures: words(&MEASURES, asked.measure.as_str()),
        of: asked.of.clone().unwrap_or_default(),
        more: More::list(ground, &asked),
        formula: asked.formula.unwrap_or_default(),
        units: words(&UNITS, asked.unit.as_str()),
        periods: periods(asked.days),
        people: ground.people(asked.cohort),
        by: asked.by.unwrap_or_default(),
        dimensions: dimensions(),
        time_zone: ground.calendar.name().to_owned(),
        view,
        trouble,
        keep: Keep::of(scene, &question, pairs, error).await?,
    });
    if has_trouble {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
