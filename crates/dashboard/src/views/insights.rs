//! Answers to questions that people put together: charts, each with its numbers behind it.

use std::fmt;
use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{
    Answer, FunnelQuestion, PATH_GAP, PathQuestion, Question, RetentionQuestion, Way,
};
use belvedere_event_store::kernel::funnel::FunnelGroup;
use belvedere_event_store::kernel::group::Group;
use belvedere_event_store::kernel::path::PathAnswer;
use belvedere_event_store::query::{FunnelAnswer, RetentionTable};

use crate::views::business::HeatTable;
use crate::views::trend::TrendView;
use crate::wording::{Count, percent, shorten};

/// An answer, as cards of its own page or as the inside of a tile.
pub(crate) enum InsightView {
    Trend(Box<TrendView>),
    Funnel(FunnelView),
    Retention(RetentionView),
    Path(PathView),
}

impl HtmlSafe for InsightView {}

impl fmt::Display for InsightView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trend(view) => view.fmt(f),
            Self::Funnel(view) => view.fmt(f),
            Self::Retention(view) => view.fmt(f),
            Self::Path(view) => view.fmt(f),
        }
    }
}

impl InsightView {
    /// The view of an answer; none if it is of another kind than its question.
    pub(crate) fn new(
        question: &Question,
        answer: &Answer,
        calendar: &Calendar,
        is_tile: bool,
    ) -> Option<Self> {
        Some(match (question, answer) {
            (Question::Trend(question), Answer::Trend { whole, parts }) => {
                let view = TrendView::counts(question, (whole, parts.as_ref()), calendar, is_tile);
                Self::Trend(Box::new(view))
            }
            (Question::Trend(question), Answer::Lines(lines)) => {
                Self::Trend(Box::new(TrendView::values(question, lines, calendar, is_tile)))
            }
            (Question::Funnel(question), Answer::Funnel(answer)) => {
                Self::Funnel(FunnelView::new(question, answer, is_tile))
            }
            (Question::Retention(question), Answer::Retention(table)) => {
                Self::Retention(RetentionView::new(question, table, is_tile))
            }
            (Question::Path(question), Answer::Path(answer)) => {
                Self::Path(PathView::new(question, answer, is_tile))
            }
            _ => return None,
        })
    }

    /// Unit, period and basis, for the head of a tile.
    pub(crate) fn basis(&self) -> String {
        match self {
            Self::Trend(view) => view.basis(),
            Self::Funnel(view) => format!("people, last {} days, {}", view.days, view.window),
            Self::Retention(view) => {
                format!("share of the people of each {}, {} {}s", view.unit, view.periods, view.unit)
            }
            Self::Path(view) => {
                let way = if view.is_back { "before" } else { "after" };
                format!("{way} {}, {} days; {} paths", view.anchor, view.days, view.paths)
            }
        }
    }
}

pub(crate) fn group_name(group: &Group) -> String {
    match group {
        Group::All => "all".to_owned(),
        Group::NotSet => "not set".to_owned(),
        Group::Other => "all others".to_owned(),
        Group::Text(text) => shorten(text, 80),
    }
}

/// A step of a way.
pub(crate) struct Step {
    name: String,
    people: Count,
    /// In hundredths of those of the first step.
    width: String,
    of_first: String,
    of_before: String,
    median: String,
}

/// The people of one text.
pub(crate) struct FunnelRow {
    group: String,
    people: Vec<Count>,
    through: String,
}

/// How many people get through the steps of a way.
#[derive(Template)]
#[template(path = "insights/funnel_view.html")]
pub(crate) struct FunnelView {
    is_tile: bool,
    days: u16,
    /// `within 7 days`
    window: String,
    names: Vec<String>,
    steps: Vec<Step>,
    by: String,
    rows: Vec<FunnelRow>,
}

impl FunnelView {
    fn new(question: &FunnelQuestion, answer: &FunnelAnswer, is_tile: bool) -> Self {
        let parts = answer.groups.get(1..).unwrap_or_default();
        Self {
            is_tile,
            days: question.days,
            window: window_text(question.window_days),
            names: question.steps.clone(),
            steps: answer.groups.first().map(|whole| steps_of(&question.steps, whole)).unwrap_or_default(),
            by: question.by.clone().unwrap_or_default(),
            rows: parts.iter().map(funnel_row).collect(),
        }
    }
}

