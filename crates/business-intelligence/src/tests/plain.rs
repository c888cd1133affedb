//! The numbers of a period by plain loops over all events, as their definitions say.

use std::collections::{BTreeMap, BTreeSet};

use belvedere_event_store::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;
use jiff::tz::TimeZone;

use crate::metrics::NO_ACTIVITY;

pub(crate) type Ends = (Timestamp, Timestamp);

const DAY: i64 = 86_400_000_000;
const WINDOW: i64 = 30 * DAY;

pub(crate) struct Plain<'a> {
    events: &'a [Event],
    /// By event.
    days: Vec<i64>,
    /// By subject, the first day with activity.
    firsts: BTreeMap<Option<SubjectId>, i64>,
}

/// The day of an instant in Amsterdam, numbered since 1970-01-01.
pub(crate) fn day(at: Timestamp) -> i64 {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap();
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap();
    (at.as_second() + i64::from(zone.to_offset(at).seconds())).div_euclid(86_400)
}

fn is_activity(event: &Event) -> bool {
    !NO_ACTIVITY.contains(&event.name.as_str())
}

pub(crate) fn prop(event: &Event, key: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(&event.props).ok()?;
    match value.get(key)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl<'a> Plain<'a> {
    pub(crate) fn new(events: &'a [Event]) -> Self {
        let days: Vec<i64> = events.iter().map(|event| day(event.at)).collect();
        let mut firsts = BTreeMap::new();
        for (event, day) in events.iter().zip(&days).filter(|(event, _)| is_activity(event)) {
            let known = firsts.entry(event.subject).or_insert(i64::MAX);
            *known = (*day).min(*known);
        }
        Self { events, days, firsts }
    }

    fn within(&self, (from, until): Ends) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.at >= from && event.at < until)
    }

    fn named(&self, ends: Ends, names: &[&str]) -> Vec<&Event> {
        self.within(ends).filter(|event| names.contains(&event.name.as_str())).collect()
    }

    pub(crate) fn people(&self, ends: Ends) -> f64 {
        let people: BTreeSet<_> =
            self.within(ends).filter(|it| is_activity(it)).map(|it| it.subject).collect();
        people.len() as f64
    }

    /// People active on the days from one to another.
    pub(crate) fn active(&self, first: i64, last: i64) -> f64 {
        let of_days = self.events.iter().zip(&self.days).filter(|(_, day)| (first..=last).contains(*day));
        let people = of_days.filter(|(event, _)| is_activity(event)).map(|(event, _)| event.subject);
        people.collect::<BTreeSet<_>>().len() as f64
    }

    /// People whose first day with activity lies from one day to another.
    pub(crate) fn newcomers(&self, first: i64, last: i64) -> f64 {
        self.firsts.values().filter(|day| (first..=last).contains(*day)).count() as f64
    }

    pub(crate) fn session_seconds(&self, (from, until): Ends) -> Option<f64> {
        let (mut sessions, mut seconds) = (0.0, 0.0);
        for events in self.by_person().values() {
            let mut times = events.iter().filter(|it| is_activity(it)).map(|it| it.at.as_micros()).peekable();
            while let Some(begin) = times.next() {
                let mut end = begin;
                while let Some(next) = times.next_if(|next| next - end <= 30 * 60_000_000) {
                    end = next;
                }
                if begin >= from.as_micros() && begin < until.as_micros() {
                    sessions += 1.0;
                    seconds += (end - begin) as f64 / 1e6;
                }
            }
        }
        (sessions > 0.0).then(|| seconds / sessions)
    }

    fn by_person(&self) -> BTreeMap<i64, Vec<&Event>> {
        let mut people: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
        for event in self.events {
            people.entry(event.subject.unwrap().0).or_default().push(event);
        }
        for events in people.values_mut() {
            events.sort_by_key(|event| event.at);
        }
        people
    }

    /// By course, the people that began and that completed; the greatest first.
    pub(crate) fn courses(&self, ends: Ends) -> Vec<(String, u64, u64)> {
        let of = |names: &[&str]| -> BTreeSet<_> {
            self.named(ends, names).into_iter().map(|it| (it.course.clone().unwrap(), it.subject)).collect()
        };
        let (began, completed) = (of(&["course_enrol", "lesson_start"]), of(&["course_complete"]));
        let mut courses: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for pair in &began {
            let course = courses.entry(pair.0.clone()).or_default();
            course.0 += 1;
            course.1 += u64::from(completed.contains(pair));
        }
        let mut courses: Vec<_> = courses.into_iter().map(|(course, it)| (course, it.0, it.1)).collect();
        courses.sort_by_key(|course| std::cmp::Reverse(course.1));
        courses
    }

    pub(crate) fn features(&self, ends: Ends) -> BTreeMap<String, u64> {
        let mut features: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for event in self.named(ends, &["Feature Used"]) {
            features.entry(prop(event, "feature").unwrap()).or_default().insert(event.subject);
        }
        features.into_iter().map(|(feature, people)| (feature, people.len() as u64)).collect()
    }

    pub(crate) fn lessons(&self, ends: Ends) -> (f64, Option<f64>) {
        let lessons = self.named(ends, &["lesson_complete"]);
        let seconds: f64 =
            lessons.iter().map(|it| prop(it, "duration").unwrap().parse::<f64>().unwrap()).sum();
        let count = lessons.len() as f64;
        (count, (count > 0.0).then(|| seconds / count))
    }

    /// Visitors, signups, trials and subscriptions.
    pub(crate) fn funnel(&self, (from, until): Ends) -> [u64; 4] {
        let mut reached = [0; 4];
        for events in self.by_person().values() {
            let of = |name: &str| -> Vec<i64> {
                events.iter().filter(|it| it.name == name).map(|it| it.at.as_micros()).collect()
            };
            let [visits, signups, trials, paid] =
                [of("page_view"), of("Signed Up"), of("Trial Started"), of("Subscription Started")];
            let mut best = [false; 4];
            for visit in visits.iter().filter(|it| **it >= from.as_micros() && **it < until.as_micros()) {
                best[0] = true;
                let follows = |step: &i64, after: i64| *step >= after && step - visit <= WINDOW;
                for signup in signups.iter().filter(|it| follows(it, *visit)) {
                    best[1] = true;
                    best[2] |= trials.iter().any(|it| follows(it, *signup));
                    best[3] |= paid.iter().any(|it| follows(it, *signup));
                }
            }
            for (count, is_reached) in reached.iter_mut().zip(best) {
                *count += u64::from(is_reached);
            }
        }
        reached
    }

    /// People who did something in the period, by the first text of theirs in it, and how many of them reached the goal.
    pub(crate) fn first_touch(
        &self,
        (from, until): Ends,
        (step, goal): (impl Fn(&Event) -> bool, &str),
        text: impl Fn(&[&Event]) -> Option<String>,
    ) -> BTreeMap<String, (u64, u64)> {
        let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for events in self.by_person().values() {
            let known = until.plus(std::time::Duration::from_micros(WINDOW.unsigned_abs()));
            let texts: Vec<&Event> =
                events.iter().filter(|it| it.at >= from && it.at < known).copied().collect();
            let steps: Vec<&&Event> = texts.iter().filter(|it| it.at < until && step(it)).collect();
            if steps.is_empty() {
                continue;
            }
            let Some(text) = text(&texts) else { continue };
            let reaches = |begin: &&Event, end: &&Event| {
                end.name == goal
                    && end.id != begin.id
                    && end.at >= begin.at
                    && end.at.as_micros() - begin.at.as_micros() <= WINDOW
            };
            let converted = steps.iter().any(|begin| events.iter().any(|end| reaches(begin, end)));
            let row = found.entry(text).or_default();
            *row = (row.0 + 1, row.1 + u64::from(converted));
        }
        found
    }
}

/// The channel of a person by their first texts.
pub(crate) fn channel(events: &[&Event]) -> String {
    let source = events.iter().find_map(|it| it.utm_source.clone());
    let source = source.or_else(|| events.iter().find_map(|it| it.referrer.clone()));
    source.unwrap_or_else(|| "direct".to_owned())
}
