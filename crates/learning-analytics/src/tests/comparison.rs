//! Courses before and after changes of their content: the numbers are those of plain loops over the events, and nobody is
//! found by subtracting them from each other.

use std::time::Duration;

use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::order::Random;
use super::*;
use crate::comparison::{Comparison, Metric, Participant, WINDOW_DAYS, compare};
use crate::structure::{ContentVersion, CourseStructure};

database_tests!(a_comparison_is_that_of_plain_loops_whatever_the_order, a_course_has_the_gain_of_its_tests,);

const DAY: u64 = 86_400;

fn days_ago(days: u64) -> Timestamp {
    START.minus(Duration::from_secs(days * DAY))
}

fn version(name: &str, days: u64) -> ContentVersion {
    ContentVersion { version: name.to_owned(), since: days_ago(days) }
}

/// What can be true of a learner: started; completed not, late, in time; tried an exercise in time; has a gain not, late,
/// in time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    started: bool,
    completed: u8,
    tried: bool,
    gained: u8,
}

fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind { started: false, completed: 0, tried: false, gained: 0 }];
    for completed in 0..3 {
        for (tried, gained) in [(false, 0), (false, 1), (true, 0), (true, 1), (true, 2)] {
            kinds.push(Kind { started: true, completed, tried, gained });
        }
    }
    kinds
}

fn participant(learner: i64, day: u64, kind: Kind, random: &mut Random) -> Participant {
    let first = days_ago(day).as_micros() + random.below(DAY) as i64;
    let (soon, late) = (first + 1_000_000, first + (WINDOW_DAYS + 1) * 86_400 * 1_000_000);
    let of = |when: u8| match when {
        0 => None,
        1 => Some(late),
        _ => Some(soon),
    };
    let tried = if kind.tried { Some(soon) } else { of(kind.gained) };
    Participant {
        learner,
        first_micros: first,
        started_micros: kind.started.then_some(soon),
        completed_micros: of(kind.completed),
        active_seconds: random.below(9_000) as f64,
        firsts: tried.map(|at| (at, random.below(2) > 0)).into_iter().collect(),
        pretest: of(kind.gained).map(|at| (at - 1, random.below(90) as f64)),
        posttest: of(kind.gained).map(|at| (at, random.below(101) as f64)),
    }
}

/// All ways to take numbers: not at all, added, subtracted.
fn signs(numbers: usize) -> Vec<Vec<i64>> {
    (0..3_usize.pow(numbers as u32))
        .map(|code| (0..numbers).map(|place| (code / 3_usize.pow(place as u32) % 3) as i64 - 1).collect())
        .collect()
}

/// What a sum of numbers of a row has of each kind.
fn of_kinds(kinds: &[Kind], base: &[i64], signs: &[i64]) -> Vec<i64> {
    let is = |holds: bool| i64::from(holds);
    let values = kinds.iter().zip(base).map(|(kind, base)| {
        let parts = [1, is(kind.started), is(kind.completed == 2), is(kind.tried), is(kind.gained == 2)];
        base + parts.iter().zip(signs).map(|(part, sign)| part * sign).sum::<i64>()
    });
    values.collect()
}

fn is_group(values: &[i64]) -> bool {
    values.iter().all(|value| (0..=1).contains(value))
}

