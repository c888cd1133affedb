//! How often something happens, over time.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_event_store::kernel::group::Group;
use belvedere_event_store::kernel::trend::{Breakdown, Measures, Point, Series};
use belvedere_event_store::query::{AskTrend, TrendAnswer, Unit};

use super::{
    GROUPS_MAX, Ground, breakdown_of, day_name, days_of, dimensions, event_of, group_name, periods, words,
};
use crate::charts::{Bar, BarChart, Caption, Svg, spark};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Count, percent};

const MEASURES: [(&str, &str); 2] = [("events", "Events"), ("people", "People")];
const UNITS: [(&str, &str); 3] = [("day", "By day"), ("week", "By week"), ("month", "By month")];

/// A part of the events.
struct Row {
    group: String,
    total: Count,
    share: String,
    spark: Svg,
}

#[derive(Template)]
#[template(path = "insights/trends.html")]
struct TrendsPage {
    layout: Layout,
    base: String,
    events: Vec<Choice>,
    measures: Vec<Choice>,
    units: Vec<Choice>,
    periods: Vec<Choice>,
    by: String,
    dimensions: Vec<&'static str>,
    days: u16,
    title: String,
    unit: &'static str,
    per: &'static str,
    time_zone: String,
    total: Count,
    chart: BarChart,
    rows: Vec<Row>,
}

/// `GET /projects/{project}/insights/trends`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let ground = Ground::of(&scene).await?;
    let (event, days) = (pairs.text("event"), days_of(&pairs));
    let counts_people = pairs.text("measure") == "people";
    let (unit, per) = match pairs.text("unit") {
        "week" => (Unit::Week, "week"),
        "month" => (Unit::Month, "month"),
        _ => (Unit::Day, "day"),
    };
    let field = breakdown_of(&pairs)?;
    let ask = |breakdown| -> Result<AskTrend, Refusal> {
        Ok(AskTrend {
            span: ground.span(&scene, days)?,
            unit,
            filter: event_of(event)?,
            measures: Measures { subjects: counts_people, ..Measures::default() },
            values_of: None,
            breakdown,
        })
    };
    let whole = scene.state.queries.trend(ask(None)?).await?;
    let mut rows = Vec::new();
    if let Some(field) = field {
        let parts = ask(Some(Breakdown { field, limit: GROUPS_MAX }))?;
        let parts = scene.state.queries.trend(parts).await?;
        let total = whole.series.first().map_or(0, |series| total_of(series, counts_people));
        rows = parts.series.iter().map(|series| row_of(series, counts_people, total)).collect();
    }
    let unit_name = if counts_people { "people" } else { "events" };
    let title = if event.is_empty() { "All events".to_owned() } else { event.to_owned() };
    let chart = chart_of(&whole, &ground, (counts_people, per, unit_name), &title);
    Ok(respond::page(&TrendsPage {
        layout: scene.layout(Section::Trends, &pairs).await?,
        base: scene.base(),
        events: ground.events(event, "All events"),
        measures: words(&MEASURES, if counts_people { "people" } else { "events" }),
        units: words(&UNITS, per),
        periods: periods(days),
        by: pairs.text("by").to_owned(),
        dimensions: dimensions(),
        days,
        title,
        unit: unit_name,
        per,
        time_zone: ground.calendar.name().to_owned(),
        total: Count(whole.series.first().map_or(0, |series| total_of(series, counts_people))),
        chart,
        rows,
    }))
}

fn quantity(point: &Point, counts_people: bool) -> u64 {
    if counts_people { point.subjects } else { point.events }
}

/// Of the whole period: people who come on two days are one.
fn total_of(series: &Series, counts_people: bool) -> u64 {
    if counts_people { series.subjects } else { series.events }
}

fn row_of(series: &Series, counts_people: bool, total: u64) -> Row {
    let quantities: Vec<u64> = series.points.iter().map(|point| quantity(point, counts_people)).collect();
    let (group, own) = (group_name(&series.group), total_of(series, counts_people));
    let is_text = !matches!(series.group, Group::Other);
    Row {
        spark: spark(&quantities, &format!("{group}: {} over the period", Count(own))),
        share: if is_text || !counts_people { percent(own, total) } else { String::new() },
        total: Count(own),
        group,
    }
}

fn chart_of(
    trend: &TrendAnswer,
    ground: &Ground,
    (counts_people, per, unit): (bool, &'static str, &'static str),
    title: &str,
) -> BarChart {
    let points = trend.series.first().map(|series| series.points.as_slice()).unwrap_or_default();
    let bars = trend.starts.iter().zip(points).map(|(start, point)| Bar {
        label: day_name(&ground.calendar, *start),
        quantity: quantity(point, counts_people),
    });
    let column = match per {
        "week" => "Week of",
        "month" => "Month of",
        _ => "Day",
    };
    let about = format!("{title}: {unit} per {per}");
    BarChart::new(bars.collect(), &Caption { about: &about, unit, column, is_small: false })
}
