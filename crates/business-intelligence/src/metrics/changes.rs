//! What changed most from one week to the next, and who makes the change.
//!
//! Everything is counted in people, as what one person does comes in bursts. A change is more than noise if the counts of
//! both weeks, taken for independent Poisson counts, differ by at least three standard deviations: with a people in one
//! week and b in the other, |a - b| / sqrt(a + b) >= 3. Each person is in one segment of a dimension, the first that their
//! events of the week say, so that the changes of segments add up to the change.

use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::filter::Filter;
use belvedere_event_store::kernel::funnel::{FunnelBreakdown, FunnelRules, Touch};
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::query::{AskFunnel, BREAKDOWN_MAX};
use belvedere_storage::Timestamp;

use super::ask::{Asker, Ends, activity, named};
use super::{FEATURE_USED, PAGE_VIEW, SIGNED_UP, SUBSCRIPTION_STARTED, TRIAL_STARTED};
use crate::BusinessError;
use crate::model::{Change, ChangeBy, SegmentChange};
use crate::revenue::metrics::RevenuePeriod;

/// The length of what is compared.
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// A week must have as many people, or movements, for a change to be looked at.
const PEOPLE_MIN: u64 = 20;
/// Standard deviations from which on a change is more than noise.
const Z_MIN: f64 = 3.0;
/// The fewest people that are shown of a segment in a week in which it has any.
const SEGMENT_MIN: u64 = 5;
/// The most changes whose segments are asked for.
const CHANGES_MAX: usize = 4;
/// Segments that were put together.
const OTHERS: &str = "others";

/// What people may differ by.
const DIMENSIONS: [(&str, Dimension); 4] = [
    ("channel", Dimension::UtmSource),
    ("country", Dimension::Country),
    ("plan", Dimension::Plan),
    ("device", Dimension::Device),
];

/// What is looked at: people with such events.
fn counted() -> [(&'static str, Filter); 8] {
    [
        ("active_people", activity()),
        ("visitors", named(&[PAGE_VIEW])),
        ("signups", named(&[SIGNED_UP])),
        ("lesson_completers", named(&["lesson_complete"])),
        ("feature_users", named(&[FEATURE_USED])),
        ("free_trials", named(&[TRIAL_STARTED])),
        ("subscribers", named(&[SUBSCRIPTION_STARTED])),
        ("people_with_errors", named(&["error"])),
    ]
}

/// The week that ends with an instant, and the one before it.
pub(crate) fn weeks(until: Timestamp) -> (Ends, Ends) {
    let from = until.minus(WEEK);
    ((from, until), (from.minus(WEEK), from))
}

/// By how many standard deviations two counts differ; none if that is noise, or they are small.
fn z_of(now: u64, before: u64) -> Option<f64> {
    let (more, less) = (now.max(before), now.min(before));
    let z = (more - less) as f64 / ((more + less) as f64).sqrt();
    (more >= PEOPLE_MIN && z >= Z_MIN).then_some(z)
}

/// What changed most, of everything that follows from events.
pub(crate) async fn changes(asker: &Asker<'_>, until: Timestamp) -> Result<Vec<Change>, BusinessError> {
    let (now, before) = weeks(until);
    let mut found: Vec<(Change, Filter)> = Vec::new();
    for (key, filter) in counted() {
        let (people, earlier) =
            tokio::try_join!(asker.people(now, filter.clone()), asker.people(before, filter.clone()))?;
        let Some(z) = z_of(people, earlier) else { continue };
        let change =
            Change { key, now: people as i64, before: earlier as i64, z, currency: None, by: Vec::new() };
        found.push((change, filter));
    }
    found.sort_by(|(a, _), (b, _)| first(a, b));
    found.truncate(CHANGES_MAX);
    let mut changes = Vec::with_capacity(found.len());
    for (mut change, filter) in found {
        for (dimension, column) in DIMENSIONS {
            let (of_now, of_before) = tokio::try_join!(
                asker.segments(now, filter.clone(), column),
                asker.segments(before, filter.clone(), column)
            )?;
            let segments = contributions(of_now, of_before);
            // One segment is everybody, and explains nothing.
            if segments.len() > 1 {
                change.by.push(ChangeBy { dimension, segments });
            }
        }
        change.by.sort_by(|a, b| excess(&change_of(b), b).total_cmp(&excess(&change_of(a), a)));
        changes.push(change);
    }
    Ok(changes)
}

/// The greatest relative change first; what came from nothing before all others.
pub(crate) fn first(a: &Change, b: &Change) -> std::cmp::Ordering {
    let share = |change: &Change| change.change().map_or(f64::INFINITY, f64::abs);
    share(b).total_cmp(&share(a)).then(b.z.total_cmp(&a.z))
}

/// All people now and before.
fn change_of(by: &ChangeBy) -> (u64, u64) {
    let sums = by.segments.iter().fold((0, 0), |sums, it| (sums.0 + it.now, sums.1 + it.before));
    (sums.0.cast_unsigned(), sums.1.cast_unsigned())
}

/// By how much the segment that stands out most changed more than it would have, had all changed alike.
fn excess((now, before): &(u64, u64), by: &ChangeBy) -> f64 {
    let ratio = if *before > 0 { *now as f64 / *before as f64 } else { 0.0 };
    let of = |it: &SegmentChange| (it.now as f64 - it.before as f64 * ratio).abs();
    by.segments.iter().map(of).fold(0.0, f64::max)
}

impl Asker<'_> {
    async fn people(&self, ends: Ends, filter: Filter) -> Result<u64, BusinessError> {
        Ok(self.counted(ends, filter, true).await?.1)
    }

    /// People with such events, each in one segment.
    async fn segments(
        &self,
        ends: Ends,
        filter: Filter,
        column: Dimension,
    ) -> Result<Vec<(String, u64)>, BusinessError> {
        let field = Field::Dimension(column);
        let ask = AskFunnel {
            span: self.span(ends),
            steps: vec![filter],
            window_ms: 0,
            rules: FunnelRules::default(),
            breakdown: Some(FunnelBreakdown { field, touch: Touch::First, limit: BREAKDOWN_MAX }),
        };
        let groups = self.queries.funnel(ask).await?.groups;
        let segments = groups.into_iter().filter_map(|group| {
            let people = group.steps.first().map_or(0, |step| step.subjects);
            match group.group {
                Group::All => None,
                Group::NotSet => Some(("not known".to_owned(), people)),
                Group::Text(text) => Some((text, people)),
                Group::Other => Some((OTHERS.to_owned(), people)),
            }
        });
        Ok(segments.collect())
    }
}

