//! A course before and after its content changed: cohorts by the version that they began with, and how far the differences
//! between them can be chance. No I/O.
//!
//! Before and after are not assigned at random, so a difference is not yet the work of the change. What can be done about
//! time is done: everybody has the same [`WINDOW_DAYS`] days, and who has not had them yet is in no cohort.
//!
//! Nobody is to be found: cohorts are groups of at least [`GROUP_MIN`] learners, and what is measured of a part of a cohort
//! is shown if the part, the rest, and what is left of the numbers of the whole course that everybody sees are empty or as
//! large ([`crate::suppress`]). There is nothing to filter by, so all that can be asked is this one table.

use std::ops::Range;

use belvedere_storage::Timestamp;
use serde::Serialize;

use crate::statistics::{ALPHA, Sample, benjamini_hochberg, welch};
use crate::structure::ContentVersion;
use crate::suppress::{GROUP_MIN, are_shown, groups};

/// How many days after their first event learners are looked at.
pub const WINDOW_DAYS: i64 = 28;
/// The most learners of a course that are compared.
pub const LEARNERS_MAX: usize = 100_000;

const WINDOW_MICROS: i64 = WINDOW_DAYS * 86_400 * 1_000_000;

/// Where a learner has a score: when, and points from 0 to 100.
pub type Scored = (i64, f64);

/// What a learner did in a course, as far as courses are compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Participant {
    /// A number that only they have.
    pub learner: i64,
    /// Their first event in the course, in microseconds since 1970, UTC.
    pub first_micros: i64,
    /// The first that is more than enrolling.
    pub started_micros: Option<i64>,
    /// When they completed the course.
    pub completed_micros: Option<i64>,
    /// Their active time in it.
    pub active_seconds: f64,
    /// Their first attempts at its exercises: when, and whether they were right.
    pub firsts: Vec<(i64, bool)>,
    /// Their first attempt at the test before the course.
    pub pretest: Option<Scored>,
    /// Their first attempt at the test after it.
    pub posttest: Option<Scored>,
}

impl Participant {
    fn until(&self) -> i64 {
        self.first_micros.saturating_add(WINDOW_MICROS)
    }

    fn completed_in_time(&self) -> bool {
        self.started_micros.is_some() && self.completed_micros.is_some_and(|at| at < self.until())
    }

    /// First attempts in time: right ones, and all.
    fn firsts_in_time(&self) -> Option<(f64, f64)> {
        let in_time = self.firsts.iter().filter(|(at, _)| *at < self.until());
        let right = in_time.clone().filter(|(_, is_right)| *is_right).count();
        let all = in_time.count();
        (all > 0).then_some((right as f64, all as f64))
    }

    fn gain_in_time(&self) -> Option<f64> {
        self.posttest.filter(|(at, _)| *at < self.until())?;
        gain(self.pretest, self.posttest).filter(|_| self.firsts_in_time().is_some())
    }
}

/// The normalised gain of a learner: of what there was to be gained, the share that was (Hake, "Interactive-engagement versus
/// traditional methods", American Journal of Physics 66, 1998). None without a test before and one after it, and for those
/// who knew everything before.
#[must_use]
pub fn gain(pretest: Option<Scored>, posttest: Option<Scored>) -> Option<f64> {
    let ((before, pre), (after, post)) = (pretest?, posttest?);
    (before < after && pre < 100.0).then(|| (post - pre) / (100.0 - pre))
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Of those who started, the share that completed the course in time.
    CompletionRate,
    /// The active time of those in seconds.
    ActiveSeconds,
    /// The share of first attempts at exercises that were right.
    FirstAttempts,
    /// The normalised gain from the test before to the test after.
    NormalisedGain,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::CompletionRate, Self::ActiveSeconds, Self::FirstAttempts, Self::NormalisedGain];

    /// The metric as a word: `completion_rate`, `active_seconds`, `first_attempts`, `normalised_gain`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CompletionRate => "completion_rate",
            Self::ActiveSeconds => "active_seconds",
            Self::FirstAttempts => "first_attempts",
            Self::NormalisedGain => "normalised_gain",
        }
    }
}

/// What was measured of some learners; at least [`GROUP_MIN`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// Of how many.
    pub learners: u64,
    /// The mean.
    pub mean: f64,
    /// The lower end of the interval that has the mean nineteen times of twenty, by Student's t.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
}

