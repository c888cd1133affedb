//! The texts of a field with the most events or subjects, from rollups.

use std::collections::BTreeMap;

use super::blocks::{Gathered, Targets, add_up, each_block};
use super::question::{group_of, holds, reads_name};
use super::{Counted, Rolled};
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Group};
use crate::kernel::top::{TopItem, TopQuery};
use crate::kernel::{Cancel, QueryError};
use crate::rollup::{Set, Union, WORDS, add_set};

/// The stretch of a question's only bucket.
const BUCKET: u32 = 1;

/// Answers a list of the texts of a field, over one bucket.
pub(crate) fn top_of(
    query: &TopQuery,
    rolled: &Rolled,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<TopItem>, QueryError> {
    let reads = |filter: &Filter| query.field == Field::Name || reads_name(filter);
    let mut found: BTreeMap<Group, u32> = BTreeMap::new();
    for source in &rolled.sources {
        let head = &source.section.head;
        let counted =
            source.counted(reads(&query.filter), &|name, text| holds(&query.filter, name, text).then_some(0));
        for cell in counted.iter().filter(|it| it.region == BUCKET).filter_map(|it| head.cells.get(it.cell)) {
            let next = found.len() as u32;
            found.entry(group_of(&query.field, head.name(cell), head.text(cell))).or_insert(next);
        }
    }
    let counted = |filter: &Filter| {
        rolled.counted(reads(filter), |name, text| {
            let held = holds(filter, name, text);
            held.then(|| found.get(&group_of(&query.field, name, text)).copied()).flatten()
        })
    };
    let targets = |counted: &[Vec<Counted>]| {
        Targets::new(rolled, counted, found.len(), |it| (it.region == BUCKET).then_some(it.series as usize))
    };
    let own = counted(&query.filter);
    let mut events = vec![0_u64; found.len()];
    for (source, counted) in rolled.sources.iter().zip(&own) {
        for item in counted.iter().filter(|item| item.region == BUCKET) {
            let cell = source.section.head.cells.get(item.cell);
            if let (Some(into), Some(cell)) = (events.get_mut(item.series as usize), cell) {
                *into += u64::from(cell.events);
            }
        }
    }
    let (own, goal) = (targets(&own), query.goal.as_ref().map(|goal| targets(&counted(goal))));
    let start = || (vec![0; events.len()], vec![0; events.len()], Union::new());
    let (subjects, reached, _) = each_block(
        rolled,
        threads,
        cancel,
        start,
        |(subjects, reached, union), blocks| {
            let own = Gathered::of(blocks, &own);
            for (at, sets) in own.each() {
                if let Some(into) = subjects.get_mut(at) {
                    *into += union.count(sets);
                }
            }
            if let Some(goal) = &goal {
                let goal = Gathered::of(blocks, goal);
                let mut of_goal = goal.each().peekable();
                for (at, sets) in own.each() {
                    while of_goal.next_if(|(place, _)| *place < at).is_some() {}
                    if let (Some((_, goal)), Some(into)) =
                        (of_goal.next_if(|(place, _)| *place == at), reached.get_mut(at))
                    {
                        *into += count_both(sets, goal);
                    }
                }
            }
        },
        |into, from| {
            add_up(&mut into.0, &from.0);
            add_up(&mut into.1, &from.1);
        },
    )?;
    let at = |numbers: &[u64], place: u32| numbers.get(place as usize).copied().unwrap_or(0);
    let items = found.into_iter().map(|(group, place)| TopItem {
        group,
        events: at(&events, place),
        subjects: at(&subjects, place),
        goal_subjects: at(&reached, place),
    });
    Ok(query.first(items.filter(|item| item.events > 0).collect()))
}

/// How many members the unions of both have in common.
fn count_both(a: &[Set<'_>], b: &[Set<'_>]) -> u64 {
    let union = |sets: &[Set<'_>]| {
        let mut bits = vec![0; WORDS];
        sets.iter().for_each(|set| add_set(&mut bits, *set));
        bits
    };
    union(a).iter().zip(union(b)).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}