/// Adds and subtracts everything that is shown, of the comparison and of the page of the course. Each result that is a group
/// of learners, whoever they are, and not one that the page of the course shows by itself, has nobody or five and more.
///
/// Returns how many such groups there are.
fn assert_nobody_is_found(comparison: &Comparison, counts: &[Vec<u64>], recent: &[u64]) -> usize {
    let kinds = kinds();
    let is_hidden = |metric| comparison.hidden.contains(&metric);
    let open = [
        true,
        !is_hidden(Metric::CompletionRate),
        !is_hidden(Metric::CompletionRate),
        !is_hidden(Metric::FirstAttempts),
        !is_hidden(Metric::NormalisedGain),
    ];
    assert_eq!(is_hidden(Metric::CompletionRate), is_hidden(Metric::ActiveSeconds));
    let usable: Vec<Vec<i64>> = signs(5)
        .into_iter()
        .filter(|signs| signs.iter().zip(open).all(|(sign, is_open)| is_open || *sign == 0))
        .collect();
    let everybody = |kind: usize| counts.iter().map(|row| row[kind]).sum::<u64>() + recent[kind];
    let gained: u64 = (0..kinds.len()).filter(|kind| kinds[*kind].gained > 0).map(everybody).sum();
    let bases: Vec<Vec<i64>> = signs(4)
        .into_iter()
        .filter(|signs| gained >= 5 || signs[3] == 0)
        .map(|signs| {
            let value = |kind: &Kind| {
                signs[0]
                    + signs[1] * i64::from(kind.started)
                    + signs[2] * i64::from(kind.completed > 0)
                    + signs[3] * i64::from(kind.gained > 0)
            };
            kinds.iter().map(value).collect()
        })
        .collect();
    let people = |values: &[i64], row: &[u64]| -> i64 {
        values.iter().zip(row).map(|(value, count)| value * *count as i64).sum()
    };
    let mut groups = 0;
    for base in &bases {
        // Of the recent ones only the number is shown.
        let late = [-1, 0, 1].map(|sign| of_kinds(&kinds, base, &[sign, 0, 0, 0, 0]));
        let mut sums: Vec<(Vec<Vec<i64>>, i64)> = late
            .into_iter()
            .filter(|values| is_group(values))
            .map(|values| (vec![values.clone()], people(&values, recent)))
            .collect();
        let rows = usable.iter().map(|signs| of_kinds(&kinds, base, signs));
        let mut rows: Vec<Vec<i64>> = rows.filter(|values| is_group(values)).collect();
        rows.sort();
        rows.dedup();
        for row in counts {
            let longer = |(shapes, sum): &(Vec<Vec<i64>>, i64)| {
                let (shapes, sum) = (shapes.clone(), *sum);
                let with = |values: &Vec<i64>| {
                    ([shapes.clone(), vec![values.clone()]].concat(), sum + people(values, row))
                };
                rows.iter().map(with).collect::<Vec<_>>()
            };
            sums = sums.iter().flat_map(longer).collect();
        }
        for (shapes, sum) in sums {
            groups += 1;
            if !(1..=4).contains(&sum) {
                continue;
            }
            // The same people as the page of the course shows by itself.
            let rows = || std::iter::once(recent).chain(counts.iter().map(Vec::as_slice)).zip(&shapes);
            let is_public = bases.iter().filter(|base| is_group(base)).any(|base| {
                let is_same = |(row, shape): (&[u64], &Vec<i64>)| {
                    (0..kinds.len()).all(|kind| row[kind] == 0 || shape[kind] == base[kind])
                };
                rows().all(is_same)
            });
            assert!(is_public, "{sum} learners are known: {comparison:?}");
        }
    }
    groups
}

#[test]
fn no_differences_of_what_is_shown_find_anybody() {
    let kinds = kinds();
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut open, mut hidden, mut groups) = ([0; 4], [0; 4], 0);
    for case in 0..120 {
        // Learners of one or two versions and recent ones, of few kinds or of all.
        let versions = [version("1", 200), version("2", 100)];
        let likely: Vec<Kind> = (0..=case % 4).map(|_| kinds[random.below(16) as usize]).collect();
        let mut learners = Vec::new();
        let mut of_learner = Vec::new();
        for learner in 0..10 + random.below(150) as i64 {
            let kind = if random.below(150) == 0 {
                kinds[random.below(16) as usize]
            } else {
                likely[random.below(likely.len() as u64) as usize]
            };
            let recent_in = 1 + case as u64 % 9 * 8;
            let day =
                if random.below(recent_in) == 0 { random.below(27) + 1 } else { 40 + random.below(110) };
            learners.push(participant(learner, day, kind, &mut random));
            of_learner.push(kind);
        }
        let comparison = compare(learners.clone(), &versions[..1 + case as usize % 2], START);
        learners.sort_by_key(|it| (it.first_micros, it.learner));
        let mut rest = learners.iter().map(|it| of_learner[it.learner as usize]);
        let count = |kind: &Kind, among: &[Kind]| among.iter().filter(|it| *it == kind).count() as u64;
        let mut counts = Vec::new();
        for cohort in &comparison.cohorts {
            let among: Vec<Kind> = rest.by_ref().take(cohort.learners as usize).collect();
            counts.push(kinds.iter().map(|kind| count(kind, &among)).collect());
        }
        let late: Vec<Kind> = rest.collect();
        if comparison.cohorts.is_empty() {
            assert_eq!((comparison.recent, comparison.changes.len()), (None, 0));
            continue;
        }
        assert_eq!(comparison.recent, Some(late.len() as u64));
        let recent: Vec<u64> = kinds.iter().map(|kind| count(kind, &late)).collect();
        groups += assert_nobody_is_found(&comparison, &counts, &recent);
        for (place, metric) in Metric::ALL.iter().enumerate() {
            let is_hidden = comparison.hidden.contains(metric);
            hidden[place] += u32::from(is_hidden);
            open[place] += u32::from(!is_hidden);
        }
    }
    // Both happen often, and much is subtracted.
    assert!(open.iter().chain(&hidden).all(|times| *times > 5), "{open:?} {hidden:?}");
    assert!(groups > 1_000, "{groups}");
}

