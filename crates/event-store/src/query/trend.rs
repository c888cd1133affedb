//! Trends and lists in which events without a subject count as events, and as nobody.

use std::collections::BTreeMap;

use super::QueriesError;
use super::load::Loaded;
use crate::kernel::Cancel;
use crate::kernel::filter::{Filter, PropTest, TextTest};
use crate::kernel::group::{Field, Group};
use crate::kernel::top::{TopItem, TopQuery, top};
use crate::kernel::trend::{Breakdown, Measures, Series, TrendQuery, trend};

/// Answers a trend over all events.
pub(crate) fn trend_of(
    query: &TrendQuery,
    loaded: &Loaded,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<Series>, QueriesError> {
    let mut series = trend(query, &loaded.all(), threads, cancel)?;
    let nobody = loaded.nobody();
    if !query.measures.subjects || nobody.is_empty() {
        return Ok(series);
    }
    // They are all under one number, which was counted as a subject wherever one of them is.
    let own: Vec<Group> = series.iter().map(|it| it.group.clone()).filter(|it| *it != Group::Other).collect();
    for (is_other, breakdown) in [(false, query.breakdown.as_ref()), (true, None)] {
        if is_other && !series.iter().any(|it| it.group == Group::Other) {
            continue;
        }
        let groups = query.breakdown.as_ref().map(|breakdown| holds_groups(&breakdown.field, &own));
        let groups = groups.map(|groups| if is_other { Filter::Not(Box::new(groups)) } else { groups });
        let filters = std::iter::once(query.filter.clone()).chain(groups).collect();
        let query = TrendQuery {
            filter: Filter::And(filters),
            buckets: query.buckets.clone(),
            measures: Measures::default(),
            values_of: None,
            breakdown: breakdown.map(|it| Breakdown { limit: own.len(), ..it.clone() }),
        };
        for found in trend(&query, &nobody, threads, cancel)? {
            let group = if is_other { Group::Other } else { found.group };
            let Some(into) = series.iter_mut().find(|it| it.group == group) else { continue };
            into.subjects -= u64::from(found.events > 0).min(into.subjects);
            for (point, found) in into.points.iter_mut().zip(&found.points) {
                point.subjects -= u64::from(found.events > 0).min(point.subjects);
            }
        }
    }
    Ok(series)
}

/// Events of any of the groups.
fn holds_groups(field: &Field, groups: &[Group]) -> Filter {
    let of = |test| match field {
        Field::Name => Filter::Name(test),
        Field::Dimension(dimension) => Filter::Dimension(*dimension, test),
        Field::Prop(name) => Filter::Prop(name.clone(), PropTest::Text(test)),
    };
    let texts = groups.iter().filter_map(|group| match group {
        Group::Text(text) => Some(text.clone()),
        _ => None,
    });
    let mut tests = vec![of(TextTest::In(texts.collect()))];
    if groups.contains(&Group::NotSet) {
        tests.push(of(TextTest::NotSet));
    }
    Filter::Or(tests)
}

/// The first texts of a field of those that `find` answers, without the events that have none.
pub(crate) fn texts_of<E>(
    query: &TopQuery,
    find: impl FnOnce(&TopQuery) -> Result<Vec<TopItem>, E>,
) -> Result<Vec<TopItem>, E> {
    let one_more = TopQuery { limit: query.limit + 1, ..query.clone() };
    let mut items = find(&one_more)?;
    items.retain(|item| matches!(item.group, Group::Text(_)));
    items.truncate(query.limit);
    Ok(items)
}

/// The first texts of a field over all events.
pub(crate) fn top_of(
    query: &TopQuery,
    loaded: &Loaded,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<TopItem>, QueriesError> {
    let all = TopQuery { limit: usize::MAX, ..query.clone() };
    let mut items: BTreeMap<Group, TopItem> = BTreeMap::new();
    for item in top(&all, &loaded.known(), threads, cancel)? {
        items.insert(item.group.clone(), item);
    }
    for item in top(&all, &loaded.nobody(), threads, cancel)? {
        let empty = TopItem { group: item.group.clone(), events: 0, subjects: 0, goal_subjects: 0 };
        items.entry(item.group).or_insert(empty).events += item.events;
    }
    Ok(query.first(items.into_values().collect()))
}
