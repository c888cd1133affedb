//! Sessions: what a subject does without a long break.

use std::cmp::Reverse;
use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// The usual longest break within a session, in milliseconds.
pub const GAP_MS: i64 = 30 * 60 * 1000;

/// How many sessions began in each bucket, how long were they, and where did they begin and end?
///
/// A session is a subject's selected events with no gap longer than `gap_ms` from one to the next. It belongs, as
/// a whole, to the bucket of its first event. Its duration is the time from its first to its last event. A bounce
/// is a session of one event; its duration is 0 and counts in the average.
#[derive(Clone, Debug)]
pub struct SessionQuery {
    /// Events that sessions consist of.
    pub filter: Filter,
    /// The stretches of time in which sessions begin.
    pub buckets: Buckets,
    /// The longest gap within a session in milliseconds, at least 0; usually [`GAP_MS`].
    pub gap_ms: i64,
    /// How many names of first and of last events are answered at most.
    pub limit: usize,
}

/// The sessions that began in one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionBucket {
    /// Number of sessions.
    pub sessions: u64,
    /// Number of their events.
    pub events: u64,
    /// Number of sessions of one event.
    pub bounces: u64,
    /// Sum of their durations in milliseconds.
    pub duration_ms: u64,
}

impl SessionBucket {
    /// The average duration in milliseconds; none without sessions.
    #[must_use]
    pub fn average_duration_ms(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.duration_ms as f64 / self.sessions as f64)
    }

    /// The share of sessions that are bounces; none without sessions.
    #[must_use]
    pub fn bounce_rate(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.bounces as f64 / self.sessions as f64)
    }
}

/// Answer of a [`SessionQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAnswer {
    /// One item per bucket.
    pub buckets: Vec<SessionBucket>,
    /// Names of first events with the number of sessions of all buckets, most frequent first, equals by name.
    pub entries: Vec<(String, u64)>,
    /// Names of last events likewise.
    pub exits: Vec<(String, u64)>,
}

/// Answers a [`SessionQuery`].
pub fn session(
    query: &SessionQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<SessionAnswer, QueryError> {
    Ok(run(&Session::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`SessionQuery`].
pub struct Session<'a> {
    query: &'a SessionQuery,
    plan: Plan<'a>,
    names: Groups,
}

impl<'a> Session<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a SessionQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within(
            "gap in milliseconds",
            usize::try_from(query.gap_ms).unwrap_or(usize::MAX),
            0,
            i64::MAX as u64,
        )?;
        let plan = Plan::new(&[&query.filter], &query.buckets, segments);
        let names = Groups::new(Field::Name, &plan.segments);
        Ok(Self { query, plan, names })
    }

    fn ranked(&self, counts: &[u64]) -> Vec<(String, u64)> {
        let named = (0_u32..).zip(counts).filter(|(_, count)| **count > 0);
        let mut named: Vec<_> = named.map(|(number, &count)| (self.names.text(number), count)).collect();
        named.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        named.truncate(self.query.limit);
        named
    }
}

/// What was read for a [`Session`] from some subjects.
#[derive(Clone, Debug)]
pub struct SessionPart {
    buckets: Vec<SessionBucket>,
    /// By number of the name.
    entries: Vec<u64>,
    exits: Vec<u64>,
}

impl SessionPart {
    fn add(&mut self, open: &Open) {
        let Some(bucket) = (open.region as usize).checked_sub(1).and_then(|at| self.buckets.get_mut(at))
        else {
            return;
        };
        bucket.sessions += 1;
        bucket.events += open.events;
        bucket.bounces += u64::from(open.events == 1);
        bucket.duration_ms += open.last_ms.abs_diff(open.first_ms);
        self.entries[open.entry as usize] += 1;
        self.exits[open.exit as usize] += 1;
    }
}

