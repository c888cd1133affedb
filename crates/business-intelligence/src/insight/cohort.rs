//! Cohorts: people with something in common, to ask about by themselves.

use std::sync::Arc;
use std::time::Duration;

use belvedere_event_store::TEXT_BYTES_MAX;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::cohort::Did;
use belvedere_event_store::kernel::filter::{Filter, PropTest, TextTest, ValueTest};
use belvedere_event_store::kernel::group::Field;
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_event_store::query::{AskCohort, Queries, Span};
use belvedere_kernel::{ProjectId, User};
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use super::question::check_name;
use super::words::words;
use crate::BusinessError;

/// The key of a cohort.
pub type CohortId = Id<Cohort>;

/// The most conditions of a rule.
pub const CONDITIONS_MAX: usize = 10;

/// The longest time that a condition looks back, in days.
pub const DAYS_MAX: u16 = 365;

/// The most times that a condition can ask for.
pub const TIMES_MAX: u32 = 100_000;

/// The most people of a static cohort.
pub const MEMBERS_MAX: u64 = 1_000_000;

/// The weeks that sizes are told of.
pub const WEEKS: usize = 12;

/// Sizes below this are not told.
pub const SIZE_MIN: u64 = 5;

words! {
    /// How conditions go together.
    Matching {
        /// All of them hold.
        All = "all",
        /// At least one holds.
        Any = "any",
    }
}

words! {
    /// How often something was done.
    Often {
        /// So many times or more.
        AtLeast = "at_least",
        /// So many times or fewer, 0 as well; of the people who did anything in that time.
        AtMost = "at_most",
    }
}

words! {
    /// How a property is compared.
    PropertyOp {
        /// It is this text.
        Is = "is",
        /// It is not this text, or not set.
        IsNot = "is_not",
        /// This text occurs in it.
        Contains = "contains",
        /// It is a number greater than this.
        Greater = "greater",
        /// It is a number less than this.
        Less = "less",
        /// It is set.
        Set = "set",
        /// It is not set.
        NotSet = "not_set",
    }
}

/// What the people of a cohort have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whether all conditions must hold, or any.
    #[serde(rename = "match")]
    pub matching: Matching,
    /// 1 to [`CONDITIONS_MAX`].
    pub conditions: Vec<Condition>,
}

/// Something about a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Condition {
    /// They did something so often.
    Did(DidCondition),
    /// They did not do something, but anything else.
    DidNot(DidNotCondition),
    /// They have an event with such a property.
    Property(PropertyCondition),
}

/// Somebody did something so often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DidCondition {
    /// The name of the events; any if it is empty.
    pub event: String,
    /// Whether `times` is the least or the most.
    pub op: Often,
    /// How many times: 1 to [`TIMES_MAX`].
    pub times: u32,
    /// Within the last so many days: 1 to [`DAYS_MAX`].
    pub days: u16,
}

/// Somebody did not do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DidNotCondition {
    /// The name of the events.
    pub event: String,
    /// Within the last so many days: 1 to [`DAYS_MAX`].
    pub days: u16,
}

/// Somebody has an event with such a property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyCondition {
    /// A column of texts, `value`, or the name of a property.
    pub property: String,
    /// How it is compared.
    pub op: PropertyOp,
    /// With what; none for `set` and `not_set`.
    #[serde(default)]
    pub value: Option<String>,
    /// Within the last so many days: 1 to [`DAYS_MAX`].
    pub days: u16,
}

/// People with something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cohort {
    /// Its key.
    pub id: CohortId,
    /// What people call it, 1 to 100 characters; no two of a project have the same name.
    pub name: String,
    /// What they have in common.
    pub rule: Rule,
    /// Whether it is those whom the rule held for when it was made, or those whom it holds for at the time of a
    /// question.
    pub is_static: bool,
    /// How many there were when they were last counted.
    pub size: u64,
    /// When that was.
    pub counted_at: Timestamp,
    /// Who made it; none for a program.
    pub created_by: Option<Id<User>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub changed_at: Timestamp,
}

impl Cohort {
    /// How many there are; none where they are fewer than [`SIZE_MIN`].
    #[must_use]
    pub fn shown_size(&self) -> Option<u64> {
        Some(self.size).filter(|size| *size >= SIZE_MIN)
    }
}

/// How many people were in a live cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortSize {
    /// At the end of the week that begins then.
    pub week: Timestamp,
    /// Before this: the end of that week, or the present.
    pub until: Timestamp,
    /// How many; none for fewer than [`SIZE_MIN`].
    pub size: Option<u64>,
}

