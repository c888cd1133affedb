//! How often something happens, or how much, over time: one series, or a formula between several.

use belvedere_event_store::columns::PropName;
use belvedere_event_store::kernel::formula::Formula;
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::kernel::trend::{Breakdown, Measures, Point, Series};
use belvedere_event_store::query::{AskFormula, AskTrend, FormulaSeries, Measure, TrendAnswer};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Asking, GROUPS_MAX, PEOPLE_MIN, group, unit};
use super::cohort::CohortId;
use super::question::{DAYS, Every, breakdown, check_name, one_of};
use super::words::words;
use crate::BusinessError;
use crate::calendar::Calendar;
use crate::table::{Cell, Table};

/// The most series of a trend.
pub const SERIES_MAX: usize = 5;

words! {
    /// What a trend counts.
    Counted {
        /// Events.
        Events = "events",
        /// Different people.
        People = "people",
        /// The sum of values, 0 without any.
        Sum = "sum",
        /// The average value; none without any, as those that follow.
        Average = "average",
        /// The least value.
        Min = "min",
        /// The greatest value.
        Max = "max",
        /// The value that half of them do not exceed, by nearest rank, as those that follow.
        Median = "median",
        /// The value that three quarters of them do not exceed.
        P75 = "p75",
        /// The value that 90 % of them do not exceed.
        P90 = "p90",
        /// The value that 95 % of them do not exceed.
        P95 = "p95",
        /// The value that 99 % of them do not exceed.
        P99 = "p99",
    }
}

impl Counted {
    /// Whether it is about values, not about how many there are.
    #[must_use]
    pub fn reads_values(self) -> bool {
        !matches!(self, Self::Events | Self::People)
    }

    /// The same in the words of the event store.
    fn measure(self) -> Measure {
        match self {
            Self::Events => Measure::Events,
            Self::People => Measure::Subjects,
            Self::Sum => Measure::Sum,
            Self::Average => Measure::Average,
            Self::Min => Measure::Min,
            Self::Max => Measure::Max,
            Self::Median => Measure::Percentile(0),
            Self::P75 => Measure::Percentile(1),
            Self::P90 => Measure::Percentile(2),
            Self::P95 => Measure::Percentile(3),
            Self::P99 => Measure::Percentile(4),
        }
    }
}

/// What a series of a trend counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesQuestion {
    /// The name of the events; all of them if it is empty.
    pub event: String,
    /// What is counted.
    pub measure: Counted,
    /// The property whose numbers are the values; the value of the events if there is none.
    pub of: Option<String>,
}

impl Default for SeriesQuestion {
    fn default() -> Self {
        Self { event: String::new(), measure: Counted::Events, of: None }
    }
}

/// How often something happens, or how much, over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrendQuestion {
    /// The name of the events; all of them if it is empty.
    pub event: String,
    /// What is counted.
    pub measure: Counted,
    /// The property whose numbers are the values; the value of the events if there is none.
    pub of: Option<String>,
    /// The series B, C, .. of a formula; the one above is A. There are at most [`SERIES_MAX`] together.
    pub more: Vec<SeriesQuestion>,
    /// What is computed from the series, such as `A / B * 100`: see [`belvedere_event_store::kernel::formula`].
    pub formula: Option<String>,
    /// What time is cut into.
    pub unit: Every,
    /// One of [`DAYS`].
    pub days: u16,
    /// The property that the events are divided by.
    pub by: Option<String>,
    /// Only those of these people.
    pub cohort: Option<CohortId>,
}

impl Default for TrendQuestion {
    fn default() -> Self {
        Self {
            event: String::new(),
            measure: Counted::Events,
            of: None,
            more: Vec::new(),
            formula: None,
            unit: Every::Day,
            days: DAYS[0],
            by: None,
            cohort: None,
        }
    }
}