impl Measure {
    /// The measure of a sample; none for one that is too small to be shown.
    #[must_use]
    pub fn of(sample: &Sample) -> Option<Self> {
        let (low, high) = sample.interval();
        (sample.count >= GROUP_MIN).then_some(Self { learners: sample.count, mean: sample.mean, low, high })
    }
}

/// Learners who began with the same version, or with neighbouring ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cohort {
    /// With which versions: several, where one of them alone has too few learners.
    pub versions: Vec<String>,
    /// From when on the first of these versions was there; none for the first of the course.
    pub since: Option<Timestamp>,
    /// How many learners; at least [`GROUP_MIN`].
    pub learners: u64,
    /// What was measured of them. A metric that nobody has, or that would tell of few, is left out.
    pub measures: Vec<(Metric, Measure)>,
}

/// How a metric of a cohort differs from that of the cohort before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// The later cohort, counted from 0; the one before is the earlier.
    pub cohort: usize,
    /// What differs.
    pub metric: Metric,
    /// The later mean less the earlier one.
    pub difference: f64,
    /// The lower end of the interval that has it nineteen times of twenty.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
    /// How often chance alone makes such a difference.
    pub p: f64,
    /// The same, adjusted for all changes that are looked at.
    pub adjusted_p: f64,
    /// Whether that is at most 0.05.
    pub is_significant: bool,
}

/// A course before and after changes of its content.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Comparison {
    /// Learners with an event in the course.
    pub learners: u64,
    /// Those who came too late to have had their days, and are in no cohort; none where that would tell of few.
    pub recent: Option<u64>,
    /// Cohorts by version; none where there are too few learners.
    pub cohorts: Vec<Cohort>,
    /// How each cohort differs from the one before.
    pub changes: Vec<Change>,
    /// Metrics that are not shown because they would tell of few.
    pub hidden: Vec<Metric>,
    /// Whether the course has more than 100,000 learners, of whom the first by number were looked at, or more first attempts
    /// than 1,000,000.
    pub is_cut: bool,
}

/// What everybody can see of the whole course.
struct Public {
    completed: u64,
    gained: u64,
}

/// Compares the learners of a course by the version of its content that was there when they first did something in it.
#[must_use]
pub fn compare(mut learners: Vec<Participant>, versions: &[ContentVersion], now: Timestamp) -> Comparison {
    learners.sort_by_key(|it| (it.first_micros, it.learner));
    let total = learners.len() as u64;
    let public = Public {
        completed: learners.iter().filter(|it| it.completed_micros.is_some()).count() as u64,
        gained: learners.iter().filter(|it| gain(it.pretest, it.posttest).is_some()).count() as u64,
    };
    let (settled, recent) = learners.split_at(settled(&learners, now));
    let begin =
        |version: &ContentVersion| settled.partition_point(|it| it.first_micros < version.since.as_micros());
    let ends: Vec<usize> = versions.iter().skip(1).map(begin).chain([settled.len()]).collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let rows: Vec<Range<usize>> = starts.zip(&ends).map(|(start, end)| start..*end).collect();
    let sizes: Vec<u64> = rows.iter().map(|row| row.len() as u64).collect();
    let mut comparison = Comparison { learners: total, ..Comparison::default() };
    let groups = groups(&sizes);
    if groups.is_empty() {
        return comparison;
    }
    comparison.recent = Some(recent.len() as u64);
    let people: Vec<&[Participant]> =
        groups.iter().map(|group| &settled[rows[group.start].start..rows[group.end - 1].end]).collect();
    let cohorts = groups.iter().zip(&people).map(|(group, people)| {
        let named = versions.get(group.clone()).unwrap_or_default();
        Cohort {
            versions: named.iter().map(|it| it.version.clone()).collect(),
            since: named.first().filter(|_| group.start > 0).map(|it| it.since),
            learners: people.len() as u64,
            measures: Vec::new(),
        }
    });
    comparison.cohorts = cohorts.collect();
    let mut changes = Vec::new();
    for metric in Metric::ALL {
        if !is_open(metric, &people, recent, &public) {
            comparison.hidden.push(metric);
            continue;
        }
        let large = |people: &&[Participant]| sample(metric, people).filter(|it| it.count >= GROUP_MIN);
        let samples: Vec<Option<Sample>> = people.iter().map(large).collect();
        for (cohort, sample) in comparison.cohorts.iter_mut().zip(&samples) {
            cohort.measures.extend(sample.as_ref().and_then(Measure::of).map(|measure| (metric, measure)));
        }
        for (before, pair) in samples.windows(2).enumerate() {
            let [Some(earlier), Some(later)] = pair else { continue };
            changes.extend(welch(earlier, later).map(|found| (before + 1, metric, found)));
        }
    }
    let chances: Vec<f64> = changes.iter().map(|(_, _, found)| found.p).collect();
    let adjusted = benjamini_hochberg(&chances);
    let changes = changes.into_iter().zip(adjusted).map(|((cohort, metric, found), adjusted_p)| Change {
        cohort,
        metric,
        difference: found.difference,
        low: found.low,
        high: found.high,
        p: found.p,
        adjusted_p,
        is_significant: adjusted_p <= ALPHA,
    });
    comparison.changes = changes.collect();
    comparison
}

