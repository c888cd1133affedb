//! Courses: how they do, where learners stop, and how their exercises do.

use std::collections::HashMap;

use belvedere_kernel::ProjectId;
use belvedere_learning_analytics::items::{Item, Suspicion};
use belvedere_learning_analytics::structure::CourseStructure;
use belvedere_learning_analytics::{CourseRow, CourseSummary, ErrorType, ItemTable};

use crate::charts::{FunnelChart, FunnelStep};
use crate::form::segment;
use crate::views::monitors::{Snippet, duration};
use crate::wording::{Count, shorten};

/// How many exercises a course's page shows.
const ITEMS_SHOWN: usize = 200;

/// The longest type of error in the table.
const ERROR_CHARS: usize = 40;

/// What stands where there is no number.
pub(crate) const NONE: &str = "\u{2013}";

/// A share from 0 to 1 in whole percent; a dash for none.
pub(crate) fn share_text(share: Option<f64>) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// A time in seconds; a dash for none, and for no time at all.
pub(crate) fn time_text(seconds: Option<f64>) -> String {
    let seconds = seconds.filter(|seconds| *seconds > 0.0);
    seconds.map_or_else(|| NONE.to_owned(), |seconds| duration((seconds * 1_000.0).round() as u64))
}

/// A title, or the id of what has none.
pub(crate) fn title_or(title: &str, id: &str) -> String {
    if title.is_empty() { id.to_owned() } else { title.to_owned() }
}

/// The address of a course's page.
pub(crate) fn course_href(project: ProjectId, course: &str) -> String {
    format!("/projects/{project}/learning/courses/{}", segment(course))
}

/// A course in the list.
pub(crate) struct CourseLine {
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) href: String,
    pub(crate) enrolled: Count,
    pub(crate) started: Count,
    pub(crate) completed: Count,
    /// Of those who started.
    pub(crate) share: String,
    pub(crate) active: Count,
    pub(crate) median: String,
}

impl CourseLine {
    pub(crate) fn new(project: ProjectId, row: &CourseRow) -> Self {
        let share = (row.started > 0).then(|| row.completed.min(row.started) as f64 / row.started as f64);
        Self {
            title: title_or(&row.title, &row.course),
            id: row.course.clone(),
            href: course_href(project, &row.course),
            enrolled: Count(row.enrolled),
            started: Count(row.started),
            completed: Count(row.completed),
            share: share_text(share),
            active: Count(row.active),
            median: time_text(row.median_seconds),
        }
    }
}

/// The lessons of a course as a funnel; none without lessons.
pub(crate) fn funnel_of(course: &CourseSummary) -> Option<FunnelChart> {
    let step = |lesson: &belvedere_learning_analytics::LessonSummary| FunnelStep {
        label: title_or(&lesson.title, &lesson.lesson),
        id: if lesson.title.is_empty() { String::new() } else { lesson.lesson.clone() },
        started: lesson.started,
        completed: lesson.completed,
        drop_off: share_text(lesson.drop_off),
        stopped_here: lesson.stopped_here,
        median: time_text(lesson.median_seconds),
    };
    let steps: Vec<FunnelStep> = course.lessons.iter().map(step).collect();
    (!steps.is_empty()).then(|| FunnelChart::new(steps, course.started))
}

/// An exercise in a course's table.
pub(crate) struct ItemRow {
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) learners: Count,
    pub(crate) attempts: Count,
    pub(crate) difficulty: String,
    pub(crate) discrimination: String,
    pub(crate) hint_rate: String,
    pub(crate) median: String,
    pub(crate) stopped: Count,
    /// The errors that are met most, with how many of the named ones they are; empty for none.
    pub(crate) errors: String,
    /// What is suspicious, as sentences.
    pub(crate) suspicions: Vec<String>,
}

/// The exercises of a course.
pub(crate) struct ItemsView {
    pub(crate) rows: Vec<ItemRow>,
    pub(crate) suspicious: usize,
    /// Exercises that are not shown.
    pub(crate) more: usize,
    /// Whether not every answer was looked at.
    pub(crate) is_cut: bool,
}

impl ItemsView {
    /// The suspicious ones first, then by id.
    pub(crate) fn new(table: ItemTable, structure: Option<&CourseStructure>) -> Self {
        let plans = structure.iter().flat_map(|it| &it.lessons).flat_map(|lesson| &lesson.exercises);
        let titles: HashMap<&str, &str> = plans.map(|it| (it.id.as_str(), it.title.as_str())).collect();
        let mut items = table.items;
        items.sort_by_key(|item| std::cmp::Reverse(item.suspicions.len()));
        let suspicious = items.iter().filter(|item| !item.suspicions.is_empty()).count();
        let more = items.len().saturating_sub(ITEMS_SHOWN);
        let rows = items.iter().take(ITEMS_SHOWN).map(|item| item_row(item, &titles)).collect();
        Self { rows, suspicious, more, is_cut: table.is_cut }
    }
}