impl Partial for SessionPart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.buckets.iter_mut().zip(later.buckets) {
            into.sessions += from.sessions;
            into.events += from.events;
            into.bounces += from.bounces;
            into.duration_ms += from.duration_ms;
        }
        let names = self.entries.iter_mut().zip(later.entries);
        for (into, from) in names.chain(self.exits.iter_mut().zip(later.exits)) {
            *into += from;
        }
    }
}

/// A session that may go on.
struct Open {
    region: u32,
    events: u64,
    first_ms: i64,
    last_ms: i64,
    entry: u32,
    exit: u32,
}

impl Kernel for Session<'_> {
    type Partial = SessionPart;
    type Answer = SessionAnswer;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<SessionPart, Cancelled> {
        let start = self.plan.clamp(subjects.clone()).start;
        let mut part = SessionPart {
            buckets: vec![SessionBucket::default(); self.query.buckets.len()],
            entries: vec![0; self.names.len()],
            exits: vec![0; self.names.len()],
        };
        self.plan.walk(Order::TogetherInTime, subjects, cancel, |local, runs| {
            let mut open: Option<Open> = None;
            self.plan.events(start + local, runs, |event| {
                let time_ms = event.time_ms();
                let name = self.names.of(event.segment, event.columns, event.row);
                match &mut open {
                    Some(open) if time_ms - open.last_ms <= self.query.gap_ms => {
                        open.events += 1;
                        (open.last_ms, open.exit) = (time_ms, name);
                    }
                    _ => {
                        let next = Open {
                            region: event.region,
                            events: 1,
                            first_ms: time_ms,
                            last_ms: time_ms,
                            entry: name,
                            exit: name,
                        };
                        if let Some(done) = open.replace(next) {
                            part.add(&done);
                        }
                    }
                }
                true
            });
            if let Some(done) = open {
                part.add(&done);
            }
        })?;
        Ok(part)
    }

    fn finish(&self, partial: SessionPart, _threads: usize) -> SessionAnswer {
        let (entries, exits) = (self.ranked(&partial.entries), self.ranked(&partial.exits));
        SessionAnswer { buckets: partial.buckets, entries, exits }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::testing::{Case, Random, answer, holds};

    fn twin(case: &Case, query: &SessionQuery) -> SessionAnswer {
        let mut buckets = vec![SessionBucket::default(); case.buckets()];
        let (mut entries, mut exits) = (BTreeMap::new(), BTreeMap::new());
        for rows in case.rows_by_subject() {
            let rows: Vec<_> = rows.into_iter().filter(|row| holds(&query.filter, row)).collect();
            for session in rows.chunk_by(|a, b| b.time_ms() - a.time_ms() <= query.gap_ms) {
                let (first, last) = (&session[0], &session[session.len() - 1]);
                let Some(bucket) = case.bucket(first) else { continue };
                buckets[bucket].sessions += 1;
                buckets[bucket].events += session.len() as u64;
                buckets[bucket].bounces += u64::from(session.len() == 1);
                buckets[bucket].duration_ms += (last.time_ms() - first.time_ms()) as u64;
                *entries.entry(first.name.to_owned()).or_default() += 1;
                *exits.entry(last.name.to_owned()).or_default() += 1;
            }
        }
        let ranked = |names: BTreeMap<String, u64>| {
            let mut names: Vec<_> = names.into_iter().collect();
            names.sort_by_key(|name| Reverse(name.1));
            names.truncate(query.limit);
            names
        };
        SessionAnswer { buckets, entries: ranked(entries), exits: ranked(exits) }
    }

    #[test]
    fn sessions_are_those_of_a_plain_cut_at_gaps() {
        let mut random = Random::new(10);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let query = SessionQuery {
                filter: random.loose_filter(),
                buckets: Buckets::try_new(case.starts_micros.clone()).unwrap(),
                gap_ms: random.pick(&[0, 10, 100, 200]),
                limit: random.range(0, 6),
            };
            let segments = case.segments();
            let kernel = Session::try_new(&query, &segments).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }
}
