//! Who takes up what, and how long after they came.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::quantile::median;
use crate::kernel::subject_set::SubjectSet;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, run};

/// Of the subjects that came in each period, how many have used each text of a field, and how long did it take them?
///
/// A subject comes with its first seen event, and takes a text up with its first use of it from then on; both are looked
/// for in all segments. Subjects that were never seen, or came before the segments begin, count nowhere.
#[derive(Clone, Debug)]
pub struct AdoptionQuery {
    /// Events that a subject is seen by.
    pub seen: Filter,
    /// Events that use a text.
    pub used: Filter,
    /// The field whose texts are used; events without a text use none.
    pub field: Field,
    /// When first uses lie that are counted as adopters, in microseconds since 1970 UTC.
    pub uses_micros: Range<i64>,
    /// The periods by whose first seen events cohorts are made.
    pub cohorts: Buckets,
    /// Subjects that came before the segments begin, if these do not hold everything.
    pub known: Option<Arc<SubjectSet>>,
    /// How many texts are answered at most: those with the most users, equals by text.
    pub limit: usize,
}

/// Answer of an [`AdoptionQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptionAnswer {
    /// The start of each cohort's period in microseconds since 1970 UTC, and how many subjects came in it.
    pub cohorts: Vec<(i64, u64)>,
    /// The texts.
    pub items: Vec<AdoptionItem>,
}

/// How a text was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptionItem {
    /// The text.
    pub text: String,
    /// Subjects that came in the segments and used it.
    pub users: u64,
    /// Subjects whose first use lies in the time of the question.
    pub adopters: u64,
    /// The median time in milliseconds from their first seen event to their first use, by nearest rank; none without any.
    pub median_ms: Option<i64>,
    /// By cohort, how many of its subjects used it.
    pub by_cohort: Vec<u64>,
}

/// Answers an [`AdoptionQuery`].
pub fn adoption(
    query: &AdoptionQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<AdoptionAnswer, QueryError> {
    Ok(run(&Adoption::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`AdoptionQuery`].
pub struct Adoption<'a> {
    query: &'a AdoptionQuery,
    seen: Plan<'a>,
    used: Plan<'a>,
    groups: Groups,
}

impl<'a> Adoption<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a AdoptionQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        let uses = Buckets::try_new(vec![query.uses_micros.start, query.uses_micros.end])?;
        let seen = Plan::new(&[&query.seen], &query.cohorts, segments);
        let used = Plan::new(&[&query.used], &uses, segments);
        let groups = Groups::new(query.field.clone(), &used.segments);
        Ok(Self { query, seen, used, groups })
    }
}

/// The region of a time that lies in the only bucket.
const IN_USES: u32 = 1;

/// What was read for an [`Adoption`] from some subjects.
#[derive(Clone, Debug)]
pub struct AdoptionPart {
    /// Subjects by region of the cohorts.
    cohorts: Vec<u64>,
    /// Subjects that ever used a text, by its number and the region of the cohorts.
    users: HashMap<(u32, u32), u64>,
    /// Milliseconds that it took each adopter, by the number of the text.
    took: HashMap<u32, Vec<i64>>,
}

impl Partial for AdoptionPart {
    fn merge(&mut self, later: Self) {
        self.cohorts.iter_mut().zip(later.cohorts).for_each(|(into, from)| *into += from);
        for (key, users) in later.users {
            *self.users.entry(key).or_default() += users;
        }
        for (number, took) in later.took {
            self.took.entry(number).or_default().extend(took);
        }
    }
}

