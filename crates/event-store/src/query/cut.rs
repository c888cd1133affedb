//! Columns without what lies outside a stretch of time.

use std::ops::Range;
use std::sync::Arc;

use crate::columns::{Columns, TextColumn, Values};

/// Whether all events lie in a stretch of milliseconds.
pub(crate) fn lies_in(columns: &Columns, ms: &Range<i64>) -> bool {
    ms.start <= columns.base_ms && columns.base_ms + i64::from(columns.span_ms) < ms.end
}

/// The events that lie in a stretch of milliseconds; none if there is none.
pub(crate) fn cut(columns: &Columns, ms: &Range<i64>) -> Option<Columns> {
    let limit = |ms: i64| u64::try_from(ms.saturating_sub(columns.base_ms)).unwrap_or(0);
    let (first, end) = (limit(ms.start), limit(ms.end));
    let mut kept = Vec::new();
    let (mut subjects, mut offsets, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for (subject, bounds) in columns.subjects.iter().zip(columns.offsets.windows(2)) {
        let &[start, stop] = bounds else { continue };
        let (start, stop) = (start as usize, stop as usize);
        let own = columns.times.get(start..stop).unwrap_or_default();
        let from = own.partition_point(|time| u64::from(*time) < first);
        let to = own.partition_point(|time| u64::from(*time) < end);
        if from < to {
            subjects.push(*subject);
            offsets.push(times.len() as u32);
            times.extend_from_slice(own.get(from..to).unwrap_or_default());
            kept.push(start + from..start + to);
        }
    }
    offsets.push(times.len() as u32);
    let earliest = times.iter().min().copied()?;
    times.iter_mut().for_each(|time| *time -= earliest);
    let mut texts: [TextColumn; crate::columns::Dimension::COUNT] = Default::default();
    for (into, text) in texts.iter_mut().zip(&columns.texts) {
        *into =
            TextColumn { codes: gather(&text.codes, &kept).into(), dictionary: Arc::clone(&text.dictionary) };
    }
    Some(Columns {
        subjects: subjects.into(),
        offsets: offsets.into(),
        base_ms: columns.base_ms + i64::from(earliest),
        span_ms: times.iter().max().copied().unwrap_or(0),
        times: times.into(),
        names: gather(&columns.names, &kept).into(),
        name_dictionary: Arc::clone(&columns.name_dictionary),
        texts,
        sessions: gather(&columns.sessions, &kept).into(),
        values: Arc::new(kept_values(&columns.values, &kept).into()),
        by_name: Arc::default(),
        props: columns
            .props
            .iter()
            .map(|(name, column)| (name.clone(), column.pick(kept.iter().cloned().flatten())))
            .collect(),
    })
}

fn kept_values(values: &Values, kept: &[Range<usize>]) -> Vec<f64> {
    let rows = if values.is_empty() { &[] } else { kept };
    rows.iter().cloned().flatten().map(|row| values.get(row)).collect()
}

fn gather<T: Copy>(column: &[T], kept: &[Range<usize>]) -> Vec<T> {
    let mut gathered = Vec::new();
    for rows in kept {
        gathered.extend_from_slice(column.get(rows.clone()).unwrap_or_default());
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Row;

    #[test]
    fn what_is_left_lies_in_the_stretch() {
        let mut with_course = Row::new(3, 50_000, "b");
        with_course.dimensions[0] = Some("algebra");
        let rows =
            [Row::new(1, 10_000, "a"), Row::new(1, 30_000, "b"), Row::new(2, 20_000, "a"), with_course];
        let columns = Columns::from_rows(rows).unwrap();
        let cut = |ms: Range<i64>| {
            let left = super::cut(&columns, &ms)?;
            left.check().unwrap();
            assert!(lies_in(&left, &ms));
            let rows = left
                .rows()
                .map(|row| (row.subject, row.time_micros, row.name.to_owned(), row.dimensions[0].is_some()));
            Some(rows.collect::<Vec<_>>())
        };
        assert_eq!(cut(20..31).unwrap(), [(1, 30_000, "b".into(), false), (2, 20_000, "a".into(), false)]);
        assert_eq!(cut(50..i64::MAX).unwrap(), [(3, 50_000, "b".into(), true)]);
        assert_eq!(cut(i64::MIN..11).unwrap(), [(1, 10_000, "a".into(), false)]);
        assert_eq!(cut(51..99), None);
        assert!(
            lies_in(&columns, &(10..51)) && !lies_in(&columns, &(10..50)) && !lies_in(&columns, &(11..51))
        );
    }
}
