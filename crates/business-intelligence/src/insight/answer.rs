//! Questions put to the event store, and their answers as tables.

use std::sync::Arc;
use std::time::Duration;

use belvedere_event_store::kernel::filter::Filter;
use belvedere_event_store::kernel::funnel::{FunnelBreakdown, FunnelGroup, FunnelRules, Touch};
use belvedere_event_store::kernel::group::Group;
use belvedere_event_store::kernel::path::{Direction, PathAnswer};
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_event_store::kernel::trend::Series;
use belvedere_event_store::query::{
    AskFunnel, AskPath, AskRetention, FunnelAnswer, Queries, RetentionTable, Span, TrendAnswer, Unit,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use super::question::{
    Beginning, Every, FunnelQuestion, PathQuestion, Question, RetentionQuestion, Return, Way, breakdown,
};
use super::trend::{Counted, Lines, TrendQuestion, lines_table};
use crate::BusinessError;
use crate::calendar::{Calendar, PeriodUnit};
use crate::table::{Cell, Table};

/// How many texts of a breakdown stand by themselves.
pub const GROUPS_MAX: usize = 10;
/// Steps of a path from its anchor.
pub const PATH_STEPS: usize = 4;
/// How many ways from each step are named.
const EDGES_MAX: usize = 10;
/// The longest time from one step of a path to the next.
pub const PATH_GAP: Duration = Duration::from_secs(30 * 60);

/// Rows about fewer people are not shown to whoever has a link.
pub const PEOPLE_MIN: u64 = 5;

const DAY_SECONDS: u64 = 86_400;

/// Whom to ask, about which project, and when.
pub struct Asking<'a> {
    /// Who answers.
    pub queries: &'a dyn Queries,
    /// The project.
    pub project: ProjectId,
    /// Its calendar.
    pub calendar: &'a Calendar,
    /// The present.
    pub now: Timestamp,
    /// The people of the question's cohort, if it has one.
    pub people: Option<Arc<SubjectSet>>,
    /// Whether rows about fewer than [`PEOPLE_MIN`] people are left out.
    pub is_public: bool,
}

/// What a question comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The series of all events, and with a breakdown one for each text.
    Trend {
        /// All of them.
        whole: TrendAnswer,
        /// By text; none without a breakdown.
        parts: Option<TrendAnswer>,
    },
    /// Values over time, or what a formula comes to.
    Lines(Lines),
    /// First all people, then those of each text.
    Funnel(FunnelAnswer),
    /// Cohorts by the period of their beginning.
    Retention(RetentionTable),
    /// Ways from step to step.
    Path(PathAnswer),
}

impl Asking<'_> {
    /// The answer to a question.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] for a question that cannot be asked, or what the event store says.
    pub async fn answer(&self, question: &Question) -> Result<Answer, BusinessError> {
        question.check()?;
        match question {
            Question::Trend(question) => self.trend(question).await,
            Question::Funnel(question) => self.funnel(question).await,
            Question::Retention(question) => self.retention(question).await,
            Question::Path(question) => self.path(question).await,
        }
    }

    /// The events of a name, or all of them; those of the cohort only.
    pub(super) fn events(&self, name: &str) -> Filter {
        let named = if name.is_empty() { Filter::all() } else { Filter::name(name) };
        match &self.people {
            Some(people) => Filter::And(vec![named, Filter::Subjects(Arc::clone(people))]),
            None => named,
        }
    }

    /// The last whole days of the calendar up to now, the present one among them.
    pub(super) fn span(&self, days: u16) -> Result<Span, BusinessError> {
        Ok(Span {
            project: self.project,
            from: self.calendar.shifted(PeriodUnit::Day, self.now, 1 - i64::from(days))?,
            until: self.now.plus(Duration::from_micros(1)),
            time_zone: self.calendar.name().to_owned(),
        })
    }

    async fn funnel(&self, question: &FunnelQuestion) -> Result<Answer, BusinessError> {
        let field = breakdown(question.by.as_deref())?;
        let window = Duration::from_secs(DAY_SECONDS * u64::from(question.window_days));
        let ask = AskFunnel {
            span: self.span(question.days)?,
            steps: question.steps.iter().map(|name| self.events(name)).collect(),
            window_ms: milliseconds(window),
            rules: FunnelRules::default(),
            breakdown: field.map(|field| FunnelBreakdown { field, touch: Touch::First, limit: GROUPS_MAX }),
        };
        let mut answer = self.queries.funnel(ask).await?;
        if self.is_public {
            let people = |group: &FunnelGroup| group.steps.first().map_or(0, |step| step.subjects);
            answer.groups.retain(|group| group.group == Group::All || people(group) >= PEOPLE_MIN);
        }
        Ok(Answer::Funnel(answer))
    }

    async fn retention(&self, question: &RetentionQuestion) -> Result<Answer, BusinessError> {
        let period = match question.unit {
            Every::Day => PeriodUnit::Day,
            Every::Week => PeriodUnit::Week,
            Every::Month => PeriodUnit::Month,
        };
        let from = self.calendar.shifted(period, self.now, 1 - i64::from(question.periods()))?;
        let time_zone = self.calendar.name().to_owned();
        let ask = AskRetention {
            span: Span { project: self.project, from, until: self.now, time_zone },
            unit: unit(question.unit),
            start: self.events(&question.start),
            returned: self.events(&question.returned),
            cohort_by: match question.beginning {
                Beginning::First => CohortBy::FirstStart,
                Beginning::Any => CohortBy::AnyStart,
            },
            mode: match question.mode {
                Return::Classic => RetentionMode::Classic,
                Return::Rolling => RetentionMode::Rolling,
                Return::Unbounded => RetentionMode::Unbounded,
            },
            complete_until: self.now,
        };
        let mut table = self.queries.retention(ask).await?;
        if self.is_public {
            table.cohorts.retain(|cohort| cohort.subjects >= PEOPLE_MIN);
        }
        Ok(Answer::Retention(table))
    }

    async fn path(&self, question: &PathQuestion) -> Result<Answer, BusinessError> {
        let ask = AskPath {
            span: self.span(question.days)?,
            anchor: self.events(&question.event),
            events: Filter::all(),
            direction: match question.direction {
                Way::Next => Direction::Next,
                Way::Previous => Direction::Previous,
            },
            steps: PATH_STEPS,
            gap_ms: milliseconds(PATH_GAP),
            limit: EDGES_MAX,
        };
        let mut answer = self.queries.path(ask).await?;
        if self.is_public {
            answer.edges.retain(|edge| edge.subjects >= PEOPLE_MIN);
        }
        Ok(Answer::Path(answer))
    }
}

