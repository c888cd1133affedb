//! The numbers of a period by plain loops over all events, as their definitions say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

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
    /// The events of each person in the order of time.
    people: Vec<Vec<&'a Event>>,
    /// The weeks in which each of them was active.
    weeks: Vec<BTreeSet<i64>>,
}

/// The day of an instant in Amsterdam, numbered since 1970-01-01.
pub(crate) fn day(at: Timestamp) -> i64 {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("Europe/Amsterdam").unwrap());
    let zone = &*ZONE;
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
        let mut people: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
        for event in events {
            people.entry(event.subject.unwrap().0).or_default().push(event);
        }
        let people = people.into_values().map(|mut own| {
            own.sort_by_key(|event| event.at);
            own
        });
        let people: Vec<_> = people.collect();
        let weeks = people.iter().map(|own: &Vec<&Event>| {
            own.iter().filter(|it| is_activity(it)).map(|it| week(day(it.at))).collect()
        });
        Self { events, days, firsts, weeks: weeks.collect(), people }
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
        for events in &self.people {
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
        for events in &self.people {
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
        for events in &self.people {
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

    /// People who did something in the period by the last channel that they touched up to the goal, or up to their first
    /// event where they did not reach it, and how many of them did.
    pub(crate) fn last_touch(&self, (from, until): Ends, goal: &str) -> BTreeMap<String, (u64, u64)> {
        let known = until.plus(std::time::Duration::from_micros(WINDOW.unsigned_abs()));
        let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for events in &self.people {
            let touched: Vec<&&Event> = events.iter().filter(|it| it.at >= from && it.at < known).collect();
            let steps: Vec<&&&Event> = touched.iter().filter(|it| it.at < until && is_activity(it)).collect();
            let Some(first) = steps.first() else { continue };
            let mut reached: Option<Timestamp> = None;
            for begin in &steps {
                let ends = events.iter().filter(|end| {
                    let after = end.at.as_micros() - begin.at.as_micros();
                    end.name == goal && end.id != begin.id && (0..=WINDOW).contains(&after)
                });
                reached = ends.map(|end| end.at).chain(reached).min();
            }
            let end = reached.unwrap_or(first.at);
            let last = |text: fn(&Event) -> Option<&String>| {
                touched.iter().rev().filter(|it| it.at <= end).find_map(|it| text(it).cloned())
            };
            let has_source = touched.iter().any(|it| it.utm_source.is_some());
            let channel = match last(|it| it.utm_source.as_ref()) {
                Some(source) => source,
                None if has_source => "direct".to_owned(),
                None => last(|it| it.referrer.as_ref()).unwrap_or_else(|| "direct".to_owned()),
            };
            let row = found.entry(channel).or_default();
            *row = (row.0 + 1, row.1 + u64::from(reached.is_some()));
        }
        found
    }

    /// When a person came, and when they used each feature first, of what happened before an instant.
    fn first_uses(events: &[&Event], until: Timestamp) -> Option<(Timestamp, BTreeMap<String, Timestamp>)> {
        let before: Vec<&&Event> = events.iter().filter(|it| it.at < until).collect();
        let came = before.iter().find(|it| is_activity(it))?.at;
        let mut uses = BTreeMap::new();
        for event in before.iter().filter(|it| it.name == "Feature Used") {
            uses.entry(prop(event, "feature").unwrap()).or_insert(event.at);
        }
        Some((came, uses))
    }

    /// By feature, how many of those who came in the weeks used it in the period for the first time, and the median of the
    /// seconds since they came.
    pub(crate) fn adoption(&self, (from, until): Ends) -> BTreeMap<String, (u64, Option<f64>)> {
        let mut took: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let weeks = Self::weeks(until);
        let people = self.people.iter().filter_map(|own| Self::first_uses(own, until));
        for (came, uses) in people.filter(|(came, _)| weeks.contains(&week(day(*came)))) {
            for (feature, used) in uses.into_iter().filter(|(_, used)| *used >= from) {
                took.entry(feature).or_default().push(used.as_micros() - came.as_micros());
            }
        }
        let median = |mut took: Vec<i64>| {
            took.sort_unstable();
            (took.len() as u64, Some(took[(took.len() - 1) / 2] as f64 / 1e6))
        };
        took.into_iter().map(|(feature, took)| (feature, median(took))).collect()
    }

    /// The first days of the weeks that lie in the 49 days before an instant, and the one that it ends.
    fn weeks(until: Timestamp) -> std::ops::RangeInclusive<i64> {
        let last = day(Timestamp::from_micros(until.as_micros() - 1));
        week(day(until.minus(std::time::Duration::from_secs(49 * 86_400))))..=week(last)
    }

    /// Weeks with who came in them, and how many of these have used each feature before the end; none if none was used.
    pub(crate) fn adoption_by_cohort(&self, ends: Ends, features: &[&str]) -> Vec<(i64, u64, Vec<u64>)> {
        if self.named(ends, &["Feature Used"]).is_empty() {
            return Vec::new();
        }
        let row = |week: i64| (week * 7 - 3, 0, vec![0; features.len()]);
        let weeks = Self::weeks(ends.1);
        let mut rows: Vec<_> = weeks.clone().map(row).collect();
        for (came, uses) in self.people.iter().filter_map(|own| Self::first_uses(own, ends.1)) {
            let Some(place) = weeks.clone().position(|it| it == week(day(came))) else { continue };
            rows[place].1 += 1;
            for (used, feature) in rows[place].2.iter_mut().zip(features) {
                *used += u64::from(uses.contains_key(*feature));
            }
        }
        rows
    }

    /// Weeks with who came in them, and how many of these were active in each week from then on.
    pub(crate) fn retention(&self, ends: Ends) -> Vec<(i64, u64, Vec<u64>)> {
        let weeks = Self::weeks(ends.1);
        let mut rows: Vec<_> =
            weeks.clone().map(|week| (week * 7 - 3, 0, vec![0; (weeks.end() - week + 1) as usize])).collect();
        for active in &self.weeks {
            let Some(place) = active.first().and_then(|first| weeks.clone().position(|it| it == *first))
            else {
                continue;
            };
            rows[place].1 += 1;
            for (returned, week) in rows[place].2.iter_mut().zip(*active.first().unwrap()..) {
                *returned += u64::from(active.contains(&week));
            }
        }
        rows
    }
}

/// The number of a day's week, from Monday; 1970-01-01 was a Thursday.
fn week(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

/// The channel of a person by their first texts.
pub(crate) fn channel(events: &[&Event]) -> String {
    let source = events.iter().find_map(|it| it.utm_source.clone());
    let source = source.or_else(|| events.iter().find_map(|it| it.referrer.clone()));
    source.unwrap_or_else(|| "direct".to_owned())
}
