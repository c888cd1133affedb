//! Which events are meant, as JSON.

use std::sync::Arc;

use belvedere_event_store::columns::PropName;
use belvedere_event_store::kernel::cohort::Did;
use belvedere_event_store::kernel::filter::{Filter, PropTest, TextTest, ValueTest};
use belvedere_event_store::kernel::group::Field;
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_event_store::query::{AskCohort, NESTING_MAX, TEXTS_MAX};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::asked::Asking;
use super::body::RangeBody;
use crate::problem::Problem;

/// How many cohorts the events of one part of a question can be filtered by.
const COHORTS_MAX: usize = 3;

/// Which events are meant: those of a name that a condition holds for; all of them if both are left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "opened", "where": { "property": "plan", "op": "is", "value": "pro" } }))]
pub(crate) struct EventsBody {
    /// The name of the events. One that no event of the project ever had is refused.
    pub(super) name: Option<String>,
    /// What else must hold.
    #[serde(rename = "where")]
    pub(super) condition: Option<Condition>,
}

/// A condition: either one of `and`, `or` and `not`, or a `cohort`, or a `property` with an `op`.
///
/// At most 100 of them, nested at most 8 deep.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// All of these hold.
    #[schema(no_recursion)]
    and: Option<Vec<Condition>>,
    /// At least one of these holds.
    #[schema(no_recursion)]
    or: Option<Vec<Condition>>,
    /// This does not hold.
    #[schema(no_recursion)]
    not: Option<Box<Condition>>,
    /// The subject did something; at most 3 of these, and none within another. Under `not`: it did not.
    cohort: Option<Box<CohortBody>>,
    /// `name`, `value`, `course`, `lesson`, `exercise`, `country`, `browser`, `os`, `device`, `referrer`, `utm_source`,
    /// `plan`, or the name of a property in `props`: the keys that lead to it, joined by dots. One that has the name of
    /// a column is meant by `props.` and its name. A property that no recent event has is refused.
    property: Option<String>,
    /// Of texts `is`, `is_not`, `contains`, `in`, `set` or `not_set`; of `value` `is`, `greater`, `less`, `set` or
    /// `not_set`; of properties in `props` all of these.
    op: Option<String>,
    /// What the property is compared with: a text, a number for `value`, or a list of texts for `in`; for properties in
    /// `props` a text, a number, a truth value, or a list of texts and numbers.
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
    /// Who is in the cohort, once that was asked.
    #[serde(skip)]
    subjects: Option<Arc<SubjectSet>>,
}

/// The subjects that did something, or those of a saved cohort.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CohortBody {
    /// The id of a saved cohort, by itself.
    id: Option<String>,
    /// Which events; all if left out.
    #[schema(no_recursion)]
    events: Option<EventsBody>,
    /// When; must be given unless `id` is.
    range: Option<RangeBody>,
    /// How many of them at least; 1 if left out.
    at_least: Option<u64>,
}

impl EventsBody {
    /// The filter, once its cohorts are found.
    pub(super) async fn found(mut self, asking: &Asking<'_>) -> Result<Filter, Problem> {
        let mut cohorts = Vec::new();
        if let Some(condition) = &mut self.condition {
            condition.cohorts(&mut cohorts);
        }
        if cohorts.len() > COHORTS_MAX {
            return Err(Problem::invalid("cohort", format!("is there more than {COHORTS_MAX} times")));
        }
        for condition in cohorts {
            let Some(cohort) = condition.cohort.as_deref_mut() else { continue };
            if let Some(id) = &cohort.id {
                if cohort.events.is_some() || cohort.range.is_some() || cohort.at_least.is_some() {
                    return Err(Problem::invalid("cohort", "with an id must have nothing else"));
                }
                let id = id.parse().map_err(|_| Problem::not_found("cohort"))?;
                let people = asking.shared.cohorts.find_people(asking.project.id, id).await?;
                condition.subjects = Some(people);
                continue;
            }
            let range = cohort.range.clone();
            let range = range.ok_or_else(|| Problem::invalid("range", "must be given, or an id"))?;
            let ask = AskCohort {
                span: range.span(asking.project)?,
                filter: std::mem::take(&mut cohort.events).unwrap_or_default().filter()?,
                did: Did::AtLeast(cohort.at_least.unwrap_or(1)),
            };
            condition.subjects = Some(asking.shared.queries.cohort(ask).await?);
        }
        self.filter()
    }

    fn filter(self) -> Result<Filter, Problem> {
        let name = self.name.map(Filter::name);
        let condition = self.condition.map(|it| it.filter(NESTING_MAX)).transpose()?;
        Ok(match (name, condition) {
            (Some(name), Some(condition)) => Filter::And(vec![name, condition]),
            (Some(filter), None) | (None, Some(filter)) => filter,
            (None, None) => Filter::all(),
        })
    }
}

