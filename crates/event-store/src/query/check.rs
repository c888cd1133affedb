//! The limits of questions, and what questions need to be answered.

use std::ops::Range;
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use super::decode::{Wants, text_field};
use super::segment::Column;
use super::{QueriesError, Span};
use crate::columns::{Dimension, PropName};
use crate::kernel::filter::{Filter, PropTest, TextTest, ValueTest};
use crate::kernel::group::Field;
use crate::{Fields, NAME_BYTES_MAX, TIME_END, TIME_MIN, TextField};

/// The most days between the ends of a span: two years.
pub const RANGE_DAYS_MAX: u64 = 732;
/// The most buckets or periods of an answer.
pub const BUCKETS_MAX: usize = 1_000;
/// The most steps of a funnel or a path: what their kernels hold.
pub const STEPS_MAX: usize = crate::kernel::funnel::STEPS_MAX;
/// The most groups of a breakdown that are answered by themselves.
pub const BREAKDOWN_MAX: usize = 50;
/// The longest window of a funnel.
pub const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The longest gap within a session or a path.
pub const GAP_MAX: Duration = Duration::from_secs(86_400);
/// The most edges of a path that are answered for one step.
pub const EDGES_MAX: usize = 200;
/// The most names or values of a list, and the most entries or exits of sessions.
pub const LIST_MAX: usize = 1_000;
/// The most conditions of one filter, groups of them included.
pub const CONDITIONS_MAX: usize = 100;
/// How deeply conditions may be nested.
pub const NESTING_MAX: usize = 8;
/// The most different properties of one question.
pub const PROPS_MAX: usize = 8;
/// The most texts of one condition.
pub const TEXTS_MAX: usize = 1_000;

const DAY_MICROS: i64 = 86_400_000_000;

/// The ends of a span in whole milliseconds.
pub(crate) fn ends(span: &Span) -> Result<(Timestamp, Timestamp), QueriesError> {
    let whole = |at: Timestamp| Timestamp::from_micros(at.as_millis().saturating_mul(1000));
    let (from, until) = (whole(span.from), whole(span.until));
    for (field, at) in [("from", from), ("until", until)] {
        if at < TIME_MIN || at > TIME_END {
            return Err(QueriesError::invalid(field, format!("must be between {TIME_MIN} and {TIME_END}")));
        }
    }
    if until <= from {
        return Err(QueriesError::invalid("until", "must be later than from"));
    }
    if until.as_micros().abs_diff(from.as_micros()) > RANGE_DAYS_MAX * DAY_MICROS.unsigned_abs() {
        return Err(QueriesError::invalid(
            "from",
            format!("must be at most {RANGE_DAYS_MAX} days before until"),
        ));
    }
    Ok((from, until))
}

pub(crate) fn within(field: &'static str, number: usize, min: usize, max: usize) -> Result<(), QueriesError> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    Err(QueriesError::invalid(field, format!("must be from {min} to {max}")))
}

pub(crate) fn duration_ms(
    field: &'static str,
    ms: i64,
    min: i64,
    max: Duration,
) -> Result<i64, QueriesError> {
    let max = i64::try_from(max.as_millis()).unwrap_or(i64::MAX);
    if (min..=max).contains(&ms) {
        return Ok(ms);
    }
    Err(QueriesError::invalid(field, format!("must be from {min} to {max} ms")))
}

