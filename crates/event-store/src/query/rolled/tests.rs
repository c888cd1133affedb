//! Rollups against the kernels, which are held against plain loops themselves: segments cut at random places, days that
//! buckets cut, days that were too varied, and segments without a rollup.

use std::sync::Arc;

use super::count::count_columns;
use super::{
    Ask, Place, Rolled, Source, active_of, by_of, lifecycle_of, place, retention_of, top_of, trend_of,
};
use crate::columns::{Columns, Dimension};
use crate::kernel::active::{ActiveQuery, active};
use crate::kernel::bucket::Buckets;
use crate::kernel::group::Field;
use crate::kernel::lifecycle::{LifecycleQuery, lifecycle};
use crate::kernel::retention::{CohortBy, RetentionMode, RetentionQuery, retention};
use crate::kernel::testing::{Case, Random};
use crate::kernel::top::{Rank, TopQuery, top};
use crate::kernel::trend::{Breakdown, Measures, TrendQuery, trend};
use crate::rollup::By;

/// The segments of a case, their subjects in several blocks.
fn segments(case: &Case) -> Vec<Columns> {
    let spread = |columns: &&Columns| {
        let mut columns = (*columns).clone();
        columns.subjects = columns.subjects.iter().map(|subject| subject * 20_000).collect::<Vec<_>>().into();
        columns
    };
    case.segments().iter().filter(|columns| !columns.is_empty()).map(spread).collect()
}

fn ask(by: By, buckets: &Buckets, regions: std::ops::Range<u32>) -> Ask {
    Ask { by, zone: "UTC".to_owned(), buckets: buckets.clone(), regions }
}

/// Rolls segments up by days of random lengths, as far as chance allows.
fn roll_up(random: &mut Random, segments: &[Columns], ask: &Ask) -> Rolled {
    let mut rolled = Rolled::default();
    let starts = ask.buckets.starts_micros();
    let own: Vec<i64> = std::iter::once(i64::MIN).chain(starts.iter().copied()).chain([i64::MAX]).collect();
    for columns in segments {
        let times = || (0..columns.len()).map(|row| columns.time_ms(row) * 1000);
        let (first, last) = (times().min().unwrap(), times().max().unwrap());
        let mut holes = None;
        if random.range::<u8>(0, 5) > 0 {
            let mut edges = vec![first - random.range::<i64>(0, 300_000)];
            while *edges.last().unwrap() <= last {
                let next = if random.range::<u8>(0, 2) == 0 {
                    // Where a bucket begins, as a day of the project does.
                    starts.iter().copied().find(|start| start > edges.last().unwrap())
                } else {
                    None
                };
                let length = random.range::<i64>(1, 700) * 1_000;
                edges.push(next.unwrap_or(edges.last().unwrap() + length));
            }
            let mut section = count_columns(columns, ask.by, &edges, None, random.pick(&[true, false]));
            if random.range::<u8>(0, 4) == 0 {
                let at = random.range::<usize>(0, section.head.is_left_out.len() as i64);
                section.head.is_left_out[at] = true;
            }
            let (source, found) = place(Arc::new(section), ask, first, last);
            rolled.sources.extend(source);
            holes = Some(found);
        }
        if holes.as_ref().is_none_or(|holes| !holes.is_empty()) {
            let section = count_columns(columns, ask.by, &own, holes.as_deref(), false);
            let place = Place::Stretches((0..).take(own.len() - 1).map(Some).collect());
            rolled.sources.push(Source { section: Arc::new(section), place, is_within: false });
        }
    }
    rolled
}

#[test]
fn trends_are_those_of_the_kernel() {
    let mut random = Random::new(21);
    let mut answered = 0;
    for _ in 0..3_000 {
        let case = Case::generate(&mut random);
        let buckets = Buckets::try_new(case.starts_micros.clone()).unwrap();
        let fields = [Field::Name, Field::Dimension(Dimension::Course), Field::Dimension(Dimension::Plan)];
        let breakdown = Breakdown { field: random.pick(&fields), limit: random.range(1, 7) };
        let query = TrendQuery {
            filter: random.loose_filter(),
            buckets,
            measures: Measures { subjects: random.pick(&[true, true, false]), ..Measures::default() },
            values_of: None,
            breakdown: random.pick(&[Some(breakdown), None]),
        };
        let Some(by) = by_of(&[&query.filter], query.breakdown.as_ref().map(|it| &it.field)) else {
            continue;
        };
        let segments = segments(&case);
        let ask = ask(by, &query.buckets, 1..query.buckets.len() as u32 + 1);
        let rolled = roll_up(&mut random, &segments, &ask);
        let columns: Vec<&Columns> = segments.iter().collect();
        let expected = trend(&query, &columns, 1, &|| false).unwrap();
        for threads in [1, 3] {
            assert_eq!(trend_of(&query, &rolled, threads, &|| false).unwrap(), expected, "{query:?}");
        }
        answered += 1;
    }
    assert!(answered > 1_500, "{answered}");
}