/// How many learners, of those in the order of their first events, have had their days. Who has not is nobody, or at least
/// [`GROUP_MIN`]: otherwise the latest of the others are not looked at either.
fn settled(learners: &[Participant], now: Timestamp) -> usize {
    let settled = learners.partition_point(|it| it.until() <= now.as_micros());
    let recent = learners.len() - settled;
    let missing = if recent == 0 { 0 } else { (GROUP_MIN as usize).saturating_sub(recent) };
    settled.saturating_sub(missing)
}

/// Whether a metric can be shown of all cohorts. Each part of a cohort lies in the one before it: learners, those who
/// started, those who tried an exercise, those with both tests; or learners, those who started, those who completed.
fn is_open(metric: Metric, cohorts: &[&[Participant]], recent: &[Participant], public: &Public) -> bool {
    let count = |people: &[Participant], has: fn(&Participant) -> bool| {
        people.iter().filter(|it| has(it)).count() as u64
    };
    let started = |people: &[Participant]| count(people, |it| it.started_micros.is_some());
    let completed = |people: &[Participant]| count(people, Participant::completed_in_time);
    let tried = |people: &[Participant]| count(people, |it| it.firsts_in_time().is_some());
    let gained = |people: &[Participant]| count(people, |it| it.gain_in_time().is_some());
    let parts = |people: &[Participant]| {
        let (all, started) = (people.len() as u64, started(people));
        let mut chain = vec![all, started];
        match metric {
            Metric::CompletionRate | Metric::ActiveSeconds => chain.push(completed(people)),
            Metric::FirstAttempts => chain.push(tried(people)),
            Metric::NormalisedGain => chain.extend([tried(people), gained(people)]),
        }
        let last = chain.last().copied();
        let between = chain.windows(2).map(|pair| pair[0].saturating_sub(pair[1]));
        between.chain(last).collect::<Vec<u64>>()
    };
    // What everybody can see, less what the cohorts show.
    let whole = |public: u64, of: &dyn Fn(&[Participant]) -> u64| {
        public.saturating_sub(cohorts.iter().map(|people| of(people)).sum())
    };
    let mut rest = vec![started(recent), recent.len() as u64 - started(recent)];
    rest.push(match metric {
        Metric::CompletionRate | Metric::ActiveSeconds => whole(public.completed, &completed),
        Metric::FirstAttempts => 0,
        Metric::NormalisedGain => whole(public.gained, &gained),
    });
    are_shown(cohorts.iter().flat_map(|people| parts(people)).chain(rest))
}

fn sample(metric: Metric, people: &[Participant]) -> Option<Sample> {
    let completed = people.iter().filter(|it| it.completed_in_time());
    match metric {
        Metric::CompletionRate => {
            let started = people.iter().filter(|it| it.started_micros.is_some());
            Sample::of(started.map(|it| f64::from(u8::from(it.completed_in_time()))).collect())
        }
        Metric::ActiveSeconds => Sample::of(completed.map(|it| it.active_seconds).collect()),
        Metric::FirstAttempts => {
            let tried: Vec<(f64, f64)> = people.iter().filter_map(Participant::firsts_in_time).collect();
            Sample::of_ratio(&tried)
        }
        Metric::NormalisedGain => Sample::of(people.iter().filter_map(Participant::gain_in_time).collect()),
    }
}
