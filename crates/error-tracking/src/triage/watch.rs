//! Whether so many events or subjects came within some minutes.

use std::collections::BTreeMap;

use super::Counted;

/// What an issue has received in the last minutes, as far as its condition needs to know.
///
/// Of events it keeps how many came in each minute; of subjects in which minute each was last seen. Minutes are whole
/// ones of UTC since 1970, of the time of receipt, which does not run backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    counted: Counted,
    at_least: u64,
    minutes: i64,
    /// By minute or by subject: the minute, and how many events.
    rows: BTreeMap<i64, (i64, i64)>,
    /// What was added to the rows: keys that have to be written.
    added: BTreeMap<i64, (i64, i64)>,
}

impl Watch {
    pub(crate) fn new(counted: Counted, at_least: u64, minutes: u32) -> Self {
        Self { counted, at_least, minutes: i64::from(minutes), rows: BTreeMap::new(), added: BTreeMap::new() }
    }

    /// Adds what was kept of earlier events.
    pub(crate) fn keep(&mut self, key: i64, minute: i64, events: i64) {
        self.rows.insert(key, (minute, events));
    }

    /// Adds a new event; whether it makes the number full.
    pub(crate) fn add(&mut self, minute: i64, subject: Option<i64>) -> bool {
        let key = match self.counted {
            Counted::Events => Some(minute),
            Counted::Subjects => subject,
        };
        let Some(key) = key else { return false };
        for rows in [&mut self.rows, &mut self.added] {
            let row = rows.entry(key).or_insert((minute, 0));
            row.0 = row.0.max(minute);
            row.1 += 1;
        }
        let within = self.rows.values().filter(|(of_row, _)| *of_row > minute - self.minutes);
        let count: i64 = match self.counted {
            Counted::Events => within.map(|(_, events)| events).sum(),
            Counted::Subjects => within.map(|_| 1).sum(),
        };
        u64::try_from(count).unwrap_or(0) >= self.at_least
    }

    /// Key, minute and number of events of the rows that changed and still matter.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (i64, i64, i64)> + '_ {
        let oldest = self.oldest_minute();
        let kept = self.added.iter().filter(move |(_, (minute, _))| *minute >= oldest);
        kept.map(|(key, (minute, events))| (*key, *minute, *events))
    }

    /// The first minute that can still matter to a later event.
    pub(crate) fn oldest_minute(&self) -> i64 {
        let newest = self.rows.values().map(|(minute, _)| *minute).max().unwrap_or(0);
        newest - self.minutes + 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_count_within_the_minutes_only() {
        let mut watch = Watch::new(Counted::Events, 3, 10);
        assert!(!watch.add(100, None));
        assert!(!watch.add(105, None));
        // The first one is ten minutes old.
        assert!(!watch.add(110, None));
        assert!(watch.add(111, None));
        assert_eq!(watch.changed().collect::<Vec<_>>(), [(105, 105, 1), (110, 110, 1), (111, 111, 1)]);
        assert_eq!(watch.oldest_minute(), 102);
    }

    #[test]
    fn a_subject_counts_once() {
        let mut watch = Watch::new(Counted::Subjects, 2, 5);
        watch.keep(7, 100, 4);
        assert!(!watch.add(103, Some(7)));
        assert!(!watch.add(103, None));
        // The other one is seen 5 minutes after the first.
        assert!(!watch.add(108, Some(8)));
        assert!(watch.add(108, Some(7)));
        assert_eq!(watch.changed().collect::<Vec<_>>(), [(7, 108, 2), (8, 108, 1)]);
    }

    proptest! {
        #[test]
        fn it_is_full_exactly_when_a_window_holds_enough(
            steps in proptest::collection::vec((0..4_i64, 0..5_i64), 1..40),
            at_least in 1..6_u64,
            minutes in 1..6_u32,
            cut in 0..40_usize,
            counts_subjects in any::<bool>(),
        ) {
            let counted = if counts_subjects { Counted::Subjects } else { Counted::Events };
            let mut minute = 1_000;
            let mut seen: Vec<(i64, i64)> = Vec::new();
            let mut watch = Watch::new(counted, at_least, minutes);
            for (index, (step, subject)) in steps.into_iter().enumerate() {
                if index == cut {
                    // As between two batches: what is kept is written and read again.
                    let mut next = Watch::new(counted, at_least, minutes);
                    for (key, (minute, events)) in &watch.rows {
                        if *minute >= watch.oldest_minute() {
                            next.keep(*key, *minute, *events);
                        }
                    }
                    watch = next;
                }
                minute += step;
                seen.push((minute, subject));
                let within = seen.iter().filter(|(at, _)| *at > minute - i64::from(minutes));
                let expected = match counted {
                    Counted::Events => within.count(),
                    Counted::Subjects => {
                        within.map(|(_, subject)| *subject).collect::<std::collections::BTreeSet<_>>().len()
                    }
                };
                prop_assert_eq!(watch.add(minute, Some(subject)), expected as u64 >= at_least);
            }
        }
    }
}