#[test]
fn lists_are_those_of_the_kernel() {
    let mut random = Random::new(22);
    for _ in 0..2_000 {
        let case = Case::generate(&mut random);
        let (start, end) = (case.starts_micros[0], case.starts_micros[case.buckets()]);
        let query = TopQuery {
            filter: random.loose_filter(),
            goal: random.pick(&[true, false]).then(|| random.loose_filter()),
            time_micros: start..end,
            field: random.pick(&[Field::Name, Field::Dimension(Dimension::Course)]),
            rank: random.pick(&[Rank::Events, Rank::Subjects]),
            limit: random.range(1, 6),
        };
        let filters: Vec<_> = std::iter::once(&query.filter).chain(&query.goal).collect();
        let Some(by) = by_of(&filters, Some(&query.field)) else { continue };
        let buckets = Buckets::try_new(vec![start, end]).unwrap();
        let segments = segments(&case);
        let rolled = roll_up(&mut random, &segments, &ask(by, &buckets, 1..2));
        let columns: Vec<&Columns> = segments.iter().collect();
        let expected = top(&query, &columns, 1, &|| false).unwrap();
        assert_eq!(top_of(&query, &rolled, 2, &|| false).unwrap(), expected, "{query:?}");
    }
}

#[test]
fn rolling_actives_are_those_of_the_kernel() {
    let mut random = Random::new(23);
    for round in 0..600 {
        let mut case = Case::generate(&mut random);
        if round % 2 == 0 {
            // Short days, so that the long windows slide.
            let start = case.starts_micros[0];
            let lengths = (0..random.range(1, 90)).map(|_| random.pick(&[20_000, 23_000, 25_000]));
            let starts = lengths.scan(start, |at, length| Some(std::mem::replace(at, *at + length)));
            case.starts_micros = starts.chain([start + 10_000_000]).collect();
        }
        let days = Buckets::try_new(case.starts_micros.clone()).unwrap();
        let lead_days = random.range(0, days.len() as i64);
        let query = ActiveQuery { filter: random.loose_filter(), days, lead_days };
        let Some(by) = by_of(&[&query.filter], None) else { continue };
        let segments = segments(&case);
        let ask = ask(by, &query.days, 1..query.days.len() as u32 + 1);
        let rolled = roll_up(&mut random, &segments, &ask);
        let columns: Vec<&Columns> = segments.iter().collect();
        let expected = active(&query, &columns, 1, &|| false).unwrap();
        assert_eq!(active_of(&query, &rolled, 2, &|| false).unwrap(), expected, "{query:?}");
    }
}

#[test]
fn lifecycle_and_retention_are_those_of_the_kernels() {
    let mut random = Random::new(24);
    for _ in 0..1_500 {
        let case = Case::generate(&mut random);
        let periods = Buckets::try_new(case.starts_micros.clone()).unwrap();
        let count = periods.len() as u32;
        let segments = segments(&case);
        let columns: Vec<&Columns> = segments.iter().collect();
        let filter = random.loose_filter();
        if let Some(by) = by_of(&[&filter], None).filter(|_| count > 1) {
            let query = LifecycleQuery { filter, periods: periods.clone(), known: None };
            let rolled = roll_up(&mut random, &segments, &ask(by, &periods, 0..count + 1));
            let expected = lifecycle(&query, &columns, 1, &|| false).unwrap();
            assert_eq!(lifecycle_of(&query, &rolled, 2, &|| false).unwrap(), expected, "{query:?}");
        }
        let modes = [RetentionMode::Classic, RetentionMode::Rolling, RetentionMode::Unbounded];
        let query = RetentionQuery {
            start: random.loose_filter(),
            returned: random.loose_filter(),
            periods: periods.clone(),
            cohort_by: random.pick(&[CohortBy::FirstStart, CohortBy::AnyStart]),
            mode: random.pick(&modes),
            complete_until_micros: random.range(-200_000, 2_200_000),
        };
        let Some(by) = by_of(&[&query.start, &query.returned], None) else { continue };
        let rolled = roll_up(&mut random, &segments, &ask(by, &periods, 0..count + 2));
        let expected = retention(&query, &columns, 1, &|| false).unwrap();
        assert_eq!(retention_of(&query, &rolled, 2, &|| false).unwrap(), expected, "{query:?}");
    }
}