/// The changes of segments, those that make most of the change in its direction first. Segments with fewer than five
/// people in a week are put together, with the smallest other ones where they are still so few.
pub(crate) fn contributions(now: Vec<(String, u64)>, before: Vec<(String, u64)>) -> Vec<SegmentChange> {
    let mut by_segment: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (segment, people) in now {
        by_segment.entry(segment).or_default().0 += people;
    }
    for (segment, people) in before {
        by_segment.entry(segment).or_default().1 += people;
    }
    let is_few = |people: u64| (1..SEGMENT_MIN).contains(&people);
    let mut others = by_segment.remove(OTHERS).unwrap_or_default();
    let mut rest: Vec<(String, (u64, u64))> = by_segment.into_iter().collect();
    // The largest last.
    rest.sort_by(|(a, left), (b, right)| (left.0 + left.1, b).cmp(&(right.0 + right.1, a)));
    let (small, mut rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(_, (now, before))| is_few(*now) || is_few(*before));
    for (_, (now, before)) in small {
        others = (others.0 + now, others.1 + before);
    }
    while (is_few(others.0) || is_few(others.1)) && !rest.is_empty() {
        let (_, (now, before)) = rest.remove(0);
        others = (others.0 + now, others.1 + before);
    }
    if others != (0, 0) {
        rest.push((OTHERS.to_owned(), others));
    }
    let total: i64 = rest.iter().map(|(_, (now, before))| *now as i64 - *before as i64).sum();
    let segments = rest.into_iter().map(|(segment, (now, before))| SegmentChange {
        segment,
        now: now as i64,
        before: before as i64,
    });
    let mut segments: Vec<SegmentChange> = segments.filter(|it| (it.now, it.before) != (0, 0)).collect();
    segments.sort_by_key(|it| std::cmp::Reverse(it.delta() * if total < 0 { -1 } else { 1 }));
    segments
}

