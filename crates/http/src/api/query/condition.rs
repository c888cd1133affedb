//! Which events are meant, as JSON.

use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::filter::{Filter, TextTest, ValueTest};
use belvedere_event_store::query::NESTING_MAX;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::Problem;

/// Which events are meant: those of a name that a condition holds for; all of them if both are left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsBody {
    /// The name of the events. One that no event of the project ever had is refused.
    name: Option<String>,
    /// What else must hold.
    #[serde(rename = "where")]
    condition: Option<Condition>,
}

/// A condition: either one of `and`, `or` and `not`, or a `property` with an `op`.
///
/// At most 100 of them, nested at most 8 deep.
#[derive(Debug, Deserialize, ToSchema)]
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
    /// `name`, `value`, `course`, `lesson`, `exercise`, `country`, `browser`, `os`, `device`, `referrer`, `utm_source`
    /// or `plan`.
    property: Option<String>,
    /// Of texts `is`, `is_not`, `contains`, `in`, `set` or `not_set`; of `value` `is`, `greater`, `less`, `set` or
    /// `not_set`.
    op: Option<String>,
    /// What the property is compared with: a text, a number for `value`, or a list of texts for `in`.
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
}

impl EventsBody {
    pub(crate) fn filter(self) -> Result<Filter, Problem> {
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
    fn filter(self, depth: usize) -> Result<Filter, Problem> {
        let depth = depth.checked_sub(1).ok_or_else(|| {
            Problem::invalid("where", format!("nests conditions deeper than {NESTING_MAX}"))
        })?;
        let all =
            |list: Vec<Self>| list.into_iter().map(|it| it.filter(depth)).collect::<Result<Vec<_>, _>>();
        match (self.and, self.or, self.not, self.property) {
            (Some(list), None, None, None) => Ok(Filter::And(all(list)?)),
            (None, Some(list), None, None) => Ok(Filter::Or(all(list)?)),
            (None, None, Some(one), None) => Ok(Filter::Not(Box::new(one.filter(depth)?))),
            (None, None, None, Some(property)) => test(&property, self.op.as_deref(), self.value),
            _ => Err(Problem::invalid("where", "must have one of and, or, not and property")),
        }
    }
}

fn test(property: &str, op: Option<&str>, value: Option<Value>) -> Result<Filter, Problem> {
    let op = op.ok_or_else(|| Problem::invalid("op", "must be given with a property"))?;
    if property == "value" {
        return Ok(Filter::Value(value_test(op, value.as_ref())?));
    }
    if property == "name" {
        return Ok(Filter::Name(text_test(op, value)?));
    }
    let dimension = Dimension::find(property).ok_or_else(|| unknown("property", property))?;
    Ok(Filter::Dimension(dimension, text_test(op, value)?))
}

/// The refusal of a property that there is not.
pub(super) fn unknown(field: &'static str, property: &str) -> Problem {
    let known = Dimension::ALL.map(Dimension::as_str).join(", ");
    Problem::invalid(field, format!("there is no {property:?}; there are {known}"))
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
