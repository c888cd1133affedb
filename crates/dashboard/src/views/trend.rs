//! How often something happens, or how much: a chart with its numbers behind it.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{
    Counted, Every, Line, Lines, SeriesQuestion, TrendQuestion, letter,
};
use belvedere_event_store::kernel::group::Group;
use belvedere_event_store::kernel::trend::{Point, Series};
use belvedere_event_store::query::TrendAnswer;
use belvedere_storage::Timestamp;

use crate::charts::{Bar, BarChart, Caption, FlowBar, FlowCaption, FlowChart, Part, Svg, spark};
use crate::views::insights::group_name;
use crate::wording::{Count, amount, percent};

/// What a chart draws the greatest value as.
const FULL: f64 = 1_000_000.0;

/// A part of the events.
pub(crate) struct TrendRow {
    group: String,
    total: String,
    share: String,
    spark: Svg,
}

enum Chart {
    Counts(BarChart),
    Values(FlowChart),
}

impl HtmlSafe for Chart {}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts(chart) => chart.fmt(f),
            Self::Values(chart) => chart.fmt(f),
        }
    }
}

/// How often something happens, or how much.
#[derive(Template)]
#[template(path = "insights/trend_view.html")]
pub(crate) struct TrendView {
    is_tile: bool,
    title: String,
    /// `events`, `average of amount`, or a formula.
    unit: String,
    per: &'static str,
    days: u16,
    /// Of the whole time; empty where there is none.
    total: String,
    of_total: &'static str,
    chart: Chart,
    by: String,
    /// What the rows are about.
    head: String,
    rows: Vec<TrendRow>,
    /// What the letters of a formula stand for.
    series: Vec<(char, String)>,
}

/// `events`, `sum of amount`, `average of values`.
fn unit_of(measure: Counted, of: Option<&str>) -> String {
    let word = match measure {
        Counted::Min => "least",
        Counted::Max => "greatest",
        Counted::P75 => "75th percentile",
        Counted::P90 => "90th percentile",
        Counted::P95 => "95th percentile",
        Counted::P99 => "99th percentile",
        other => other.as_str(),
    };
    match of {
        _ if !measure.reads_values() => word.to_owned(),
        None | Some("value") => format!("{word} of values"),
        Some(of) => format!("{word} of {of}"),
    }
}

fn event_title(event: &str) -> String {
    if event.is_empty() { "All events".to_owned() } else { event.to_owned() }
}