/// By how much monthly recurring revenue changed in a week, by what made it; none if that is noise.
///
/// Its variance is that of movements of which those of a kind are equally large.
pub(crate) fn revenue_change(period: &RevenuePeriod) -> Option<Change> {
    let kinds = [
        ("new", period.new, 1),
        ("expansion", period.expansion, 1),
        ("reactivation", period.reactivation, 1),
        ("contraction", period.contraction, -1),
        ("churned", period.churn, -1),
    ];
    let movements: i64 = kinds.iter().map(|(_, moved, _)| moved.movements).sum();
    let square = |amount: i64, count: i64| (amount as f64).powi(2) / count.max(1) as f64;
    let variance: f64 = kinds.iter().map(|(_, moved, _)| square(moved.amount_minor, moved.movements)).sum();
    let (before, now) = (period.start.mrr_minor, period.end.mrr_minor);
    let moved: i64 = kinds.iter().map(|(_, moved, sign)| sign * moved.amount_minor).sum();
    let z = if variance > 0.0 { (moved as f64).abs() / variance.sqrt() } else { 0.0 };
    if movements < PEOPLE_MIN as i64 || z < Z_MIN {
        return None;
    }
    let part = |segment: &str, delta: i64| SegmentChange {
        segment: segment.to_owned(),
        now: delta.max(0),
        before: (-delta).max(0),
    };
    let mut segments: Vec<SegmentChange> =
        kinds.iter().map(|(kind, moved, sign)| part(kind, sign * moved.amount_minor)).collect();
    segments.push(part("exchange rates", now - before - moved));
    segments.retain(|it| it.delta() != 0);
    segments.sort_by_key(|it| std::cmp::Reverse(it.delta() * if now < before { -1 } else { 1 }));
    let by = vec![ChangeBy { dimension: "movement", segments }];
    Some(Change { key: "monthly_recurring_revenue", now, before, z, currency: None, by })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::revenue::metrics::{Moved, Standing};

    #[test]
    fn noise_and_small_numbers_are_no_change() {
        assert_eq!(z_of(100, 100), None);
        // 3 standard deviations of 242 people are 46.7.
        assert_eq!(z_of(98, 144), None);
        assert!(z_of(97, 145).is_some() && z_of(145, 97).is_some());
        assert_eq!(z_of(19, 0), None);
        assert!(z_of(20, 0).is_some());
        assert_eq!(z_of(0, 0), None);
    }

    fn segments(of: &[(&str, u64)]) -> Vec<(String, u64)> {
        of.iter().map(|(segment, people)| ((*segment).to_owned(), *people)).collect()
    }

    #[test]
    fn segments_are_ordered_by_what_they_make_of_the_change() {
        let now = segments(&[("DE", 40), ("NL", 100), ("FR", 3), ("US", 60)]);
        let before = segments(&[("DE", 120), ("NL", 110), ("SE", 4), ("US", 40)]);
        let found = contributions(now, before);
        let found: Vec<_> =
            found.iter().map(|it| (it.segment.as_str(), it.now, it.before, it.delta())).collect();
        // Three and four are too few: the next smallest goes with them.
        assert_eq!(found, [("DE", 40, 120, -80), ("NL", 100, 110, -10), ("others", 63, 44, 19)]);
    }

    proptest! {
        #[test]
        fn segments_add_up_and_show_nobody(
            now in proptest::collection::vec(("[a-f]", 0_u64..30), 0..12),
            before in proptest::collection::vec(("[a-f]|others", 0_u64..30), 0..12),
        ) {
            let sum = |of: &[(String, u64)]| of.iter().map(|(_, people)| *people as i64).sum::<i64>();
            let (all_now, all_before) = (sum(&now), sum(&before));
            let found = contributions(now, before);
            prop_assert_eq!(found.iter().map(|it| it.now).sum::<i64>(), all_now);
            prop_assert_eq!(found.iter().map(|it| it.before).sum::<i64>(), all_before);
            prop_assert_eq!(found.iter().map(SegmentChange::delta).sum::<i64>(), all_now - all_before);
            let is_shown = |people: i64| people == 0 || people >= SEGMENT_MIN as i64;
            prop_assert!(found.len() < 2 || found.iter().all(|it| is_shown(it.now) && is_shown(it.before)));
            let mut names: Vec<_> = found.iter().map(|it| &it.segment).collect();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), found.len());
        }

        #[test]
        fn movements_add_up_to_the_change_of_revenue(
            amounts in proptest::collection::vec((0_i64..100_000, 1_i64..40), 5),
            start in 0_i64..1_000_000,
            fx_minor in -1_000_i64..1_000,
        ) {
            let moved = |at: usize| Moved { amount_minor: amounts[at].0, movements: amounts[at].1 };
            let gained = amounts[0].0 + amounts[1].0 + amounts[2].0 - amounts[3].0 - amounts[4].0;
            let period = RevenuePeriod {
                start: Standing { mrr_minor: start, customers: 0 },
                end: Standing { mrr_minor: start + gained + fx_minor, customers: 0 },
                new: moved(0),
                expansion: moved(1),
                reactivation: moved(2),
                contraction: moved(3),
                churn: moved(4),
                fx_minor,
                ..RevenuePeriod::default()
            };
            if let Some(change) = revenue_change(&period) {
                let parts: i64 = change.by[0].segments.iter().map(SegmentChange::delta).sum();
                prop_assert_eq!(parts, change.now - change.before);
                prop_assert!(change.z >= Z_MIN);
            }
        }
    }

    #[test]
    fn revenue_changes_by_more_than_its_movements_scatter() {
        let moved = |amount_minor, movements| Moved { amount_minor, movements };
        let level = |mrr_minor| Standing { mrr_minor, customers: 0 };
        let period = RevenuePeriod {
            start: level(100_000),
            end: level(126_000),
            new: moved(30_000, 30),
            churn: moved(4_000, 4),
            ..RevenuePeriod::default()
        };
        let change = revenue_change(&period).unwrap();
        assert_eq!((change.now, change.before), (126_000, 100_000));
        let parts: Vec<_> =
            change.by[0].segments.iter().map(|it| (it.segment.as_str(), it.delta())).collect();
        assert_eq!(parts, [("new", 30_000), ("churned", -4_000)]);
        // As much lost as won, or by few.
        assert_eq!(revenue_change(&RevenuePeriod { churn: moved(28_000, 28), ..period }), None);
        assert_eq!(revenue_change(&RevenuePeriod { new: moved(30_000, 10), ..period }), None);
    }
}
