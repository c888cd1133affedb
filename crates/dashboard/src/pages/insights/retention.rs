//! Whether people come again.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_business_intelligence::calendar::PeriodUnit;
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::query::{AskRetention, Span, Unit};

use super::{Ground, event_of, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::business::HeatTable;

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
    base: String,
    starts: Vec<Choice>,
    returns: Vec<Choice>,
    units: Vec<Choice>,
    kinds: Vec<Choice>,
    modes: Vec<Choice>,
    periods: usize,
    unit: &'static str,
    time_zone: String,
    heat: HeatTable,
}

/// `GET /projects/{project}/insights/retention`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let ground = Ground::of(&scene).await?;
    let (start, returned) = (pairs.text("start"), pairs.text("return"));
    let (unit, name, period, periods) = match pairs.text("unit") {
        "day" => (Unit::Day, "day", PeriodUnit::Day, 14),
        "month" => (Unit::Month, "month", PeriodUnit::Month, 6),
        _ => (Unit::Week, "week", PeriodUnit::Week, 8),
    };
    let is_any = pairs.text("cohort") == "any";
    let (mode, mode_word) = match pairs.text("mode") {
        "rolling" => (RetentionMode::Rolling, "rolling"),
        "unbounded" => (RetentionMode::Unbounded, "unbounded"),
        _ => (RetentionMode::Classic, "classic"),
    };
    let count = i64::try_from(periods).unwrap_or(1);
    let ask = AskRetention {
        span: Span {
            project: scene.id(),
            from: ground.calendar.shifted(period, scene.now, 1 - count)?,
            until: scene.now,
            time_zone: ground.calendar.name().to_owned(),
        },
        unit,
        start: event_of(start)?,
        returned: event_of(returned)?,
        cohort_by: if is_any { CohortBy::AnyStart } else { CohortBy::FirstStart },
        mode,
        complete_until: scene.now,
    };
    let table = scene.state.queries.retention(ask).await?;
    Ok(respond::page(&RetentionPage {
        layout: scene.layout(Section::Retention, &pairs).await?,
        base: scene.base(),
        starts: ground.events(start, "Any event"),
        returns: ground.events(returned, "Any event"),
        units: words(&UNITS, name),
        kinds: words(&STARTS, if is_any { "any" } else { "first" }),
        modes: words(&MODES, mode_word),
        periods,
        unit: name,
        time_zone: ground.calendar.name().to_owned(),
        heat: HeatTable::retention(&table, name),
    }))
}