/// The property whose numbers are values; none for the value of the events.
fn values_of(of: Option<&str>) -> Result<Option<PropName>, BusinessError> {
    match of {
        None | Some("value") => Ok(None),
        Some(of) => match Field::find(of) {
            Some(Field::Prop(name)) => Ok(Some(name)),
            _ => {
                let shown: String = of.chars().take(40).collect();
                Err(BusinessError::invalid("of", format!("{shown} is no name of a property with numbers")))
            }
        },
    }
}

impl TrendQuestion {
    /// The series A, B, ..
    #[must_use]
    pub fn series(&self) -> Vec<SeriesQuestion> {
        let first = SeriesQuestion { event: self.event.clone(), measure: self.measure, of: self.of.clone() };
        std::iter::once(first).chain(self.more.iter().cloned()).collect()
    }

    pub(super) fn check(&self) -> Result<(), BusinessError> {
        let series = self.series();
        if series.len() > SERIES_MAX {
            return Err(BusinessError::invalid("more", format!("must be at most {}", SERIES_MAX - 1)));
        }
        for (one, field) in series.iter().zip(["event"].into_iter().chain(std::iter::repeat("more"))) {
            check_name(field, &one.event)?;
            values_of(one.of.as_deref())?;
            if one.of.is_some() && !one.measure.reads_values() {
                let why = format!("{} are counted without values", one.measure.as_str());
                return Err(BusinessError::invalid("of", why));
            }
        }
        one_of("days", self.days, &DAYS)?;
        breakdown(self.by.as_deref())?;
        match &self.formula {
            None if series.len() > 1 => {
                Err(BusinessError::invalid("formula", "must be given with more than one series"))
            }
            None => Ok(()),
            Some(_) if self.by.is_some() => {
                Err(BusinessError::invalid("by", "cannot be given with a formula"))
            }
            Some(formula) => Formula::parse(formula, series.len())
                .map(drop)
                .map_err(|error| BusinessError::invalid("formula", error.to_string())),
        }
    }
}

/// Numbers over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Which events they are about.
    pub group: Group,
    /// One for each bucket; none where there is none, or where whoever looks may not know it.
    pub points: Vec<Option<f64>>,
    /// The same of the whole time; none where it does not follow from the points.
    pub total: Option<f64>,
}

/// Values over time, or what a formula comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// The start of each bucket.
    pub starts: Vec<Timestamp>,
    /// Of all events.
    pub whole: Line,
    /// By text; empty without a breakdown.
    pub parts: Vec<Line>,
    /// What a formula was computed from, by series and bucket; empty without one.
    pub series: Vec<Vec<Option<f64>>>,
}

fn is_few(people: u64) -> bool {
    (1..PEOPLE_MIN).contains(&people)
}

/// A measure of the points that are shown, and of all of them together.
fn line(series: &Series, counted: Counted, is_hidden: impl Fn(usize, &Point) -> bool) -> Line {
    let measure = counted.measure();
    let points: Vec<Option<&Point>> = series
        .points
        .iter()
        .enumerate()
        .map(|(bucket, point)| (!is_hidden(bucket, point)).then_some(point))
        .collect();
    let shown = || points.iter().copied().flatten();
    let sum: f64 = shown().map(|point| point.sum).sum();
    let values: u64 = shown().map(|point| point.values).sum();
    let total = match counted {
        Counted::Sum => Some(sum),
        Counted::Average => (values > 0).then(|| sum / values as f64),
        Counted::Min => shown().filter_map(|point| point.min).reduce(f64::min),
        Counted::Max => shown().filter_map(|point| point.max).reduce(f64::max),
        _ => None,
    };
    let points = points.into_iter().map(|point| point.and_then(|point| measure.of(point))).collect();
    Line { group: series.group.clone(), points, total }
}

