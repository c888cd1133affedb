//! Daily, weekly and monthly active subjects.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::activity::{Activity, set_bits};
use crate::kernel::bit_counts::BitCounts;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::plan::Plan;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// Days of the rolling windows: DAU, WAU and the two MAU.
pub(crate) const WINDOWS: [usize; 4] = [1, 7, 28, 30];

/// How many subjects were active in the days up to each day?
///
/// A subject is active on a day on which it has an event that the filter selects. The window of `n` days of a day
/// is that day and the `n - 1` buckets before it, whatever their lengths.
#[derive(Clone, Debug)]
pub struct ActiveQuery {
    /// Events that count as activity.
    pub filter: Filter,
    /// The days, those that only lead in included.
    pub days: Buckets,
    /// Days at the start that fill the windows and have no answer of their own; 29 fill the longest.
    pub lead_days: usize,
}

/// Subjects that were active up to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveDay {
    /// Start of the day in microseconds since 1970 UTC.
    pub start_micros: i64,
    /// Subjects active on the day: DAU.
    pub daily: u64,
    /// Subjects active in its 7 days: WAU.
    pub weekly: u64,
    /// Subjects active in its 28 days.
    pub monthly_28: u64,
    /// Subjects active in its 30 days.
    pub monthly_30: u64,
}

impl ActiveDay {
    /// Stickiness: the share of the subjects of 28 days who came on the day; none without subjects.
    #[must_use]
    pub fn stickiness_28(&self) -> Option<f64> {
        (self.monthly_28 > 0).then(|| self.daily as f64 / self.monthly_28 as f64)
    }

    /// Stickiness: the share of the subjects of 30 days who came on the day; none without subjects.
    #[must_use]
    pub fn stickiness_30(&self) -> Option<f64> {
        (self.monthly_30 > 0).then(|| self.daily as f64 / self.monthly_30 as f64)
    }
}

/// Answer of an [`ActiveQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveAnswer {
    /// One item per answered day.
    pub days: Vec<ActiveDay>,
    /// Histogram of stickiness: item `n` counts the subjects that were active on exactly `n` answered days.
    ///
    /// Subjects that were active on none of them are not counted: item 0 is 0.
    pub subjects_by_active_days: Vec<u64>,
}

/// Answers an [`ActiveQuery`].
pub fn active(
    query: &ActiveQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<ActiveAnswer, QueryError> {
    Ok(run(&Active::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`ActiveQuery`].
pub struct Active<'a> {
    query: &'a ActiveQuery,
    plan: Plan<'a>,
}

impl<'a> Active<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a ActiveQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within("number of lead days", query.lead_days, 0, query.days.len() as u64 - 1)?;
        Ok(Self { query, plan: Plan::new(&[&query.filter], &query.days, segments) })
    }
}

/// What was read for an [`Active`] from some subjects.
#[derive(Clone, Debug)]
pub struct ActivePart {
    /// By day, the growth of each window's number over the day before.
    growth: Vec<[i64; WINDOWS.len()]>,
    by_active_days: Vec<u64>,
}

impl Partial for ActivePart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.growth.iter_mut().flatten().zip(later.growth.into_iter().flatten()) {
            *into += from;
        }
        for (into, from) in self.by_active_days.iter_mut().zip(later.by_active_days) {
            *into += from;
        }
    }
}

impl Kernel for Active<'_> {
    type Partial = ActivePart;
    type Answer = ActiveAnswer;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<ActivePart, Cancelled> {
        let (days, lead) = (self.query.days.len(), self.query.lead_days);
        let activity = Activity::read(&self.plan, 1, days, subjects, cancel)?;
        let mut growth = vec![[0; WINDOWS.len()]; days + 1];
        let mut by_active_days = vec![0; days - lead + 1];
        if let Some(words) = activity.single_words() {
            count_words(words, lead, &mut growth, &mut by_active_days);
            return Ok(ActivePart { growth, by_active_days });
        }
        for bits in activity.subjects() {
            let (mut answered, mut before) = (0, None);
            for day in set_bits(bits).filter(|region| (1..=days).contains(region)).map(|region| region - 1) {
                answered += usize::from(day >= lead);
                for (window, &length) in WINDOWS.iter().enumerate() {
                    // The subject is in the windows of these days; the day before already put it into some.
                    let from = before.map_or(day, |before: usize| day.max(before + length));
                    growth[from.min(days)][window] += 1;
                    growth[(day + length).min(days)][window] -= 1;
                }
                before = Some(day);
            }
            by_active_days[answered] += u64::from(answered > 0);
        }
        Ok(ActivePart { growth, by_active_days })
    }

    fn finish(&self, partial: ActivePart, _threads: usize) -> ActiveAnswer {
        let mut current = [0_i64; WINDOWS.len()];
        let all =
            self.query.days.starts_micros().iter().zip(&partial.growth).map(|(&start_micros, growth)| {
                for (current, growth) in current.iter_mut().zip(growth) {
                    *current += growth;
                }
                let [daily, weekly, monthly_28, monthly_30] = current.map(i64::unsigned_abs);
                ActiveDay { start_micros, daily, weekly, monthly_28, monthly_30 }
            });
        let days = all.take(self.query.days.len()).skip(self.query.lead_days).collect();
        ActiveAnswer { days, subjects_by_active_days: partial.by_active_days }
    }
}