/// What some learners do in a course with two versions.
fn course_events(random: &mut Random) -> Vec<LearningEvent> {
    let mut events = Vec::new();
    for user in 0..60_u64 {
        let begun = days_ago(90 - user);
        let mut add = |kind, minutes: u64, exercise: Option<&str>, score: Option<f64>, success| {
            let at = begun.plus(Duration::from_secs(minutes * 60));
            events.push(LearningEvent {
                id: format!("{user}-{}", events.len()),
                lesson_id: Some("l".to_owned()),
                exercise_id: exercise.map(str::to_owned),
                metadata: Metadata { score, success, ..Metadata::default() },
                ..LearningEvent::new(kind, &format!("u{user}"), "rust", at)
            });
        };
        add(EventType::CourseEnrol, 0, None, None, None);
        add(EventType::LessonStart, 1, None, None, None);
        add(EventType::ExerciseAttempt, 2, Some("pre"), Some(random.below(60) as f64), None);
        for number in 0..6 {
            let success = Some(random.below(100) < 40 + user / 2);
            add(EventType::ExerciseAttempt, 3 + number, Some(&format!("e{}", number / 2)), None, success);
        }
        add(EventType::ExerciseAttempt, 20, Some("post"), Some(40.0 + random.below(60) as f64), None);
        // A second try does not count.
        add(EventType::ExerciseAttempt, 22, Some("post"), Some(100.0), None);
        if user % 2 == 0 {
            add(EventType::CourseComplete, 24 + user % 3, None, None, None);
        }
    }
    events
}

/// Mean and number of learners by plain loops over the events of learners who began in some days.
fn by_loops(events: &[LearningEvent], users: std::ops::Range<u64>, metric: Metric) -> (u64, f64) {
    let (mut learners, mut sum, mut below) = (0, 0.0, 0.0);
    for user in users {
        let mut own: Vec<&LearningEvent> =
            events.iter().filter(|event| event.user_id == format!("u{user}")).collect();
        own.sort_by_key(|event| event.timestamp);
        let is_complete = own.iter().any(|event| event.event_type == EventType::CourseComplete);
        let score = |exercise: &str| {
            own.iter().find(|it| it.exercise_id.as_deref() == Some(exercise)).unwrap().metadata.score.unwrap()
        };
        match metric {
            Metric::CompletionRate => {
                (learners, sum) = (learners + 1, sum + f64::from(u8::from(is_complete)))
            }
            Metric::ActiveSeconds => {
                if is_complete {
                    let gaps = own.windows(2).map(|pair| pair[1].timestamp.since(pair[0].timestamp));
                    let active = gaps.filter(|gap| gap.as_secs() <= 300).map(|gap| gap.as_secs_f64());
                    (learners, sum) = (learners + 1, sum + active.sum::<f64>());
                }
            }
            Metric::FirstAttempts => {
                learners += 1;
                for exercise in ["pre", "e0", "e1", "e2", "post"] {
                    let first = own.iter().find(|it| it.exercise_id.as_deref() == Some(exercise)).unwrap();
                    let by_score = first.metadata.score.map(|score| score >= RIGHT_FROM);
                    below += 1.0;
                    sum += f64::from(u8::from(first.metadata.success.or(by_score).unwrap()));
                }
            }
            Metric::NormalisedGain => {
                let (pre, post) = (score("pre"), score("post"));
                (learners, sum) = (learners + 1, sum + (post - pre) / (100.0 - pre));
            }
        }
    }
    (learners, sum / if below > 0.0 { below } else { learners as f64 })
}