/// A cohort to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCohort {
    /// As [`Cohort::name`].
    pub name: String,
    /// What its people have in common.
    pub rule: Rule,
    /// As [`Cohort::is_static`].
    pub is_static: bool,
}

/// What changes about a cohort; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CohortChange {
    /// As [`Cohort::name`].
    pub name: Option<String>,
    /// What its people have in common; only of a live one.
    pub rule: Option<Rule>,
}

fn invalid(why: impl Into<String>) -> BusinessError {
    BusinessError::invalid("rule", why)
}

impl Rule {
    /// Whether it can be asked.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] that says which condition is wrong, counted from 1.
    pub fn check(&self) -> Result<(), BusinessError> {
        if !(1..=CONDITIONS_MAX).contains(&self.conditions.len()) {
            return Err(invalid(format!("must have 1 to {CONDITIONS_MAX} conditions")));
        }
        for (condition, number) in self.conditions.iter().zip(1..) {
            condition.ask().map_err(|error| match error {
                BusinessError::Invalid { field, why } => {
                    invalid(format!("condition {number}: {field}: {why}"))
                }
                other => other,
            })?;
        }
        Ok(())
    }

    /// Whom it holds for at this moment.
    pub(super) async fn find_people(
        &self,
        queries: &dyn Queries,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<SubjectSet, BusinessError> {
        let mut people: Option<SubjectSet> = None;
        for condition in &self.conditions {
            let (filter, did) = condition.ask()?;
            let day = Duration::from_secs(86_400);
            let span = Span {
                project,
                from: now.minus(day * u32::from(condition.days())),
                until: now.plus(Duration::from_micros(1)),
                time_zone: "UTC".to_owned(),
            };
            let found = queries.cohort(AskCohort { span, filter, did }).await?;
            match (&mut people, self.matching) {
                (None, _) => people = Some(Arc::unwrap_or_clone(found)),
                (Some(people), Matching::All) => people.intersect(&found),
                (Some(people), Matching::Any) => people.unite(&found),
            }
        }
        Ok(people.unwrap_or_default())
    }
}

impl Condition {
    /// How many days it looks back.
    #[must_use]
    pub fn days(&self) -> u16 {
        match self {
            Self::Did(condition) => condition.days,
            Self::DidNot(condition) => condition.days,
            Self::Property(condition) => condition.days,
        }
    }

    /// Which events are counted, and how many there must be.
    fn ask(&self) -> Result<(Filter, Did), BusinessError> {
        if !(1..=DAYS_MAX).contains(&self.days()) {
            return Err(BusinessError::invalid("days", format!("must be 1 to {DAYS_MAX}")));
        }
        match self {
            Self::Did(condition) => {
                check_name("event", &condition.event)?;
                if !(1..=TIMES_MAX).contains(&condition.times) {
                    return Err(BusinessError::invalid("times", format!("must be 1 to {TIMES_MAX}")));
                }
                let events = &condition.event;
                let events = if events.is_empty() { Filter::all() } else { Filter::name(events.as_str()) };
                let times = u64::from(condition.times);
                Ok(match condition.op {
                    Often::AtLeast => (events, Did::AtLeast(times)),
                    Often::AtMost => (events, Did::LessThan(times + 1)),
                })
            }
            Self::DidNot(condition) if condition.event.is_empty() => {
                Err(BusinessError::invalid("event", "must be given"))
            }
            Self::DidNot(condition) => {
                check_name("event", &condition.event)?;
                Ok((Filter::name(condition.event.as_str()), Did::LessThan(1)))
            }
            Self::Property(condition) => Ok((condition.filter()?, Did::AtLeast(1))),
        }
    }
}

impl PropertyCondition {
    fn filter(&self) -> Result<Filter, BusinessError> {
        let field = if self.property == "value" { None } else { Some(self.field()?) };
        match (field, self.op) {
            (None, _) => self.number().map(Filter::Value),
            (Some(Field::Prop(name)), PropertyOp::Greater | PropertyOp::Less) => {
                Ok(Filter::Prop(name, PropTest::Number(self.number()?)))
            }
            (Some(Field::Prop(name)), _) => Ok(Filter::Prop(name, PropTest::Text(self.text()?))),
            (Some(Field::Dimension(dimension)), _) => Ok(Filter::Dimension(dimension, self.text()?)),
            (Some(Field::Name), _) => Ok(Filter::Name(self.text()?)),
        }
    }

    fn field(&self) -> Result<Field, BusinessError> {
        let found = Field::find(&self.property);
        found.ok_or_else(|| {
            let columns = Dimension::ALL.map(Dimension::as_str).join(", ");
            BusinessError::invalid("property", format!("must be {columns}, or the name of a property"))
        })
    }

