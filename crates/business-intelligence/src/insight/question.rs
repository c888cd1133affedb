//! What an insight asks, in words that last.

use belvedere_event_store::NAME_BYTES_MAX;
use belvedere_event_store::kernel::group::Field;
use serde::{Deserialize, Serialize};

use super::cohort::CohortId;
use super::trend::TrendQuestion;
use super::words::words;
use crate::BusinessError;

/// The periods that can be asked about, in days up to now; the first unless a question says another.
pub const DAYS: [u16; 4] = [30, 7, 90, 180];

/// The times that the steps of a funnel may take together, in days.
pub const WINDOWS_DAYS: [u16; 5] = [1, 7, 14, 30, 90];

/// The most steps of a funnel.
pub const STEPS_MAX: usize = 8;

words! {
    /// What time is cut into, by the project's calendar.
    Every {
        /// Days.
        Day = "day",
        /// Weeks from Monday.
        Week = "week",
        /// Months.
        Month = "month",
    }
}

words! {
    /// Which beginnings count for retention.
    Beginning {
        /// The first of all.
        First = "first",
        /// The first in each period.
        Any = "any",
    }
}

words! {
    /// When somebody must come again to count for a period.
    Return {
        /// In that period.
        Classic = "classic",
        /// In that period or later.
        Rolling = "rolling",
        /// At any time after.
        Unbounded = "unbounded",
    }
}

words! {
    /// Which way a path goes.
    Way {
        /// What happens next.
        Next = "next",
        /// What came before.
        Previous = "previous",
    }
}

/// What an insight asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// How often something happens, or how much, over time.
    Trend(TrendQuestion),
    /// How many people get through the steps of a way.
    Funnel(FunnelQuestion),
    /// Whether people come again.
    Retention(RetentionQuestion),
    /// What people do next, or did before.
    Path(PathQuestion),
}

/// How many people get through the steps of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunnelQuestion {
    /// The names of the events in their order: 2 to [`STEPS_MAX`].
    pub steps: Vec<String>,
    /// Within how many days of the first step all of them happen: one of [`WINDOWS_DAYS`].
    pub window_days: u16,
    /// When the first step happens: one of [`DAYS`].
    pub days: u16,
    /// The property that people are divided by.
    pub by: Option<String>,
    /// Only these people.
    pub cohort: Option<CohortId>,
}

impl Default for FunnelQuestion {
    fn default() -> Self {
        Self { steps: Vec::new(), window_days: WINDOWS_DAYS[1], days: DAYS[0], by: None, cohort: None }
    }
}

/// Whether people come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionQuestion {
    /// The name of the events that people begin with; any if it is empty.
    pub start: String,
    /// Which beginnings count.
    pub beginning: Beginning,
    /// The name of the events that people come again with; any if it is empty.
    pub returned: String,
    /// When they must come again.
    pub mode: Return,
    /// What time is cut into: the last 14 days, 8 weeks or 6 months.
    pub unit: Every,
    /// Only these people.
    pub cohort: Option<CohortId>,
}

impl Default for RetentionQuestion {
    fn default() -> Self {
        Self {
            start: String::new(),
            beginning: Beginning::First,
            returned: String::new(),
            mode: Return::Classic,
            unit: Every::Week,
            cohort: None,
        }
    }
}

impl RetentionQuestion {
    /// How many periods are answered.
    #[must_use]
    pub fn periods(&self) -> u8 {
        match self.unit {
            Every::Day => 14,
            Every::Week => 8,
            Every::Month => 6,
        }
    }
}

/// What people do next, or did before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PathQuestion {
    /// The name of the events that paths begin at.
    pub event: String,
    /// Which way they go.
    pub direction: Way,
    /// When they begin: one of [`DAYS`].
    pub days: u16,
    /// Only those of these people.
    pub cohort: Option<CohortId>,
}

impl Default for PathQuestion {
    fn default() -> Self {
        Self { event: String::new(), direction: Way::Next, days: DAYS[0], cohort: None }
    }
}

/// Refuses the name of an event that none can have.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), BusinessError> {
    if name.len() > NAME_BYTES_MAX {
        let why = format!("the name of the event has more than {NAME_BYTES_MAX} bytes");
        return Err(BusinessError::invalid(field, why));
    }
    if name.contains('\0') {
        return Err(BusinessError::invalid(field, "the name of the event has a NUL"));
    }
    Ok(())
}

/// The property that something is divided by.
pub(super) fn breakdown(by: Option<&str>) -> Result<Option<Field>, BusinessError> {
    let Some(by) = by else { return Ok(None) };
    let found = Field::find(by).filter(|field| *field != Field::Name && by != "value");
    let wrong = || {
        let shown: String = by.chars().take(40).collect();
        BusinessError::invalid("by", format!("{shown} is no name of a property"))
    };
    found.map(Some).ok_or_else(wrong)
}