fn tested_course() -> CourseStructure {
    CourseStructure {
        pretest: Some("pre".to_owned()),
        posttest: Some("post".to_owned()),
        versions: vec![version("1", 90), version("2", 65)],
        ..CourseStructure::default()
    }
}

async fn a_comparison_is_that_of_plain_loops_whatever_the_order(db: TestDatabase) {
    let world = World::new(db);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let events = course_events(&mut random);
    let mut seen = Vec::new();
    for order in 0..3 {
        let project = ProjectId(1 + order);
        world.service.set_structure(project, "rust", tested_course(), &world.by()).await.unwrap();
        let mut arriving = events.clone();
        if order > 0 {
            random.shuffle(&mut arriving);
        }
        for batch in arriving.chunks(150) {
            world.service.record_events(project, batch.to_vec()).await.unwrap();
        }
        seen.push(world.service.compare_cohorts(project, "rust").await.unwrap().unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let compared = &seen[0];
    assert_eq!((compared.learners, compared.recent, compared.is_cut), (60, Some(0), false));
    assert_eq!(compared.hidden, []);
    // Learners begin day by day: those of the days 90 to 66 with the first version.
    let cohorts: Vec<_> = compared.cohorts.iter().map(|it| (it.versions.join("+"), it.learners)).collect();
    assert_eq!(cohorts, [("1".to_owned(), 25), ("2".to_owned(), 35)]);
    assert_eq!((compared.cohorts[0].since, compared.cohorts[1].since), (None, Some(days_ago(65))));
    for (cohort, users) in compared.cohorts.iter().zip([0..25, 25..60]) {
        assert_eq!(cohort.measures.len(), 4);
        for (metric, measure) in &cohort.measures {
            let (learners, mean) = by_loops(&events, users.clone(), *metric);
            assert_eq!(measure.learners, learners, "{metric:?}");
            assert!((measure.mean - mean).abs() < 1e-9, "{metric:?}: {measure:?} {mean}");
            assert!(measure.low < mean && mean < measure.high, "{metric:?}: {measure:?}");
        }
    }
    assert_eq!(compared.changes.len(), 4);
    for change in &compared.changes {
        let mean = |users| by_loops(&events, users, change.metric).1;
        assert!((change.difference - (mean(25..60) - mean(0..25))).abs() < 1e-9, "{change:?}");
        assert!(change.low < change.difference && change.p <= change.adjusted_p, "{change:?}");
    }
    // Another project's course, and one of which nothing is known.
    assert_eq!(world.service.compare_cohorts(ProjectId(9), "rust").await.unwrap(), None);
    // A version with few learners is no cohort of its own.
    let few = CourseStructure { versions: vec![version("1", 90), version("2", 34)], ..tested_course() };
    world.service.set_structure(PROJECT, "rust", few, &world.by()).await.unwrap();
    let compared = world.service.compare_cohorts(PROJECT, "rust").await.unwrap().unwrap();
    assert_eq!(compared.cohorts.len(), 1);
    assert_eq!(
        (compared.cohorts[0].versions.join("+"), compared.cohorts[0].learners),
        ("1+2".to_owned(), 60)
    );
    assert_eq!(compared.changes, []);
}

async fn a_course_has_the_gain_of_its_tests(db: TestDatabase) {
    let world = World::new(db);
    let events = course_events(&mut Random(5));
    world.record(&events).await;
    let none = world.service.find_course(PROJECT, "rust").await.unwrap().unwrap();
    assert_eq!(none.gain, None);
    world.service.set_structure(PROJECT, "rust", tested_course(), &world.by()).await.unwrap();
    let gain = world.service.find_course(PROJECT, "rust").await.unwrap().unwrap().gain.unwrap();
    let (learners, mean) = by_loops(&events, 0..60, Metric::NormalisedGain);
    assert_eq!(gain.learners, learners);
    assert!((gain.mean - mean).abs() < 1e-9 && gain.low < mean && mean < gain.high, "{gain:?}");
}