/// `within 7 days`
pub(crate) fn window_text(days: u16) -> String {
    format!("within {days} {}", if days == 1 { "day" } else { "days" })
}

fn steps_of(names: &[String], whole: &FunnelGroup) -> Vec<Step> {
    let first = whole.steps.first().map_or(0, |step| step.subjects);
    let before = std::iter::once(first).chain(whole.steps.iter().map(|step| step.subjects));
    let steps = names.iter().zip(&whole.steps).zip(before).map(|((name, step), before)| Step {
        name: name.clone(),
        people: Count(step.subjects),
        width: format!("{:.1}", if first > 0 { step.subjects as f64 / first as f64 * 100.0 } else { 0.0 }),
        of_first: percent(step.subjects, first),
        of_before: percent(step.subjects, before),
        median: step.median_ms.map(time_text).unwrap_or_default(),
    });
    steps.collect()
}

fn funnel_row(group: &FunnelGroup) -> FunnelRow {
    let first = group.steps.first().map_or(0, |step| step.subjects);
    let last = group.steps.last().map_or(0, |step| step.subjects);
    FunnelRow {
        group: group_name(&group.group),
        people: group.steps.iter().map(|step| Count(step.subjects)).collect(),
        through: percent(last, first),
    }
}

/// `4 min`, `2.5 h`, `3.1 days`
fn time_text(milliseconds: i64) -> String {
    let seconds = milliseconds as f64 / 1_000.0;
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Whether people come again.
#[derive(Template)]
#[template(path = "insights/retention_view.html")]
pub(crate) struct RetentionView {
    is_tile: bool,
    unit: &'static str,
    periods: u8,
    heat: HeatTable,
}

impl RetentionView {
    fn new(question: &RetentionQuestion, table: &RetentionTable, is_tile: bool) -> Self {
        let unit = question.unit.as_str();
        Self { is_tile, unit, periods: question.periods(), heat: HeatTable::retention(table, unit) }
    }
}

/// A way from one event to another.
pub(crate) struct Edge {
    from: String,
    /// Empty where the path ends.
    to: String,
    paths: Count,
    people: Count,
    share: String,
    /// In hundredths of all paths.
    width: String,
}

/// What people do next, or did before.
#[derive(Template)]
#[template(path = "insights/path_view.html")]
pub(crate) struct PathView {
    is_tile: bool,
    anchor: String,
    is_back: bool,
    days: u16,
    paths: Count,
    people: Count,
    /// By step.
    steps: Vec<Vec<Edge>>,
}

/// The longest time from one step of a path to the next, in minutes.
pub(crate) fn gap_minutes() -> u64 {
    Duration::as_secs(&PATH_GAP) / 60
}

impl PathView {
    fn new(question: &PathQuestion, answer: &PathAnswer, is_tile: bool) -> Self {
        Self {
            is_tile,
            anchor: question.event.clone(),
            is_back: question.direction == Way::Previous,
            days: question.days,
            paths: Count(answer.paths),
            people: Count(answer.subjects),
            steps: edges_of(answer),
        }
    }
}

fn edges_of(answer: &PathAnswer) -> Vec<Vec<Edge>> {
    let mut steps: Vec<Vec<Edge>> = Vec::new();
    for edge in &answer.edges {
        let share = if answer.paths > 0 { edge.paths as f64 / answer.paths as f64 * 100.0 } else { 0.0 };
        let place = edge.step.saturating_sub(1);
        if steps.len() <= place {
            steps.resize_with(place + 1, Vec::new);
        }
        steps[place].push(Edge {
            from: edge.from.clone(),
            to: edge.to.clone().unwrap_or_default(),
            paths: Count(edge.paths),
            people: Count(edge.subjects),
            share: percent(edge.paths, answer.paths),
            width: format!("{share:.1}"),
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_unit_that_fits() {
        let texts = [4_400, 240_000, 9_000_000, 270_000_000].map(time_text);
        assert_eq!(texts, ["4 s", "4 min", "2.5 h", "3.1 days"]);
        assert_eq!([1, 7].map(window_text), ["within 1 day", "within 7 days"]);
    }
}