pub(super) fn unit(every: Every) -> Unit {
    match every {
        Every::Day => Unit::Day,
        Every::Week => Unit::Week,
        Every::Month => Unit::Month,
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The column with the texts of a breakdown.
const GROUP: &str = "group";

pub(super) fn group(group: &Group) -> Cell {
    match group {
        Group::All => "all".into(),
        Group::NotSet => Cell::Empty,
        Group::Other => "all others".into(),
        Group::Text(text) => text.as_str().into(),
    }
}

fn share(part: u64, whole: u64) -> Cell {
    if whole == 0 { Cell::Empty } else { (part as f64 / whole as f64).into() }
}

impl Answer {
    /// The numbers as a table: one row for each bucket, step, period or way, and for each text of a breakdown. Shares
    /// are from 0 to 1; days are those of the calendar.
    #[must_use]
    pub fn table(&self, question: &Question, calendar: &Calendar) -> Table {
        match (self, question) {
            (Self::Trend { whole, parts }, Question::Trend(question)) => {
                trend_table(whole, parts.as_ref(), question, calendar)
            }
            (Self::Lines(lines), Question::Trend(question)) => lines_table(lines, question, calendar),
            (Self::Funnel(answer), Question::Funnel(question)) => funnel_table(answer, question),
            (Self::Retention(answer), _) => retention_table(answer, calendar),
            (Self::Path(answer), _) => path_table(answer),
            _ => Table::new::<&str>([]),
        }
    }
}

fn trend_table(
    whole: &TrendAnswer,
    parts: Option<&TrendAnswer>,
    question: &TrendQuestion,
    calendar: &Calendar,
) -> Table {
    let mut columns = vec![question.unit.as_str(), question.measure.as_str()];
    if question.by.is_some() {
        columns.insert(1, GROUP);
    }
    let mut table = Table::new(columns);
    let answer = parts.unwrap_or(whole);
    let mut rows = |series: &Series, head: Option<Cell>| {
        for (start, point) in answer.starts.iter().zip(&series.points) {
            let number = if question.measure == Counted::People { point.subjects } else { point.events };
            let day: Cell = calendar.show(*start).unwrap_or_default().into();
            table.row([Some(day), head.clone(), Some(number.into())].into_iter().flatten());
        }
    };
    for series in &answer.series {
        rows(series, question.by.as_ref().map(|_| group(&series.group)));
    }
    table
}

fn funnel_table(answer: &FunnelAnswer, question: &FunnelQuestion) -> Table {
    let by = question.by.as_ref().map(|_| GROUP);
    let columns = ["step", "event", "people", "of_first", "of_previous", "median_seconds"];
    let mut table = Table::new(by.into_iter().chain(columns));
    for funnel in &answer.groups {
        let first = funnel.steps.first().map_or(0, |step| step.subjects);
        let mut before = first;
        for ((step, name), number) in funnel.steps.iter().zip(&question.steps).zip(1_u64..) {
            let head = by.map(|_| group(&funnel.group));
            let median = step.median_ms.map(|ms| ms as f64 / 1_000.0);
            let cells = [
                number.into(),
                name.as_str().into(),
                step.subjects.into(),
                share(step.subjects, first),
                share(step.subjects, before),
                median.into(),
            ];
            table.row(head.into_iter().chain(cells));
            before = step.subjects;
        }
    }
    table
}

fn retention_table(answer: &RetentionTable, calendar: &Calendar) -> Table {
    let mut table = Table::new(["from", "people", "periods_later", "returned", "share"]);
    for cohort in answer.cohorts.iter().filter(|cohort| cohort.subjects > 0) {
        let from = calendar.show(Timestamp::from_micros(cohort.start_micros)).unwrap_or_default();
        for (returned, later) in cohort.returned.iter().zip(0_u64..) {
            table.row([
                from.as_str().into(),
                cohort.subjects.into(),
                later.into(),
                (*returned).into(),
                share(*returned, cohort.subjects),
            ]);
        }
    }
    table
}

fn path_table(answer: &PathAnswer) -> Table {
    let mut table = Table::new(["step", "from", "to", "paths", "people", "share"]);
    for edge in &answer.edges {
        table.row([
            (edge.step as u64).into(),
            edge.from.as_str().into(),
            edge.to.as_deref().into(),
            edge.paths.into(),
            edge.subjects.into(),
            share(edge.paths, answer.paths),
        ]);
    }
    table
}