    /// What it is compared with.
    fn given(&self) -> Result<String, BusinessError> {
        let text = self.value.as_deref().unwrap_or_default();
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains('\0') {
            return Err(BusinessError::invalid("value", format!("must have 1 to {TEXT_BYTES_MAX} bytes")));
        }
        Ok(text.to_owned())
    }

    fn text(&self) -> Result<TextTest, BusinessError> {
        Ok(match self.op {
            PropertyOp::Is => TextTest::Is(self.given()?),
            PropertyOp::IsNot => TextTest::IsNot(self.given()?),
            PropertyOp::Contains => TextTest::Contains(self.given()?),
            PropertyOp::Set => TextTest::Set,
            PropertyOp::NotSet => TextTest::NotSet,
            PropertyOp::Greater | PropertyOp::Less => {
                let why = "greater and less compare value and properties that are numbers";
                return Err(BusinessError::invalid("op", why));
            }
        })
    }

    fn number(&self) -> Result<ValueTest, BusinessError> {
        let number = || {
            let number = self.given()?.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| BusinessError::invalid("value", "must be a number"))
        };
        Ok(match self.op {
            PropertyOp::Is => ValueTest::Equal(number()?),
            PropertyOp::Greater => ValueTest::Greater(number()?),
            PropertyOp::Less => ValueTest::Less(number()?),
            PropertyOp::Set => ValueTest::Set,
            PropertyOp::NotSet => ValueTest::NotSet,
            PropertyOp::IsNot | PropertyOp::Contains => {
                let why = "of value must be is, greater, less, set or not_set";
                return Err(BusinessError::invalid("op", why));
            }
        })
    }
}

/// A set of subjects in few bytes: each number as the distance from the one before, seven bits a byte, the lowest first.
pub(crate) fn encode(people: &SubjectSet) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), 0);
    for number in people.iter() {
        let mut rest = number - before;
        before = number;
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

/// The set of these bytes; none if they are not one.
pub(crate) fn decode(bytes: &[u8]) -> Option<SubjectSet> {
    let mut people = SubjectSet::default();
    let (mut number, mut rest, mut shift) = (0_u32, 0_u32, 0);
    for byte in bytes {
        let bits = u32::from(byte & 0x7f);
        rest |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 != 0 {
            shift += 7;
            continue;
        }
        number = number.checked_add(rest)?;
        people.insert(number);
        (rest, shift) = (0, 0);
    }
    (shift == 0).then_some(people)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn a_set_survives_its_bytes(numbers in prop::collection::btree_set(0_u32..300_000, 0..200)) {
            let people: SubjectSet = numbers.iter().copied().collect();
            let bytes = encode(&people);
            prop_assert!(bytes.len() <= numbers.len() * 3);
            let read = decode(&bytes).unwrap();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), numbers.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn bytes_that_are_no_set_are_refused() {
        assert!(decode(&[0x80]).is_none());
        assert!(decode(&[0xff, 0xff, 0xff, 0xff, 0x7f]).is_none());
        assert!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).is_none());
    }

    #[test]
    fn a_wrong_condition_is_named_with_its_field() {
        let why = |condition: serde_json::Value| {
            let rule = json!({"match": "all", "conditions": [
                {"kind": "did", "event": "", "op": "at_least", "times": 1, "days": 30}, condition]});
            let rule: Rule = serde_json::from_value(rule).unwrap();
            rule.check().unwrap_err().to_string()
        };
        for (condition, expected) in [
            (
                json!({"kind": "did", "event": "a", "op": "at_most", "times": 0, "days": 30}),
                "rule: condition 2: times: must be 1 to 100000",
            ),
            (json!({"kind": "did_not", "event": "", "days": 30}), "rule: condition 2: event: must be given"),
            (
                json!({"kind": "did_not", "event": "a", "days": 366}),
                "rule: condition 2: days: must be 1 to 365",
            ),
            (
                json!({"kind": "property", "property": "plan", "op": "greater", "value": "3", "days": 7}),
                "rule: condition 2: op: greater and less compare value and properties that are numbers",
            ),
            (
                json!({"kind": "property", "property": "value", "op": "less", "value": "x", "days": 7}),
                "rule: condition 2: value: must be a number",
            ),
            (
                json!({"kind": "property", "property": "plan", "op": "is", "days": 7}),
                "rule: condition 2: value: must have 1 to 200 bytes",
            ),
        ] {
            assert_eq!(why(condition), expected);
        }
        let none = Rule { matching: Matching::All, conditions: Vec::new() };
        assert_eq!(none.check().unwrap_err().to_string(), "rule: must have 1 to 10 conditions");
    }
}