fn column(unit: Every) -> &'static str {
    match unit {
        Every::Week => "Week of",
        Every::Month => "Month of",
        Every::Day => "Day",
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

impl TrendView {
    pub(crate) fn counts(
        question: &TrendQuestion,
        (whole, parts): (&TrendAnswer, Option<&TrendAnswer>),
        calendar: &Calendar,
        is_tile: bool,
    ) -> Self {
        let counts_people = question.measure == Counted::People;
        let total = whole.series.first().map_or(0, |series| total_of(series, counts_people));
        let rows = parts.map_or(&[][..], |parts| &parts.series);
        let title = event_title(&question.event);
        Self {
            is_tile,
            chart: Chart::Counts(trend_chart(question, whole, calendar, &title)),
            title,
            unit: question.measure.as_str().to_owned(),
            per: question.unit.as_str(),
            days: question.days,
            total: Count(total).to_string(),
            of_total: if counts_people { "different people" } else { "in all" },
            by: question.by.clone().unwrap_or_default(),
            head: capital(question.measure.as_str()),
            rows: rows.iter().map(|series| trend_row(series, counts_people, total)).collect(),
            series: Vec::new(),
        }
    }

    pub(crate) fn values(
        question: &TrendQuestion,
        lines: &Lines,
        calendar: &Calendar,
        is_tile: bool,
    ) -> Self {
        let (title, unit) = match &question.formula {
            Some(formula) => ("Formula".to_owned(), formula.clone()),
            None => (event_title(&question.event), unit_of(question.measure, question.of.as_deref())),
        };
        let lettered = (0..).zip(question.series()).filter(|_| question.formula.is_some());
        let said = |one: &SeriesQuestion| {
            format!("{}: {}", event_title(&one.event), unit_of(one.measure, one.of.as_deref()))
        };
        Self {
            is_tile,
            chart: Chart::Values(value_chart(question, lines, calendar, (&title, &unit))),
            title,
            per: question.unit.as_str(),
            days: question.days,
            total: lines.whole.total.map(amount).unwrap_or_default(),
            of_total: "over all of them",
            by: question.by.clone().unwrap_or_default(),
            head: capital(&unit),
            unit,
            rows: lines.parts.iter().map(value_row).collect(),
            series: lettered.map(|(place, one)| (letter(place), said(&one))).collect(),
        }
    }

    /// Unit, period and total, for the head of a tile.
    pub(crate) fn basis(&self) -> String {
        let total =
            if self.total.is_empty() { String::new() } else { format!("; {} {}", self.total, self.of_total) };
        format!("{} per {}, {} days{total}", self.unit, self.per, self.days)
    }
}

fn quantity(point: &Point, counts_people: bool) -> u64 {
    if counts_people { point.subjects } else { point.events }
}

/// Of the whole period: people who come on two days are one.
fn total_of(series: &Series, counts_people: bool) -> u64 {
    if counts_people { series.subjects } else { series.events }
}

fn trend_row(series: &Series, counts_people: bool, total: u64) -> TrendRow {
    let quantities: Vec<u64> = series.points.iter().map(|point| quantity(point, counts_people)).collect();
    let (group, own) = (group_name(&series.group), total_of(series, counts_people));
    let is_text = !matches!(series.group, Group::Other);
    TrendRow {
        spark: spark(&quantities, &format!("{group}: {} over the period", Count(own))),
        share: if is_text || !counts_people { percent(own, total) } else { String::new() },
        total: Count(own).to_string(),
        group,
    }
}

fn trend_chart(question: &TrendQuestion, trend: &TrendAnswer, calendar: &Calendar, title: &str) -> BarChart {
    let counts_people = question.measure == Counted::People;
    let points = trend.series.first().map(|series| series.points.as_slice()).unwrap_or_default();
    let bars = trend.starts.iter().zip(points).map(|(start, point)| Bar {
        label: calendar.show(*start).unwrap_or_default(),
        quantity: quantity(point, counts_people),
    });
    let unit = question.measure.as_str();
    let about = format!("{title}: {unit} per {}", question.unit.as_str());
    let column = column(question.unit);
    BarChart::new(bars.collect(), &Caption { about: &about, unit, column, is_small: false })
}

/// The sizes of points, the greatest as [`FULL`].
fn sizes(points: &[Option<f64>]) -> Vec<u64> {
    let most = points.iter().flatten().map(|point| point.abs()).fold(0.0, f64::max);
    let size = |point: &Option<f64>| match point {
        Some(point) if most > 0.0 => (point.abs() / most * FULL).round() as u64,
        _ => 0,
    };
    points.iter().map(size).collect()
}

fn text_of(point: Option<f64>) -> String {
    point.map_or_else(|| "none".to_owned(), amount)
}

fn value_row(line: &Line) -> TrendRow {
    let (group, total) = (group_name(&line.group), line.total.map(amount).unwrap_or_default());
    let about = if total.is_empty() {
        format!("{group} over the period")
    } else {
        format!("{group}: {total} over the period")
    };
    TrendRow { spark: spark(&sizes(&line.points), &about), share: String::new(), total, group }
}

/// Values as bars on both sides of a line, with what a formula was computed from in the table.
fn value_chart(
    question: &TrendQuestion,
    lines: &Lines,
    calendar: &Calendar,
    (title, unit): (&str, &str),
) -> FlowChart {
    const ABOVE: [Part; 1] = [Part { name: "", class: "level" }];
    const BOTH: [Part; 2] =
        [Part { name: "above 0", class: "level" }, Part { name: "below 0", class: "errored" }];
    let points = &lines.whole.points;
    let has_both = points.iter().flatten().any(|point| *point < 0.0);
    let bar = |(bucket, ((start, point), size)): (usize, ((&Timestamp, &Option<f64>), u64))| {
        let parts = match (has_both, point.is_some_and(|point| point < 0.0)) {
            (false, _) => vec![size],
            (true, false) => vec![size, 0],
            (true, true) => vec![0, size],
        };
        let of_series = lines.series.iter().map(|points| text_of(points.get(bucket).copied().flatten()));
        let texts = std::iter::once(text_of(*point)).chain(of_series).collect();
        FlowBar { label: calendar.show(*start).unwrap_or_default(), parts, texts }
    };
    let bars = lines.starts.iter().zip(points).zip(sizes(points)).enumerate().map(bar).collect();
    let most = points.iter().flatten().copied().reduce(f64::max);
    let letters = (0..lines.series.len()).map(|place| letter(place).to_string());
    let columns = [column(question.unit).to_owned(), unit.to_owned()].into_iter().chain(letters);
    let caption = FlowCaption {
        about: format!("{title}: {unit} per {}", question.unit.as_str()),
        peak: text_of(most),
        columns: columns.collect(),
    };
    FlowChart::new(bars, if has_both { &BOTH } else { &ABOVE }, 1, caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_named_with_what_it_is_of() {
        let said = [
            (Counted::People, Some("amount")),
            (Counted::Average, Some("amount")),
            (Counted::P95, None),
            (Counted::Max, Some("value")),
        ];
        assert_eq!(
            said.map(|(measure, of)| unit_of(measure, of)),
            ["people", "average of amount", "95th percentile of values", "greatest of values"]
        );
    }

    #[test]
    fn values_are_drawn_by_their_size_and_what_is_missing_is_not() {
        assert_eq!(sizes(&[Some(-2.0), None, Some(1.0), Some(0.0)]), [1_000_000, 0, 500_000, 0]);
        assert_eq!(sizes(&[None, Some(0.0)]), [0, 0]);
        let question = TrendQuestion { formula: Some("A - B".to_owned()), ..TrendQuestion::default() };
        let at = |text: &str| text.parse().unwrap();
        let lines = Lines {
            starts: vec![at("2026-11-27T00:00:00Z"), at("2026-11-28T00:00:00Z")],
            whole: Line { group: Group::All, points: vec![Some(-1_234.5), None], total: None },
            parts: Vec::new(),
            series: vec![vec![Some(1.0), Some(2.0)], vec![Some(1_235.5), None]],
        };
        let html = TrendView::values(&question, &lines, &Calendar::default(), false).to_string();
        for part in [
            "<small>A - B per day, 30 days</small>",
            "<td class=\"n\">\u{2212}1,234.5</td><td class=\"n\">1</td><td class=\"n\">1,235.5</td>",
            r#"<td class="n">none</td><td class="n">2</td><td class="n">none</td>"#,
            r#"<dt>A</dt><dd class="bidi">All events: events</dd>"#,
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
