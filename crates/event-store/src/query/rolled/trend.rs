//! Trends from rollups: numbers of events and of different subjects over time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::blocks::{Gathered, Targets, add_up, each_block};
use super::question::{group_of, holds, reads_name};
use super::{Counted, Rolled};
use crate::kernel::group::{Field, Group};
use crate::kernel::trend::{Point, Series, TrendQuery};
use crate::kernel::{Cancel, QueryError};
use crate::rollup::Union;

/// Answers a trend without values as [`crate::query`] does by reading events.
pub(crate) fn trend_of(
    query: &TrendQuery,
    rolled: &Rolled,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<Series>, QueryError> {
    let buckets = query.buckets.len();
    let bucket = |item: &Counted| (item.region as usize).checked_sub(1).filter(|bucket| *bucket < buckets);
    let field = query.breakdown.as_ref().map(|breakdown| &breakdown.field);
    let reads_name = field == Some(&Field::Name) || reads_name(&query.filter);
    let groups = groups(query, rolled, reads_name, &bucket);
    let other = groups.iter().position(|group| *group == Group::Other);
    let places: BTreeMap<&Group, u32> = groups.iter().zip(0..).collect();
    let assign = |name: &str, text: Option<&str>| {
        if !holds(&query.filter, name, text) {
            return None;
        }
        let group = field.map_or(Group::All, |field| group_of(field, name, text));
        places.get(&group).copied().or(other.map(|other| other as u32))
    };
    let counted = rolled.counted(reads_name, assign);
    let cell = |item: &Counted| bucket(item).map(|bucket| item.series as usize * buckets + bucket);
    let mut events = vec![0; groups.len() * buckets];
    for (source, counted) in rolled.sources.iter().zip(&counted) {
        for item in counted {
            let from = source.section.head.cells.get(item.cell).map_or(0, |cell| u64::from(cell.events));
            if let Some(into) = cell(item).and_then(|cell| events.get_mut(cell)) {
                *into += from;
            }
        }
    }
    let mut subjects = (vec![0; events.len()], vec![0; groups.len()]);
    if query.measures.subjects {
        let in_points = Targets::new(rolled, &counted, events.len(), cell);
        let totals = rolled.totals(reads_name, buckets as u32, assign);
        let in_series = Targets::new(rolled, &totals, groups.len(), |item| Some(item.series as usize));
        let empty = subjects.clone();
        let is_one_bucket = buckets == 1;
        subjects = each_block(
            rolled,
            threads,
            cancel,
            || (empty.clone(), Union::new()),
            |((points, series), union), blocks| {
                let mut add = |into: &mut Vec<u64>, targets: &Targets| {
                    for (at, sets) in Gathered::of(blocks, targets).each() {
                        if let Some(into) = into.get_mut(at) {
                            *into += union.count(sets);
                        }
                    }
                };
                add(series, &in_series);
                if !is_one_bucket {
                    add(points, &in_points);
                }
            },
            |(into, _), (from, _)| {
                add_up(&mut into.0, &from.0);
                add_up(&mut into.1, &from.1);
            },
        )?
        .0;
        if is_one_bucket {
            subjects.0.clone_from(&subjects.1);
        }
    }
    Ok(series(groups, buckets, &events, &subjects))
}

/// The groups that have series: all events, or the texts with the most events and then the others.
fn groups(
    query: &TrendQuery,
    rolled: &Rolled,
    reads_name: bool,
    bucket: &impl Fn(&Counted) -> Option<usize>,
) -> Vec<Group> {
    let Some(breakdown) = &query.breakdown else { return vec![Group::All] };
    let mut events: BTreeMap<Group, u64> = BTreeMap::new();
    for source in &rolled.sources {
        let head = &source.section.head;
        let counted = source.counted(reads_name, &|name, text| holds(&query.filter, name, text).then_some(0));
        let mut by_code: BTreeMap<(u16, u16), u64> = BTreeMap::new();
        for cell in counted.iter().filter(|it| bucket(it).is_some()).filter_map(|it| head.cells.get(it.cell))
        {
            *by_code.entry((cell.name, cell.text)).or_default() += u64::from(cell.events);
        }
        for ((name, text), count) in by_code {
            let name = head.names.get(usize::from(name)).map_or("", String::as_str);
            let text = head.texts.get(usize::from(text)).map(String::as_str).filter(|_| text != 0);
            *events.entry(group_of(&breakdown.field, name, text)).or_default() += count;
        }
    }
    let mut ranked: Vec<(Group, u64)> = events.into_iter().filter(|(_, events)| *events > 0).collect();
    ranked.sort_by_key(|(_, events)| Reverse(*events));
    let has_others = ranked.len() > breakdown.limit;
    let groups = ranked.into_iter().take(breakdown.limit).map(|(group, _)| group);
    groups.chain(has_others.then_some(Group::Other)).collect()
}

fn series(
    groups: Vec<Group>,
    buckets: usize,
    events: &[u64],
    subjects: &(Vec<u64>, Vec<u64>),
) -> Vec<Series> {
    let at = |numbers: &[u64], place: usize| numbers.get(place).copied().unwrap_or(0);
    let series = groups.into_iter().enumerate().map(|(number, group)| {
        let points = (number * buckets..(number + 1) * buckets).map(|cell| Point {
            events: at(events, cell),
            subjects: at(&subjects.0, cell),
            values: 0,
            sum: 0.0,
            min: None,
            max: None,
            percentiles: None,
        });
        let points: Vec<Point> = points.collect();
        let events = points.iter().map(|point| point.events).sum();
        Series { group, events, subjects: at(&subjects.1, number), points }
    });
    series.collect()
}
