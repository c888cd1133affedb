//! Questions that people put together themselves: trends, funnels, retention and paths. Each is an address, so that it
//! can be kept and passed on.

mod funnels;
mod paths;
mod retention;
mod trends;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use belvedere_business_intelligence::calendar::{Calendar, PeriodUnit};
use belvedere_event_store::TEXT_BYTES_MAX;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::filter::Filter;
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::query::{ListNames, Span};
use belvedere_storage::Timestamp;

use crate::form::Pairs;
use crate::layout::Scene;
use crate::pages::activity::{Choice, field_of};
use crate::refusal::Refusal;
use crate::state::DashboardState;
use crate::wording::shorten;

/// The most names of events to choose from, those with the most events in the last 30 days.
const NAMES_MAX: usize = 200;

/// The periods to choose from, in days; the first unless an address says another.
const DAYS: [u16; 4] = [30, 7, 90, 180];

/// How many texts of a breakdown stand by themselves.
const GROUPS_MAX: usize = 10;

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/insights/trends", get(trends::show))
        .route("/insights/funnels", get(funnels::show))
        .route("/insights/retention", get(retention::show))
        .route("/insights/paths", get(paths::show))
}

/// A project's calendar, and what there is to ask about.
struct Ground {
    calendar: Calendar,
    names: Vec<String>,
}

impl Ground {
    async fn of(scene: &Scene) -> Result<Self, Refusal> {
        let calendar = Calendar::find(&scene.project.time_zone).unwrap_or_default();
        let list = ListNames { project: scene.id(), until: scene.now, limit: NAMES_MAX };
        let names = scene.state.queries.list_names(list).await?;
        Ok(Self { calendar, names: names.into_iter().map(|it| it.name).collect() })
    }

    /// The names as options, the one that is asked for among them even where it is not among the greatest.
    fn events(&self, chosen: &str, none: &str) -> Vec<Choice> {
        let known = self.names.iter().map(String::as_str);
        let strange = Some(chosen).filter(|it| !it.is_empty() && !self.names.iter().any(|name| name == it));
        let option = |value: &str, name: &str| Choice {
            value: value.to_owned(),
            name: name.to_owned(),
            is_chosen: value == chosen,
        };
        let all = known.chain(strange).map(|name| option(name, &shorten(name, 60)));
        std::iter::once(option("", none)).chain(all).collect()
    }

    /// The last whole days of the calendar up to now, the present one among them.
    fn span(&self, scene: &Scene, days: u16) -> Result<Span, Refusal> {
        let from = self.calendar.shifted(PeriodUnit::Day, scene.now, 1 - i64::from(days))?;
        Ok(Span {
            project: scene.id(),
            from,
            until: scene.now.plus(Duration::from_micros(1)),
            time_zone: self.calendar.name().to_owned(),
        })
    }
}

/// How many days an address asks for.
fn days_of(pairs: &Pairs) -> u16 {
    let wanted = pairs.text("days").parse().ok();
    wanted.filter(|days| DAYS.contains(days)).unwrap_or(DAYS[0])
}

fn periods(chosen: u16) -> Vec<Choice> {
    let mut days = DAYS;
    days.sort_unstable();
    let period = |days: u16| Choice {
        value: days.to_string(),
        name: format!("Last {days} days"),
        is_chosen: days == chosen,
    };
    days.map(period).into_iter().collect()
}

/// Options of fixed words.
fn words(options: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    let option = |(value, name): &(&str, &str)| Choice {
        value: (*value).to_owned(),
        name: (*name).to_owned(),
        is_chosen: *value == chosen,
    };
    options.iter().map(option).collect()
}

/// The name of an event out of an address; all events where it is empty.
fn event_of(name: &str) -> Result<Filter, Refusal> {
    if name.len() > TEXT_BYTES_MAX {
        return Err(Refusal::Invalid(format!("The name of the event has more than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(if name.is_empty() { Filter::And(Vec::new()) } else { Filter::name(name) })
}

/// What an address divides by; nothing where it is empty.
fn breakdown_of(pairs: &Pairs) -> Result<Option<Field>, Refusal> {
    match pairs.text("by") {
        "" => Ok(None),
        word => field_of(word).map(Some).map_err(Refusal::Invalid),
    }
}

/// The columns that can be divided by without knowing the names of properties.
fn dimensions() -> Vec<&'static str> {
    Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect()
}

fn group_name(group: &Group) -> String {
    match group {
        Group::All => "all".to_owned(),
        Group::NotSet => "not set".to_owned(),
        Group::Other => "all others".to_owned(),
        Group::Text(text) => shorten(text, 80),
    }
}

/// A local day as it is written, such as `2026-11-29`.
fn day_name(calendar: &Calendar, at: Timestamp) -> String {
    calendar.show(at).unwrap_or_default()
}