pub(super) fn one_of(field: &'static str, number: u16, all: &[u16]) -> Result<(), BusinessError> {
    if all.contains(&number) {
        return Ok(());
    }
    let mut all = all.to_vec();
    all.sort_unstable();
    let all: Vec<String> = all.iter().map(u16::to_string).collect();
    Err(BusinessError::invalid(field, format!("must be one of {}", all.join(", "))))
}

impl Question {
    /// The kind as a word: `trend`, `funnel`, `retention`, `path`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trend(_) => "trend",
            Self::Funnel(_) => "funnel",
            Self::Retention(_) => "retention",
            Self::Path(_) => "path",
        }
    }

    /// The cohort that it is limited to.
    #[must_use]
    pub fn cohort(&self) -> Option<CohortId> {
        match self {
            Self::Trend(question) => question.cohort,
            Self::Funnel(question) => question.cohort,
            Self::Retention(question) => question.cohort,
            Self::Path(question) => question.cohort,
        }
    }

    /// Whether it says enough to be asked: a funnel has two steps, a path has an event.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Funnel(question) => question.steps.len() > 1,
            Self::Path(question) => !question.event.is_empty(),
            Self::Trend(_) | Self::Retention(_) => true,
        }
    }

    /// Whether it can be asked.
    ///
    /// # Errors
    /// [`BusinessError::Invalid`] with the field that is missing or beyond its limit.
    pub fn check(&self) -> Result<(), BusinessError> {
        match self {
            Self::Trend(question) => question.check(),
            Self::Funnel(question) => {
                if !(2..=STEPS_MAX).contains(&question.steps.len()) {
                    let why = format!("must be 2 to {STEPS_MAX}");
                    return Err(BusinessError::invalid("steps", why));
                }
                for step in &question.steps {
                    if step.is_empty() {
                        return Err(BusinessError::invalid("steps", "must have the name of an event each"));
                    }
                    check_name("steps", step)?;
                }
                one_of("window_days", question.window_days, &WINDOWS_DAYS)?;
                one_of("days", question.days, &DAYS)?;
                breakdown(question.by.as_deref()).map(drop)
            }
            Self::Retention(question) => {
                check_name("start", &question.start)?;
                check_name("returned", &question.returned)
            }
            Self::Path(question) => {
                if question.event.is_empty() {
                    return Err(BusinessError::invalid("event", "must be given"));
                }
                check_name("event", &question.event)?;
                one_of("days", question.days, &DAYS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Question {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_a_question_does_not_say_is_as_on_its_page() {
        let question = read(json!({"kind": "funnel", "steps": ["page_view", "Signed Up"]}));
        assert_eq!(question.check().map_err(|error| error.to_string()), Ok(()));
        assert_eq!(
            serde_json::to_value(&question).unwrap(),
            json!({"kind": "funnel", "steps": ["page_view", "Signed Up"], "window_days": 7, "days": 30,
                "by": null, "cohort": null})
        );
        assert_eq!(read(json!({"kind": "trend"})), Question::Trend(TrendQuestion::default()));
        assert_eq!(
            serde_json::to_value(read(json!({"kind": "retention", "mode": "rolling"}))).unwrap(),
            json!({"kind": "retention", "start": "", "beginning": "first", "returned": "", "mode": "rolling",
                "unit": "week", "cohort": null})
        );
        assert!(serde_json::from_value::<Question>(json!({"kind": "trend", "stepz": []})).is_err());
    }

    #[test]
    fn what_cannot_be_asked_names_its_field() {
        let why = |value| read(value).check().map_err(|error| error.to_string()).unwrap_err();
        for (value, expected) in [
            (json!({"kind": "funnel", "steps": ["a"]}), "steps: must be 2 to 8"),
            (json!({"kind": "funnel", "steps": ["a", ""]}), "steps: must have the name of an event each"),
            (
                json!({"kind": "funnel", "steps": ["a", "b"], "window_days": 2}),
                "window_days: must be one of 1, 7, 14, 30, 90",
            ),
            (json!({"kind": "trend", "days": 31}), "days: must be one of 7, 30, 90, 180"),
            (json!({"kind": "trend", "by": "value"}), "by: value is no name of a property"),
            (
                json!({"kind": "retention", "start": "x".repeat(201)}),
                "start: the name of the event has more than 200 bytes",
            ),
            (json!({"kind": "path"}), "event: must be given"),
        ] {
            assert_eq!(why(value), expected);
        }
    }
}