fn item_row(item: &Item, titles: &HashMap<&str, &str>) -> ItemRow {
    let title = titles.get(item.exercise.as_str()).copied().unwrap_or_default();
    ItemRow {
        title: title_or(title, &item.exercise),
        id: if title.is_empty() { String::new() } else { item.exercise.clone() },
        learners: Count(item.learners as u64),
        attempts: Count(item.attempts),
        difficulty: share_text(item.difficulty),
        discrimination: item.discrimination.map_or_else(|| NONE.to_owned(), signed),
        hint_rate: share_text(item.hint_rate),
        median: time_text(item.median_seconds),
        stopped: Count(item.stopped_here),
        errors: errors_text(&item.error_types),
        suspicions: item.suspicions.iter().map(suspicion_text).collect(),
    }
}

/// `type mismatch 30, without a type 10`
fn errors_text(types: &[ErrorType]) -> String {
    let texts = types.iter().map(|it| {
        let name = if it.error_type.is_empty() { "without a type" } else { it.error_type.as_str() };
        format!("{} {}", shorten(name, ERROR_CHARS), Count(it.events))
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn signed(number: f64) -> String {
    format!("{number:.2}").replace('-', "\u{2212}")
}

fn suspicion_text(suspicion: &Suspicion) -> String {
    match suspicion {
        Suspicion::DiscriminatesBadly { discrimination } => format!(
            "Those who do well elsewhere do no better here (discrimination {}): the key may be wrong, or the question misleading.",
            signed(*discrimination)
        ),
        Suspicion::TooHardForTheBest { rate } => {
            format!("Only {} of the best third are right at first.", share_text(Some(*rate)))
        }
        Suspicion::TooEasy { rate } => {
            format!("{} are right at first: it tells nothing.", share_text(Some(*rate)))
        }
        Suspicion::NeedsHints { rate } => {
            format!("{} of its learners asked for a hint.", share_text(Some(*rate)))
        }
    }
}

/// A lesson as it is declared.
pub(crate) struct PlanRow {
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) is_optional: bool,
    pub(crate) exercises: Vec<(String, String)>,
}

/// The declared lessons with their exercises and what those are about.
pub(crate) fn plan_of(structure: &CourseStructure) -> Vec<PlanRow> {
    let rows = structure.lessons.iter().map(|lesson| PlanRow {
        title: title_or(&lesson.title, &lesson.id),
        id: lesson.id.clone(),
        is_optional: lesson.is_optional,
        exercises: lesson
            .exercises
            .iter()
            .map(|it| (title_or(&it.title, &it.id), it.skills.join(", ")))
            .collect(),
    });
    rows.collect()
}

/// How a first learning event is sent with the key of a DSN.
pub(crate) fn event_snippets(dsn: &str) -> Vec<Snippet> {
    let Some((scheme, rest)) = dsn.split_once("://") else { return Vec::new() };
    let Some((key, rest)) = rest.split_once('@') else { return Vec::new() };
    let Some((host, project)) = rest.rsplit_once('/') else { return Vec::new() };
    let url = format!("{scheme}://{host}/api/{project}/learning/events?sentry_key={key}");
    let snippet = |language, id, code: String| Snippet { language, id, code };
    vec![
        snippet(
            "curl",
            "snippet-learning-curl",
            format!(
                "curl \"{url}\" -d '{{\"event_type\": \"exercise_attempt\",\n  \"user_id\": \"ada\", \"course_id\": \"rust-101\", \"lesson_id\": \"loops\",\n  \
                 \"exercise_id\": \"loops-1\", \"skills\": [\"loops\"],\n  \"metadata\": {{\"success\": true, \"duration\": 41.5}}}}'"
            ),
        ),
        snippet(
            "Python",
            "snippet-learning-python",
            format!(
                "import json, urllib.request\n\nevent = {{\n    \"event_type\": \"exercise_attempt\", \"user_id\": \"ada\",\n    \
                 \"course_id\": \"rust-101\", \"lesson_id\": \"loops\", \"exercise_id\": \"loops-1\",\n    \
                 \"skills\": [\"loops\"], \"metadata\": {{\"success\": True, \"duration\": 41.5}},\n}}\n\
                 urllib.request.urlopen(\"{url}\", data=json.dumps(event).encode())"
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicions_and_numbers_are_in_words() {
        let words = [
            Suspicion::DiscriminatesBadly { discrimination: -0.054 },
            Suspicion::TooHardForTheBest { rate: 0.2 },
            Suspicion::TooEasy { rate: 0.981 },
            Suspicion::NeedsHints { rate: 0.7 },
        ]
        .map(|it| suspicion_text(&it));
        assert!(words[0].contains("discrimination \u{2212}0.05"), "{words:?}");
        assert_eq!(words[1], "Only 20 % of the best third are right at first.");
        assert_eq!(words[2], "98 % are right at first: it tells nothing.");
        assert_eq!(words[3], "70 % of its learners asked for a hint.");
        assert_eq!((share_text(None), time_text(None)), (NONE.to_owned(), NONE.to_owned()));
        assert_eq!(time_text(Some(0.0)), NONE);
        assert_eq!(time_text(Some(245.0)), "4 min 5 s");
    }

    #[test]
    fn snippets_name_the_door_and_the_key() {
        let code = &event_snippets("https://k1@host.example/bv/7")[0].code;
        let door = "https://host.example/bv/api/7/learning/events?sentry_key=k1";
        assert!(code.contains(door), "{code}");
        assert!(event_snippets("nonsense").is_empty());
    }
}