/// What must be read for an answer.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    pub(crate) project: ProjectId,
    /// Microseconds since 1970 UTC.
    pub(crate) time: Range<i64>,
    /// Events outside of this, also in microseconds, would change the answer, so they are left out.
    pub(crate) keep: Range<i64>,
    pub(crate) wants: Wants,
    /// Names that there must be, with the fields that ask for them.
    pub(crate) names: Vec<(&'static str, String)>,
    /// Properties to read, with the fields that ask for them; each once.
    pub(crate) props: Vec<(&'static str, PropName)>,
}

impl Need {
    pub(crate) fn new(project: ProjectId, time: Range<i64>) -> Self {
        Self {
            project,
            time,
            keep: i64::MIN..i64::MAX,
            wants: Wants::default(),
            names: Vec::new(),
            props: Vec::new(),
        }
    }

    /// Whether the same columns of the same project are read.
    pub(crate) fn reads_as(&self, other: &Self) -> bool {
        let (own, others) = (self.props.iter(), other.props.iter());
        self.project == other.project
            && self.wants == other.wants
            && own.map(|(_, name)| name).eq(others.map(|(_, name)| name))
    }

    pub(crate) fn keep(self, keep: Range<i64>) -> Self {
        Self { keep, ..self }
    }

    pub(crate) fn values(mut self) -> Self {
        self.wants.values = true;
        self
    }

    /// Takes note of where values come from.
    pub(crate) fn values_of(
        mut self,
        field: &'static str,
        prop: Option<&PropName>,
    ) -> Result<Self, QueriesError> {
        match prop {
            None => Ok(self.values()),
            Some(name) => self.prop(field, name).map(|()| self),
        }
    }

    /// Takes note of what a breakdown reads.
    pub(crate) fn field(
        mut self,
        parameter: &'static str,
        field: Option<&Field>,
    ) -> Result<Self, QueriesError> {
        match field {
            Some(Field::Dimension(dimension)) => Ok(self.dimension(*dimension)),
            Some(Field::Prop(name)) => self.prop(parameter, name).map(|()| self),
            Some(Field::Name) | None => Ok(self),
        }
    }

    /// Takes note of a property that is read.
    pub(crate) fn prop(&mut self, field: &'static str, name: &PropName) -> Result<(), QueriesError> {
        if self.props.iter().any(|(_, known)| known == name) {
            return Ok(());
        }
        if self.props.len() == PROPS_MAX {
            let why = format!("asks for more than {PROPS_MAX} different properties");
            return Err(QueriesError::invalid(field, why));
        }
        self.props.push((field, name.clone()));
        Ok(())
    }

    pub(crate) fn dimension(mut self, dimension: Dimension) -> Self {
        if let Some(wanted) = self.wants.dimensions.get_mut(dimension.index()) {
            *wanted = true;
        }
        self
    }

    /// Checks a filter and takes note of what it reads.
    pub(crate) fn filter(mut self, field: &'static str, filter: &Filter) -> Result<Self, QueriesError> {
        let mut conditions = 0;
        self.visit(field, filter, NESTING_MAX, true, &mut conditions)?;
        Ok(self)
    }

    fn visit(
        &mut self,
        field: &'static str,
        filter: &Filter,
        depth: usize,
        is_positive: bool,
        conditions: &mut usize,
    ) -> Result<(), QueriesError> {
        *conditions += 1;
        if *conditions > CONDITIONS_MAX {
            return Err(QueriesError::invalid(field, format!("has more than {CONDITIONS_MAX} conditions")));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(QueriesError::invalid(field, format!("nests conditions deeper than {NESTING_MAX}")));
        };
        match filter {
            Filter::And(filters) | Filter::Or(filters) => {
                filters.iter().try_for_each(|it| self.visit(field, it, depth, is_positive, conditions))
            }
            Filter::Not(filter) => self.visit(field, filter, depth, !is_positive, conditions),
            Filter::Name(test) => {
                check_text(field, test)?;
                match test {
                    TextTest::Is(name) if is_positive => self.names.push((field, name.clone())),
                    TextTest::In(names) if is_positive => {
                        self.names.extend(names.iter().map(|name| (field, name.clone())));
                    }
                    _ => {}
                }
                Ok(())
            }
            Filter::Dimension(dimension, test) => {
                if let Some(wanted) = self.wants.dimensions.get_mut(dimension.index()) {
                    *wanted = true;
                }
                check_text(field, test)
            }
            Filter::Value(test) => {
                self.wants.values = true;
                check_number(field, *test)
            }
            Filter::Prop(name, test) => {
                self.prop(field, name)?;
                match test {
                    PropTest::Text(test) => check_text(field, test),
                    PropTest::Number(test) => check_number(field, *test),
                }
            }
            Filter::Subjects(_) => Ok(()),
        }
    }

    /// The columns to read.
    pub(crate) fn fields(&self) -> Fields {
        let base = Fields::TIME.and(Fields::SUBJECT).and(Fields::text(TextField::Name));
        let base = if self.wants.values { base.and(Fields::VALUE) } else { base };
        let wanted = Dimension::ALL.into_iter().zip(self.wants.dimensions).filter(|(_, wanted)| *wanted);
        wanted.fold(base, |fields, (dimension, _)| fields.and(Fields::text(text_field(dimension))))
    }

    /// The columns to decode of a segment.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let wanted = Dimension::ALL.into_iter().zip(self.wants.dimensions).filter(|(_, wanted)| *wanted);
        let texts = wanted.map(|(dimension, _)| Column::Text(dimension));
        let values = self.wants.values.then_some(Column::Values);
        std::iter::once(Column::Base).chain(texts).chain(values).collect()
    }

    /// About how many bytes an event of the answer takes while it is computed.
    pub(crate) fn event_bytes(&self) -> u64 {
        let texts = self.wants.dimensions.into_iter().filter(|wanted| *wanted).count() as u64;
        8 + texts * 2 + self.props.len() as u64 * 4 + if self.wants.values { 8 } else { 0 }
    }
}

fn check_number(field: &'static str, test: ValueTest) -> Result<(), QueriesError> {
    match test {
        ValueTest::Greater(value) | ValueTest::Less(value) | ValueTest::Equal(value)
            if !value.is_finite() =>
        {
            Err(QueriesError::invalid(field, "compares with a number that is not finite"))
        }
        _ => Ok(()),
    }
}

fn check_text(field: &'static str, test: &TextTest) -> Result<(), QueriesError> {
    let texts = match test {
        TextTest::Is(text) | TextTest::IsNot(text) | TextTest::Contains(text) => std::slice::from_ref(text),
        TextTest::In(texts) => texts.as_slice(),
        TextTest::Set | TextTest::NotSet => &[],
    };
    if texts.len() > TEXTS_MAX {
        return Err(QueriesError::invalid(field, format!("lists more than {TEXTS_MAX} texts")));
    }
    if texts.iter().any(|text| text.len() > NAME_BYTES_MAX) {
        return Err(QueriesError::invalid(field, format!("has a text of more than {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}
