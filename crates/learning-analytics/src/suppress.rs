//! Which counts of people may be shown, so that nobody is found by looking at a table, or by subtracting its numbers from
//! each other or from the total. No I/O.
//!
//! A group of fewer than [`GROUP_MIN`] people is not shown. Hiding it alone would not do, as the total less the others is
//! the one that is hidden: another group has to be hidden with it (complementary suppression; Hundepool et al., "Statistical
//! Disclosure Control", 2012, chapter 4). Groups that are hidden are one group together with their neighbour here, which
//! tells as much as hiding both, and has a count that may be shown. Everything that is shown is then a sum of groups that
//! have nobody, or at least [`GROUP_MIN`] people; so is every sum and every difference of groups that lie in each other.

use std::ops::Range;

/// The fewest people of a group that is shown.
pub const GROUP_MIN: u64 = 5;

/// Whether nobody is to be found in a group: it is empty, or large enough.
#[must_use]
pub fn is_shown(count: u64) -> bool {
    count == 0 || count >= GROUP_MIN
}

/// Whether all of some counts can be shown; if not, none of them is.
#[must_use]
pub fn are_shown(counts: impl IntoIterator<Item = u64>) -> bool {
    counts.into_iter().all(is_shown)
}

/// Rows that stand next to each other in one order, put together to groups that may be shown: a row goes with those after
/// it until they are enough, and what is left at the end goes with those before. All rows are in a group, or none is, as
/// there are too few people in all.
///
/// Which rows are together depends on no count beyond theirs, so that it tells no more than that one of them is small.
#[must_use]
pub fn groups(rows: &[u64]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut start, mut people) = (0, 0);
    for (row, count) in rows.iter().enumerate() {
        people += count;
        if people >= GROUP_MIN {
            groups.push(start..row + 1);
            (start, people) = (row + 1, 0);
        }
    }
    if let Some(last) = groups.last_mut() {
        last.end = rows.len();
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Groups as first row, row behind the last, and people.
    type View = Vec<(usize, usize, u64)>;

    fn tables(rows: usize, most: u64) -> Vec<Vec<u64>> {
        let mut tables = vec![Vec::new()];
        for _ in 0..rows {
            let longer = |table: &Vec<u64>| {
                let table = table.clone();
                (0..=most).map(move |count| [table.clone(), vec![count]].concat())
            };
            tables = tables.iter().flat_map(longer).collect();
        }
        tables
    }

    #[test]
    fn small_rows_go_with_their_neighbours() {
        assert_eq!(groups(&[7, 5, 9]), [0..1, 1..2, 2..3]);
        assert_eq!(groups(&[7, 3, 9]), [0..1, 1..3]);
        assert_eq!(groups(&[7, 9, 4]), [0..1, 1..3]);
        assert_eq!(groups(&[1, 1, 9, 0]), std::iter::once(0..4).collect::<Vec<_>>());
        assert_eq!(groups(&[2, 2]), []);
        assert_eq!(groups(&[]), []);
    }

    /// Somebody who knows how rows are put together looks at the groups, their counts and the total, and tries every table.
    #[test]
    fn every_row_that_is_hidden_could_have_another_count() {
        for rows in 1..=4 {
            let mut by_view: BTreeMap<(View, u64), Vec<Vec<u64>>> = BTreeMap::new();
            // All tables of totals up to this are among these.
            let most = 14;
            for table in tables(rows, most).into_iter().filter(|table| table.iter().sum::<u64>() <= most) {
                let shown = groups(&table).into_iter().map(|group| {
                    let people = table[group.clone()].iter().sum::<u64>();
                    assert!(people >= GROUP_MIN, "{table:?}");
                    (group.start, group.end, people)
                });
                by_view.entry((shown.collect(), table.iter().sum())).or_default().push(table);
            }
            for ((shown, total), tables) in by_view {
                for row in 0..rows {
                    let is_alone = shown.iter().any(|(start, end, _)| (*start, *end) == (row, row + 1));
                    let counts: BTreeSet<u64> = tables.iter().map(|table| table[row]).collect();
                    // Whoever is told that nobody is there, or that all are in the only row, knew it from the total.
                    let is_known = total == 0 || rows == 1;
                    assert!(is_alone || is_known || counts.len() > 1, "{shown:?} of {total}, row {row}");
                }
            }
        }
    }

    /// The same for a part of each group, such as who completed the course, where the part's total is known.
    #[test]
    fn every_part_that_is_hidden_could_have_another_count() {
        for sizes in tables(3, 8).into_iter().chain(tables(2, 11)) {
            if sizes.iter().any(|size| *size < GROUP_MIN) {
                continue;
            }
            let most = sizes.iter().copied().max().unwrap_or(0);
            let mut by_total: BTreeMap<u64, Vec<Vec<u64>>> = BTreeMap::new();
            for parts in tables(sizes.len(), most) {
                let is_possible = parts.iter().zip(&sizes).all(|(part, size)| part <= size);
                let rests = parts.iter().zip(&sizes).map(|(part, size)| size.saturating_sub(*part));
                if is_possible && !are_shown(parts.iter().copied().chain(rests)) {
                    by_total.entry(parts.iter().sum()).or_default().push(parts);
                }
            }
            for (total, tables) in by_total {
                for row in 0..sizes.len() {
                    let counts: BTreeSet<u64> = tables.iter().map(|parts| parts[row]).collect();
                    assert!(counts.len() > 1, "{total} of {sizes:?}, row {row}: {tables:?}");
                }
            }
        }
    }
}
