//! Columns counted as a section of a rollup.

use std::ops::Range;

use crate::columns::Columns;
use crate::rollup::{By, Section, SectionBuilder};

/// Counts events by the stretches between `edges`, in microseconds since 1970 UTC; only those in `holes`, if given,
/// which are sorted and apart.
pub(crate) fn count_columns(
    columns: &Columns,
    by: By,
    edges: &[i64],
    holes: Option<&[Range<i64>]>,
    has_totals: bool,
) -> Section {
    let mut builder = SectionBuilder::new(by, edges.len().saturating_sub(1), usize::MAX, has_totals);
    let names: Vec<u16> = columns.name_dictionary.iter().map(|name| builder.name_code(name)).collect();
    let text = by.map(|dimension| columns.text(dimension));
    let texts: Vec<u16> =
        text.iter().flat_map(|text| text.dictionary.iter()).map(|text| builder.text_code(text)).collect();
    // Events of a subject ascend, so the next one is mostly where the last one was.
    let mut here = (0, 0..0);
    for (subject, bounds) in columns.subjects.iter().zip(columns.offsets.windows(2)) {
        let &[start, stop] = bounds else { continue };
        for row in start as usize..stop as usize {
            let micros = columns.time_ms(row) * 1000;
            if !here.1.contains(&micros) {
                let after = edges.partition_point(|edge| *edge <= micros);
                let (Some(before), Some(end)) = (after.checked_sub(1), edges.get(after)) else { continue };
                here = (before, edges.get(before).copied().unwrap_or(*end)..*end);
            }
            if let Some(holes) = holes {
                let at = holes.partition_point(|hole| hole.end <= micros);
                if !holes.get(at).is_some_and(|hole| hole.contains(&micros)) {
                    continue;
                }
            }
            let name = columns.names.get(row).and_then(|code| names.get(usize::from(*code)));
            let code = text.map_or(0, |text| texts.get(usize::from(text.code(row))).copied().unwrap_or(0));
            if let Some(name) = name {
                builder.push(*subject, here.0, *name, code);
            }
        }
    }
    let (head, blocks) = builder.finish();
    Section { edges: edges.to_vec(), head, blocks }
}