impl Condition {
    /// The conditions in it that are cohorts.
    fn cohorts<'a>(&'a mut self, found: &mut Vec<&'a mut Self>) {
        if self.cohort.is_some() {
            return found.push(self);
        }
        let lists = self.and.iter_mut().chain(&mut self.or).flatten();
        lists.chain(self.not.as_deref_mut()).for_each(|condition| condition.cohorts(found));
    }

    fn filter(self, depth: usize) -> Result<Filter, Problem> {
        let depth = depth.checked_sub(1).ok_or_else(|| {
            Problem::invalid("where", format!("nests conditions deeper than {NESTING_MAX}"))
        })?;
        let all =
            |list: Vec<Self>| list.into_iter().map(|it| it.filter(depth)).collect::<Result<Vec<_>, _>>();
        match (self.and, self.or, self.not, self.cohort, self.property) {
            (Some(list), None, None, None, None) => Ok(Filter::And(all(list)?)),
            (None, Some(list), None, None, None) => Ok(Filter::Or(all(list)?)),
            (None, None, Some(one), None, None) => Ok(Filter::Not(Box::new(one.filter(depth)?))),
            (None, None, None, Some(_), None) => match self.subjects {
                Some(subjects) => Ok(Filter::Subjects(subjects)),
                None => Err(Problem::invalid("cohort", "cannot be within another cohort")),
            },
            (None, None, None, None, Some(property)) => test(&property, self.op.as_deref(), self.value),
            _ => Err(Problem::invalid("where", "must have one of and, or, not, cohort and property")),
        }
    }
}

fn test(property: &str, op: Option<&str>, value: Option<Value>) -> Result<Filter, Problem> {
    let op = op.ok_or_else(|| Problem::invalid("op", "must be given with a property"))?;
    if property == "value" {
        return Ok(Filter::Value(value_test(op, value.as_ref())?));
    }
    match field("property", property)? {
        Field::Name => Ok(Filter::Name(text_test(op, value)?)),
        Field::Dimension(dimension) => Ok(Filter::Dimension(dimension, text_test(op, value)?)),
        Field::Prop(name) => prop_filter(&name, op, value),
    }
}

/// The field of a name.
pub(super) fn field(parameter: &'static str, name: &str) -> Result<Field, Problem> {
    let found = Field::find(name).filter(|_| name != "value");
    found.ok_or_else(|| {
        let why = format!("must be a column of texts or a property of 1 to {} bytes", PropName::BYTES_MAX);
        Problem::invalid(parameter, why)
    })
}

/// The property in `props` that a name stands for.
pub(super) fn prop(parameter: &'static str, name: &str) -> Result<PropName, Problem> {
    match field(parameter, name)? {
        Field::Prop(name) => Ok(name),
        Field::Name | Field::Dimension(_) => {
            Err(Problem::invalid(parameter, "must be a property in props, as it is to have numbers"))
        }
    }
}

fn prop_filter(name: &PropName, op: &str, value: Option<Value>) -> Result<Filter, Problem> {
    let of = |test| Filter::Prop(name.clone(), test);
    let is = |value: Value| match value {
        Value::Number(number) => {
            Ok(of(PropTest::Number(ValueTest::Equal(number.as_f64().unwrap_or(f64::NAN)))))
        }
        Value::Bool(held) => Ok(of(PropTest::Text(TextTest::Is(held.to_string())))),
        Value::String(text) => Ok(of(PropTest::Text(TextTest::Is(text)))),
        _ => Err(Problem::invalid("value", "must be a text, a number or a truth value here")),
    };
    match op {
        "is" => is(value.unwrap_or_default()),
        "is_not" => Ok(Filter::Not(Box::new(is(value.unwrap_or_default())?))),
        "in" => match value {
            Some(Value::Array(list)) if list.len() > TEXTS_MAX => {
                Err(Problem::invalid("value", format!("lists more than {TEXTS_MAX} texts")))
            }
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                Ok(of(PropTest::Text(text_test(op, Some(Value::Array(list)))?)))
            }
            Some(Value::Array(list)) => Ok(Filter::Or(list.into_iter().map(is).collect::<Result<_, _>>()?)),
            _ => Err(Problem::invalid("value", "must be a list of texts and numbers here")),
        },
        "greater" | "less" => Ok(of(PropTest::Number(value_test(op, value.as_ref())?))),
        "contains" | "set" | "not_set" => Ok(of(PropTest::Text(text_test(op, value)?))),
        _ => {
            let why = "must be is, is_not, contains, greater, less, in, set or not_set here";
            Err(Problem::invalid("op", why))
        }
    }
}

fn text_test(op: &str, value: Option<Value>) -> Result<TextTest, Problem> {
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Problem::invalid("value", "must be a text here")),
    };
    Ok(match op {
        "is" => TextTest::Is(text(value)?),
        "is_not" => TextTest::IsNot(text(value)?),
        "contains" => TextTest::Contains(text(value)?),
        "in" => match value {
            Some(Value::Array(list)) => {
                TextTest::In(list.into_iter().map(|it| text(Some(it))).collect::<Result<_, _>>()?)
            }
            _ => return Err(Problem::invalid("value", "must be a list of texts here")),
        },
        "set" => TextTest::Set,
        "not_set" => TextTest::NotSet,
        _ => {
            let why = "must be is, is_not, contains, in, set or not_set here";
            return Err(Problem::invalid("op", why));
        }
    })
}

fn value_test(op: &str, value: Option<&Value>) -> Result<ValueTest, Problem> {
    let number = || {
        let number = value.and_then(Value::as_f64);
        number.ok_or_else(|| Problem::invalid("value", "must be a number here"))
    };
    Ok(match op {
        "is" => ValueTest::Equal(number()?),
        "greater" => ValueTest::Greater(number()?),
        "less" => ValueTest::Less(number()?),
        "set" => ValueTest::Set,
        "not_set" => ValueTest::NotSet,
        _ => return Err(Problem::invalid("op", "must be is, greater, less, set or not_set here")),
    })
}
