//! Questions that rollups answer, and one of them answered by plain loops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

use super::fixtures::{PROJECT, at};
use crate::columns::Dimension;
use crate::kernel::active::ActiveAnswer;
use crate::kernel::filter::{Filter, TextTest};
use crate::kernel::group::{Field, Group};
use crate::kernel::retention::{CohortBy, RetentionMode};
use crate::kernel::trend::{Breakdown, Measures};
use crate::query::{
    AskActive, AskLifecycle, AskRetention, AskTrend, Explore, LifecycleAnswer, ListNames, ListValues,
    NameVolume, Queries, QueryLimits, QueryService, RetentionTable, RollupUse, Span, TrendAnswer, Unit,
    ValueVolume,
};
use crate::{Embedded, Event};

/// Answers to everything.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Asked {
    trends: Vec<TrendAnswer>,
    actives: Vec<ActiveAnswer>,
    lifecycles: Vec<LifecycleAnswer>,
    retentions: Vec<RetentionTable>,
    names: Vec<Vec<NameVolume>>,
    values: Vec<Vec<ValueVolume>>,
}

fn service(store: &Embedded, rollups: RollupUse) -> QueryService {
    let limits = QueryLimits { rollups, ..QueryLimits::default() };
    QueryService::new(Arc::new(store.clone()), 1 << 20, 2, limits)
}

fn span(from: &str, until: &str, zone: &str) -> Span {
    Span { project: PROJECT, from: at(from), until: at(until), time_zone: zone.to_owned() }
}

/// Clocks go back on 25 October in Amsterdam and on 1 November in St John's, whose days begin at half past.
const ZONES: [&str; 3] = ["UTC", "Europe/Amsterdam", "America/St_Johns"];

pub(crate) async fn ask_all(store: &Embedded, rollups: RollupUse) -> Asked {
    let service = service(store, rollups);
    let mut asked = Asked::default();
    let course = Field::Dimension(Dimension::Course);
    let filters = [
        Filter::all(),
        Filter::Name(TextTest::Contains("-1".to_owned())),
        Filter::Not(Box::new(Filter::Name(TextTest::Contains("-2".to_owned())))),
        Filter::Dimension(Dimension::Course, TextTest::Contains("-3".to_owned())),
    ];
    for (zone, unit) in ZONES.into_iter().zip([Unit::Day, Unit::Week, Unit::Month]) {
        // Whole days of Amsterdam, and ends in the middle of days.
        let whole = span("2026-10-11T22:00:00Z", "2026-11-27T23:00:00Z", zone);
        let cut = span("2026-10-20T13:37:00Z", "2026-11-28T12:00:00Z", zone);
        let asks = [&whole, &cut].into_iter().flat_map(|span| filters.iter().map(move |it| (span, it)));
        for ((span, filter), breakdown) in
            asks.zip([None, Some(Field::Name), Some(course.clone())].into_iter().cycle())
        {
            let ask = AskTrend {
                span: span.clone(),
                unit,
                filter: filter.clone(),
                measures: Measures { subjects: true, ..Measures::default() },
                values_of: None,
                breakdown: breakdown.map(|field| Breakdown { field, limit: 3 }),
            };
            asked.trends.push(service.trend(ask).await.unwrap());
            let ask = AskLifecycle { span: span.clone(), unit, filter: filter.clone() };
            asked.lifecycles.push(service.lifecycle(ask).await.unwrap());
        }
        for (span, filter) in [(&whole, &filters[0]), (&whole, &filters[3]), (&cut, &filters[2])] {
            let ask = AskActive { span: span.clone(), filter: filter.clone() };
            asked.actives.push(service.active(ask).await.unwrap());
        }
        for mode in [RetentionMode::Classic, RetentionMode::Rolling, RetentionMode::Unbounded] {
            let ask = AskRetention {
                span: cut.clone(),
                unit: if unit == Unit::Day { Unit::Week } else { unit },
                start: filters[1].clone(),
                returned: Filter::all(),
                cohort_by: if unit == Unit::Week { CohortBy::AnyStart } else { CohortBy::FirstStart },
                mode,
                complete_until: at("2026-11-28T12:00:00Z"),
            };
            asked.retentions.push(service.retention(ask).await.unwrap());
        }
    }
    for until in ["2026-11-28T12:00:00Z", "2026-11-10T00:00:00Z"].map(at) {
        asked.names.push(service.list_names(ListNames { project: PROJECT, until, limit: 3 }).await.unwrap());
        for (name, dimension) in [(None, Dimension::Course), (None, Dimension::Os), (None, Dimension::Plan)] {
            let property = Field::Dimension(dimension);
            let list = ListValues { project: PROJECT, name, property, until, limit: 4 };
            asked.values.push(service.list_values(list).await.unwrap());
        }
    }
    asked
}

/// Events and subjects by day in Amsterdam and name, from 12 October to 27 November.
pub(crate) type ByDay = BTreeMap<(Timestamp, String), (u64, u64)>;

pub(crate) async fn daily_by_name(store: &Embedded, rollups: RollupUse) -> ByDay {
    let ask = AskTrend {
        span: span("2026-10-11T22:00:00Z", "2026-11-27T23:00:00Z", "Europe/Amsterdam"),
        unit: Unit::Day,
        filter: Filter::all(),
        measures: Measures { subjects: true, ..Measures::default() },
        values_of: None,
        breakdown: Some(Breakdown { field: Field::Name, limit: 10 }),
    };
    let answer = service(store, rollups).trend(ask).await.unwrap();
    let mut found = ByDay::new();
    for series in &answer.series {
        let Group::Text(name) = &series.group else { continue };
        for (start, point) in answer.starts.iter().zip(&series.points).filter(|(_, point)| point.events > 0) {
            found.insert((*start, name.clone()), (point.events, point.subjects));
        }
    }
    found
}

/// The same, counted one event after the other.
pub(crate) fn twin(events: &[Event]) -> ByDay {
    let (from, change, until) =
        (at("2026-10-11T22:00:00Z"), at("2026-10-25T23:00:00Z"), at("2026-11-27T23:00:00Z"));
    let day = 86_400_000_000;
    // The day on which clocks go back ends an hour later, and so does every one after it.
    let start = |micros: i64| {
        let base = if micros < change.as_micros() { from } else { change }.as_micros();
        let start = base + (micros - base).div_euclid(day) * day;
        // In the 25th hour of 25 October.
        Timestamp::from_micros(if start == at("2026-10-25T22:00:00Z").as_micros() {
            start - day
        } else {
            start
        })
    };
    let mut counted: BTreeMap<(Timestamp, String), (u64, BTreeSet<SubjectId>)> = BTreeMap::new();
    for event in events.iter().filter(|event| event.at >= from && event.at < until) {
        let entry = counted.entry((start(event.at.as_micros()), event.name.clone())).or_default();
        entry.0 += 1;
        entry.1.extend(event.subject);
    }
    counted.into_iter().map(|(key, (events, subjects))| (key, (events, subjects.len() as u64))).collect()
}