impl Kernel for Adoption<'_> {
    type Partial = AdoptionPart;
    type Answer = AdoptionAnswer;

    fn segments(&self) -> &[&Columns] {
        &self.seen.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<AdoptionPart, Cancelled> {
        // Those that were seen, by their place in the range.
        let range = self.seen.clamp(subjects);
        let mut seen: Vec<Option<(i64, u32)>> = vec![None; range.len()];
        self.seen.walk(Order::BySegment, range.clone(), cancel, |local, runs| {
            if self.query.known.as_ref().is_some_and(|known| known.contains(range.start + local)) {
                return;
            }
            self.seen.events(range.start + local, runs, |event| {
                let own = (event.time_ms(), event.region);
                let known = &mut seen[local as usize];
                *known = Some(known.map_or(own, |known| known.min(own)));
                // A run is in the order of time.
                false
            });
        })?;
        let first = self.used.clamp(range.clone()).start;
        let mut uses: HashMap<(u32, u32), (i64, u32)> = HashMap::new();
        self.used.walk(Order::BySegment, range.clone(), cancel, |local, runs| {
            let Some((came, _)) = seen.get((first + local - range.start) as usize).copied().flatten() else {
                return;
            };
            self.used.events(first + local, runs, |event| {
                let (number, at) = (self.groups.of(event.segment, event.columns, event.row), event.time_ms());
                if number != 0 && at >= came {
                    let known = uses.entry((first + local, number)).or_insert((at, event.region));
                    *known = (*known).min((at, event.region));
                }
                true
            });
        })?;
        let mut part = AdoptionPart {
            cohorts: vec![0; self.query.cohorts.len() + 2],
            users: HashMap::new(),
            took: HashMap::new(),
        };
        for (_, region) in seen.iter().flatten() {
            part.cohorts[*region as usize] += 1;
        }
        for ((subject, number), (at, region)) in uses {
            let Some((came, cohort)) = seen[(subject - range.start) as usize] else { continue };
            *part.users.entry((number, cohort)).or_default() += 1;
            if region == IN_USES {
                part.took.entry(number).or_default().push(at - came);
            }
        }
        Ok(part)
    }

    fn finish(&self, mut partial: AdoptionPart, _threads: usize) -> AdoptionAnswer {
        let cohorts = &self.query.cohorts;
        let mut items: HashMap<u32, AdoptionItem> = HashMap::new();
        for ((number, region), users) in partial.users {
            let item = items.entry(number).or_insert_with(|| {
                let took = partial.took.entry(number).or_default();
                AdoptionItem {
                    text: self.groups.text(number),
                    users: 0,
                    adopters: took.len() as u64,
                    median_ms: median(took),
                    by_cohort: vec![0; cohorts.len()],
                }
            });
            item.users += users;
            // Region 0 is before the first cohort.
            let cohort = (region as usize).checked_sub(1).and_then(|place| item.by_cohort.get_mut(place));
            if let Some(of_cohort) = cohort {
                *of_cohort += users;
            }
        }
        let mut items: Vec<AdoptionItem> = items.into_values().collect();
        items.sort_by(|a, b| (Reverse(a.users), &a.text).cmp(&(Reverse(b.users), &b.text)));
        items.truncate(self.query.limit);
        let subjects = partial.cohorts.iter().skip(1);
        let starts = cohorts.starts_micros().iter().take(cohorts.len());
        AdoptionAnswer { cohorts: starts.copied().zip(subjects.copied()).collect(), items }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::columns::Dimension;
    use crate::kernel::testing::{Case, Random, answer, holds, size, text_of};

    fn twin(case: &Case, query: &AdoptionQuery) -> AdoptionAnswer {
        let mut cohorts: Vec<(i64, u64)> =
            (0..case.buckets()).map(|bucket| (case.starts_micros[bucket], 0)).collect();
        let mut found: BTreeMap<&str, (AdoptionItem, Vec<i64>)> = BTreeMap::new();
        for rows in case.rows_by_subject() {
            let Some(came) = rows.iter().find(|row| holds(&query.seen, row)) else { continue };
            if query.known.as_ref().is_some_and(|known| known.contains(came.subject)) {
                continue;
            }
            let cohort = case.bucket(came);
            if let Some(cohort) = cohort {
                cohorts[cohort].1 += 1;
            }
            let mut known = BTreeSet::new();
            for row in rows.iter().filter(|row| holds(&query.used, row) && row.time_ms() >= came.time_ms()) {
                let Some(text) = text_of(&query.field, row).filter(|text| known.insert(*text)) else {
                    continue;
                };
                let (item, took) = found.entry(text).or_insert_with(|| {
                    let by_cohort = vec![0; case.buckets()];
                    let text = text.to_owned();
                    (AdoptionItem { text, users: 0, adopters: 0, median_ms: None, by_cohort }, Vec::new())
                });
                item.users += 1;
                if let Some(cohort) = cohort {
                    item.by_cohort[cohort] += 1;
                }
                if query.uses_micros.contains(&(row.time_ms() * 1000)) {
                    item.adopters += 1;
                    took.push(row.time_ms() - came.time_ms());
                }
            }
        }
        let mut items: Vec<AdoptionItem> = found
            .into_values()
            .map(|(item, mut took)| {
                took.sort_unstable();
                let middle = took.len().div_ceil(2);
                AdoptionItem { median_ms: middle.checked_sub(1).map(|at| took[at]), ..item }
            })
            .collect();
        items.sort_by_key(|item| Reverse(item.users));
        items.truncate(query.limit);
        AdoptionAnswer { cohorts, items }
    }

    #[test]
    fn who_takes_up_what_is_that_of_a_plain_look() {
        let mut random = Random::new(41);
        let mut adopted = 0;
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let from = random.range::<i64>(-300, 1_500) * 1_000;
            let known = (0..10).filter(|_| random.range::<u8>(0, 4) == 0).collect();
            let query = AdoptionQuery {
                seen: random.loose_filter(),
                used: random.loose_filter(),
                field: random.pick(&[Field::Name, Field::Dimension(Dimension::Course), Field::Prop(size())]),
                uses_micros: from..from + random.range::<i64>(1, 1_500) * 1_000,
                cohorts: Buckets::try_new(case.starts_micros.clone()).unwrap(),
                known: random.pick(&[true, false]).then(|| Arc::new(known)),
                limit: random.range(1, 6),
            };
            let segments = case.segments();
            let kernel = Adoption::try_new(&query, &segments).unwrap();
            let expected = twin(&case, &query);
            adopted += expected.items.iter().filter(|item| item.adopters > 0).count();
            assert_eq!(answer(&mut random, &kernel), expected, "{query:?}");
        }
        assert!(adopted > 1_000, "{adopted}");
    }
}