impl Asking<'_> {
    pub(super) async fn trend(&self, question: &TrendQuestion) -> Result<Answer, BusinessError> {
        if let Some(formula) = &question.formula {
            return self.formula(question, formula).await;
        }
        let counted = question.measure;
        let is_percentile = matches!(counted.measure(), Measure::Percentile(_));
        let values_of = values_of(question.of.as_deref())?;
        let ask = |breakdown: Option<Breakdown>| -> Result<AskTrend, BusinessError> {
            let counts_people = counted == Counted::People
                || self.is_public && (breakdown.is_some() || counted.reads_values());
            Ok(AskTrend {
                span: self.span(question.days)?,
                unit: unit(question.unit),
                filter: self.events(&question.event),
                measures: Measures {
                    subjects: counts_people,
                    values: counted.reads_values(),
                    percentiles: is_percentile,
                },
                values_of: values_of.clone(),
                breakdown,
            })
        };
        let whole = self.queries.trend(ask(None)?).await?;
        let parts = match breakdown(question.by.as_deref())? {
            Some(field) => {
                Some(self.queries.trend(ask(Some(Breakdown { field, limit: GROUPS_MAX }))?).await?)
            }
            None => None,
        };
        if counted.reads_values() {
            return Ok(Answer::Lines(self.lines(counted, &whole, parts.as_ref())));
        }
        let parts = parts.map(|mut parts| {
            if self.is_public {
                parts.series.retain(|series| series.subjects >= PEOPLE_MIN);
            }
            parts
        });
        Ok(Answer::Trend { whole, parts })
    }

    /// Whoever has a link sees no value of fewer than [`PEOPLE_MIN`] people, nor what is left of the whole without it.
    fn lines(&self, counted: Counted, whole: &TrendAnswer, parts: Option<&TrendAnswer>) -> Lines {
        let parts = parts.map_or(&[][..], |parts| &parts.series);
        let hides = |point: &Point| self.is_public && is_few(point.subjects);
        let left_over: Vec<u64> = (0..whole.starts.len())
            .map(|bucket| {
                let of_bucket = parts.iter().filter_map(|series| series.points.get(bucket));
                of_bucket.filter(|point| hides(point)).map(|point| point.subjects).sum()
            })
            .collect();
        let is_hidden = |bucket: usize, point: &Point| {
            hides(point) || self.is_public && is_few(left_over.get(bucket).copied().unwrap_or(0))
        };
        let is_shown = |series: &&Series| !self.is_public || series.subjects >= PEOPLE_MIN;
        let nothing = Line { group: Group::All, points: vec![None; whole.starts.len()], total: None };
        Lines {
            starts: whole.starts.clone(),
            whole: whole.series.first().map_or(nothing, |series| line(series, counted, is_hidden)),
            parts: parts
                .iter()
                .filter(is_shown)
                .map(|series| line(series, counted, |_, point| hides(point)))
                .collect(),
            series: Vec::new(),
        }
    }

    async fn formula(&self, question: &TrendQuestion, formula: &str) -> Result<Answer, BusinessError> {
        let asked = question.series();
        let mut series = Vec::with_capacity(asked.len() * 2);
        for one in &asked {
            let (filter, values_of) = (self.events(&one.event), values_of(one.of.as_deref())?);
            series.push(FormulaSeries { filter, measure: one.measure.measure(), values_of });
        }
        if self.is_public {
            // Behind the series, of how many people they are; the formula cannot name these.
            for one in &asked {
                let (filter, measure) = (self.events(&one.event), Measure::Subjects);
                series.push(FormulaSeries { filter, measure, values_of: None });
            }
        }
        let ask = AskFormula {
            span: self.span(question.days)?,
            unit: unit(question.unit),
            series,
            formula: formula.to_owned(),
        };
        let mut answer = self.queries.formula(ask).await?;
        let people = answer.series.split_off(asked.len().min(answer.series.len()));
        for bucket in 0..answer.starts.len() {
            let of_few = |(one, people): (&SeriesQuestion, &Vec<Option<f64>>)| {
                let people = people.get(bucket).copied().flatten().unwrap_or(0.0);
                one.measure.reads_values() && is_few(people as u64)
            };
            if asked.iter().zip(&people).any(of_few) {
                let shown = std::iter::once(&mut answer.points).chain(&mut answer.series);
                shown.filter_map(|points| points.get_mut(bucket)).for_each(|point| *point = None);
            }
        }
        let whole = Line { group: Group::All, points: answer.points, total: None };
        Ok(Answer::Lines(Lines { starts: answer.starts, whole, parts: Vec::new(), series: answer.series }))
    }
}

