//! Compaction: few segments instead of many, those of a week while it runs, those of a month once it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::merge::{Without, merge};
use crate::segment::SegmentMeta;
use crate::store::upkeep;
use crate::swap::Swap;
use crate::week::{month_of, start_of};
use crate::{Compacted, Embedded, EventStoreError};

/// From this many segments of a week or month on they are merged, however small they are.
const SEGMENTS_MAX: usize = 8;

/// What comes late is merged into its finished month once it is more than this part of it.
const LATE_PART: u64 = 8;

/// How long after its end a month counts as over: most of what comes late has come by then.
const GRACE: Duration = Duration::from_secs(86_400);

/// Segments to merge, and the weeks of the result.
#[derive(Debug, PartialEq)]
struct Plan {
    segments: Vec<SegmentMeta>,
    weeks: (i64, i64),
}

pub(crate) async fn compact(store: &Embedded, project: ProjectId) -> Result<Compacted, EventStoreError> {
    let zone = store.time_zone(project).await?;
    let state = store.state(project);
    let _alone = state.swapping.lock().await;
    let mut compacted = Compacted::default();
    loop {
        store.refresh(project).await?;
        let (generation, segments) = {
            let view = state.view();
            (view.row.generation, Arc::clone(&view.segments))
        };
        let limit = store.inner.limits.segment_events_max;
        let Some(plan) = plan(&segments, store.inner.clock.now(), limit) else { return Ok(compacted) };
        let (inner, zone) = (Arc::clone(&store.inner), zone.clone());
        let merged = plan.segments.clone();
        let add =
            upkeep(move || merge(&inner, project, &merged, Without::Nothing, &zone, plan.weeks)).await?;
        let remove: Vec<_> = plan.segments.iter().map(|segment| segment.id).collect();
        let swap = Swap { generation, add: add.into_iter().collect(), remove, sealed: None };
        swap.make(store, project).await?;
        compacted.merged += swap.remove.len() as u64;
        compacted.segments += swap.add.len() as u64;
    }
}

/// The next segments to merge, the oldest first.
fn plan(segments: &[SegmentMeta], now: Timestamp, events_max: u64) -> Option<Plan> {
    let mut months: BTreeMap<i64, Vec<&SegmentMeta>> = BTreeMap::new();
    for segment in segments {
        months.entry(month_of(segment.week).start).or_default().push(segment);
    }
    for (start, segments) in months {
        let month = month_of(start);
        if start_of(month.end).plus(GRACE) <= now {
            let weeks = (month.start, month.end - month.start);
            if let Some(merged) = worth_merging(segments, true, events_max) {
                return Some(Plan { segments: merged, weeks });
            }
            continue;
        }
        let mut weeks: BTreeMap<i64, Vec<&SegmentMeta>> = BTreeMap::new();
        segments.into_iter().for_each(|segment| weeks.entry(segment.week).or_default().push(segment));
        for (week, segments) in weeks {
            let is_over = start_of(week + 1).plus(GRACE) <= now;
            if let Some(merged) = worth_merging(segments, is_over, events_max) {
                return Some(Plan { segments: merged, weeks: (week, 1) });
            }
        }
    }
    None
}

/// Those of the segments of one week or month that are merged now. What is over becomes one, unless little came late.
/// Before that the smaller ones are merged until a segment is as large as all that is merged with it, so that an event
/// is written again a number of times that grows with the logarithm of their count.
fn worth_merging(
    mut segments: Vec<&SegmentMeta>,
    is_over: bool,
    events_max: u64,
) -> Option<Vec<SegmentMeta>> {
    segments.retain(|segment| segment.count < events_max);
    segments.sort_by_key(|segment| (segment.count, segment.id));
    let (largest, rest) = segments.split_last()?;
    let small: u64 = rest.iter().map(|segment| segment.count).sum();
    let is_due = is_over && small.saturating_mul(LATE_PART) > largest.count;
    if rest.is_empty() || !is_due && segments.len() < SEGMENTS_MAX {
        return None;
    }
    let (mut sum, mut merged) = (0, Vec::new());
    for segment in segments {
        let is_too_large = sum + segment.count > events_max;
        if merged.len() >= 2 && (is_too_large || !is_due && segment.count > sum) {
            break;
        }
        sum += segment.count;
        merged.push(segment.clone());
    }
    (sum <= events_max).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentId;
    use crate::week::week_of;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn segments(of: &[(&str, u64)]) -> Vec<SegmentMeta> {
        let meta = |(index, (day, count)): (usize, &(&str, u64))| SegmentMeta {
            id: SegmentId::from_bytes([u8::try_from(index).unwrap(); 16]),
            week: week_of(at(&format!("{day}T00:00:00Z")).as_micros()),
            week_count: 1,
            first_at: Timestamp::EPOCH,
            last_at: Timestamp::EPOCH,
            count: *count,
            bytes: 0,
            checksum: 0,
            names: Vec::new(),
        };
        of.iter().enumerate().map(meta).collect()
    }

    fn planned(of: &[(&str, u64)], now: &str) -> Option<(Vec<u64>, i64)> {
        let plan = plan(&segments(of), at(&format!("{now}T00:00:00Z")), 1_000_000)?;
        Some((plan.segments.iter().map(|segment| segment.count).collect(), plan.weeks.1))
    }

    #[test]
    fn a_running_week_merges_its_small_segments_and_leaves_the_large_one() {
        let few = [("2026-11-24", 10), ("2026-11-25", 10)];
        assert_eq!(planned(&few, "2026-11-26"), None);
        let mut many = vec![("2026-11-24", 1_000)];
        many.extend([("2026-11-25", 10); 7]);
        assert_eq!(planned(&many, "2026-11-26"), Some((vec![10; 7], 1)));
    }

    #[test]
    fn a_week_that_is_over_becomes_one_and_so_does_a_month() {
        let two = [("2026-11-10", 10), ("2026-11-11", 20)];
        assert_eq!(planned(&two, "2026-11-16"), None);
        assert_eq!(planned(&two, "2026-11-17"), Some((vec![10, 20], 1)));
        let month = [("2026-11-04", 100), ("2026-11-10", 110), ("2026-11-18", 120)];
        assert_eq!(planned(&month, "2026-11-28"), None);
        assert_eq!(planned(&month, "2026-12-01"), Some((vec![100, 110, 120], 4)));
    }

    #[test]
    fn little_that_comes_late_waits_until_it_is_more() {
        assert_eq!(planned(&[("2026-10-04", 1_000), ("2026-10-06", 100)], "2026-12-01"), None);
        let more = [("2026-10-05", 1_000), ("2026-10-06", 100), ("2026-10-07", 50)];
        assert_eq!(planned(&more, "2026-12-01"), Some((vec![50, 100, 1_000], 5)));
    }

    #[test]
    fn no_segment_grows_beyond_the_limit() {
        let large = [("2026-10-05", 900_000), ("2026-10-06", 500_000), ("2026-10-07", 400_000)];
        assert_eq!(planned(&large, "2026-12-01"), Some((vec![400_000, 500_000], 5)));
        assert_eq!(planned(&[("2026-10-05", 900_000), ("2026-10-06", 900_000)], "2026-12-01"), None);
    }
}