/// The same for subjects whose days fit one word each: bit `n + 1` is set if the subject was active on day `n`.
fn count_words(words: &[u64], lead: usize, growth: &mut [[i64; WINDOWS.len()]], by_active_days: &mut [u64]) {
    let days = growth.len() - 1;
    let all = u64::MAX >> (u64::BITS as usize - days);
    let mut counts: [BitCounts; WINDOWS.len()] = std::array::from_fn(|_| BitCounts::new());
    for days_active in words.iter().map(|word| word >> 1 & all).filter(|days_active| *days_active != 0) {
        let two = days_active | days_active << 1;
        let four = two | two << 2;
        let eight = four | four << 4;
        let sixteen = eight | eight << 8;
        // Bit `n` of each: whether a day of the window that ends with day `n` is active. As in `WINDOWS`.
        let windows = [days_active, four | four << 3, sixteen | sixteen << 12, sixteen | sixteen << 14];
        counts.iter_mut().zip(windows).for_each(|(counts, window)| counts.add(window));
        let answered = (days_active >> lead).count_ones() as usize;
        by_active_days[answered] += u64::from(answered > 0);
    }
    for (window, counts) in counts.into_iter().enumerate() {
        let mut before = 0;
        for (growth, count) in growth.iter_mut().zip(counts.finish()).take(days) {
            let count = count.cast_signed();
            growth[window] = count - before;
            before = count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kernel::testing::{Case, Random, answer, holds};

    fn twin(case: &Case, query: &ActiveQuery) -> ActiveAnswer {
        let events: Vec<(usize, u32)> = case
            .rows_in_order()
            .iter()
            .filter(|row| holds(&query.filter, row))
            .filter_map(|row| case.bucket(row).map(|day| (day, row.subject)))
            .collect();
        let within = |day: usize, length: usize| {
            let held = events.iter().filter(|event| event.0 <= day && day < event.0 + length);
            held.map(|event| event.1).collect::<BTreeSet<_>>().len() as u64
        };
        let answered = query.lead_days..case.buckets();
        let mut histogram = vec![0; answered.len() + 1];
        for subject in 0..10 {
            let days: BTreeSet<_> = events
                .iter()
                .filter(|it| it.1 == subject && answered.contains(&it.0))
                .map(|it| it.0)
                .collect();
            histogram[days.len()] += u64::from(!days.is_empty());
        }
        let days = answered.map(|day| ActiveDay {
            start_micros: case.starts_micros[day],
            daily: within(day, 1),
            weekly: within(day, 7),
            monthly_28: within(day, 28),
            monthly_30: within(day, 30),
        });
        ActiveAnswer { days: days.collect(), subjects_by_active_days: histogram }
    }

    #[test]
    fn rolling_actives_are_those_of_a_plain_count() {
        let mut random = Random::new(5);
        for round in 0..2_500 {
            let mut case = Case::generate(&mut random);
            if round % 2 == 0 {
                // Short days, so that the long windows slide.
                let start = case.starts_micros[0];
                let lengths = (0..random.range(1, 70)).map(|_| random.pick(&[20_000, 23_000, 25_000]));
                let starts = lengths.scan(start, |at, length| Some(std::mem::replace(at, *at + length)));
                case.starts_micros = starts.chain([start + 10_000_000]).collect();
            }
            let days = Buckets::try_new(case.starts_micros.clone()).unwrap();
            let lead_days = random.range(0, days.len() as i64);
            let query = ActiveQuery { filter: random.loose_filter(), days, lead_days };
            let segments = case.segments();
            let kernel = Active::try_new(&query, &segments).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }

    #[test]
    fn stickiness_is_the_share_of_a_month_that_came_on_the_day() {
        let day = ActiveDay { start_micros: 0, daily: 1, weekly: 2, monthly_28: 4, monthly_30: 5 };
        assert_eq!((day.stickiness_28(), day.stickiness_30()), (Some(0.25), Some(0.2)));
        assert_eq!(ActiveDay { daily: 0, monthly_30: 0, ..day }.stickiness_30(), None);
    }
}