/// The letter of a series, by its place.
#[must_use]
pub fn letter(place: usize) -> char {
    ('A'..='Z').nth(place).unwrap_or('?')
}

pub(super) fn lines_table(lines: &Lines, question: &TrendQuestion, calendar: &Calendar) -> Table {
    let day = |start: &Timestamp| Cell::from(calendar.show(*start).unwrap_or_default());
    let number = |points: &[Option<f64>], bucket: usize| Cell::from(points.get(bucket).copied().flatten());
    if question.formula.is_some() {
        let letters = (0..lines.series.len()).map(|place| letter(place).to_string());
        let columns = std::iter::once(question.unit.as_str().to_owned()).chain(letters);
        let mut table = Table::new(columns.chain(["formula".to_owned()]));
        for (bucket, start) in lines.starts.iter().enumerate() {
            let numbers =
                lines.series.iter().chain([&lines.whole.points]).map(|points| number(points, bucket));
            table.row(std::iter::once(day(start)).chain(numbers));
        }
        return table;
    }
    let by = question.by.is_some();
    let columns = [Some(question.unit.as_str()), by.then_some("group"), Some(question.measure.as_str())];
    let mut table = Table::new(columns.into_iter().flatten());
    let all = if by { &lines.parts[..] } else { std::slice::from_ref(&lines.whole) };
    for line in all {
        for (bucket, start) in lines.starts.iter().enumerate() {
            let head = by.then(|| group(&line.group));
            table.row([Some(day(start)), head, Some(number(&line.points, bucket))].into_iter().flatten());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_of_the_percentiles_that_are_kept() {
        use belvedere_event_store::kernel::quantile::PERCENTILES;

        let per_mille = |counted: Counted| match counted.measure() {
            Measure::Percentile(place) => PERCENTILES[place],
            _ => 0,
        };
        let all = [Counted::Median, Counted::P75, Counted::P90, Counted::P95, Counted::P99];
        assert_eq!(all.map(per_mille), [500, 750, 900, 950, 990]);
    }

    #[test]
    fn what_is_no_formula_or_value_names_its_field() {
        let why = |question: TrendQuestion| question.check().map_err(|error| error.to_string()).unwrap_err();
        let trend = TrendQuestion::default;
        let formula = |text: &str, more: usize| TrendQuestion {
            formula: Some(text.to_owned()),
            more: vec![SeriesQuestion::default(); more],
            ..trend()
        };
        let of = |measure, of: &str| TrendQuestion { measure, of: Some(of.to_owned()), ..trend() };
        for (question, expected) in [
            (
                TrendQuestion { more: vec![SeriesQuestion::default()], ..trend() },
                "formula: must be given with more than one series",
            ),
            (formula("A / C", 1), "formula: at character 5: there is no series C"),
            (formula("A", SERIES_MAX), "more: must be at most 4"),
            (
                TrendQuestion { by: Some("country".to_owned()), ..formula("A", 0) },
                "by: cannot be given with a formula",
            ),
            (of(Counted::People, "amount"), "of: people are counted without values"),
            (of(Counted::Sum, "country"), "of: country is no name of a property with numbers"),
        ] {
            assert_eq!(why(question), expected);
        }
        assert!(formula("(A - B) / A * 100", 1).check().is_ok());
        assert!(of(Counted::P99, "amount").check().is_ok() && of(Counted::Sum, "value").check().is_ok());
    }
}
