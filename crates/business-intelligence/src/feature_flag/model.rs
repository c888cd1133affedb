use belvedere_kernel::User;
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::BusinessError;
use crate::insight::PropertyOp;

/// The most flags of a project.
pub const FLAGS_MAX: usize = 200;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 100;
/// The longest note, in characters.
pub const NOTE_CHARS_MAX: usize = 200;
/// The most conditions of a flag.
pub const CONDITIONS_MAX: usize = 10;
/// The longest name or value of a condition, in bytes.
pub const VALUE_BYTES_MAX: usize = 200;
/// The largest payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 10;

/// Something that some have and others have not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureFlag {
    /// What programs ask for: 1 to [`KEY_BYTES_MAX`] letters, digits, `-`, `_` and `.`; no two of a project have the
    /// same.
    pub key: String,
    /// Its number in the project, from 1; clients want one.
    pub number: i64,
    /// What it is for, in words.
    pub note: String,
    /// Whether anybody has it.
    pub is_active: bool,
    /// How many in a hundred have it, of those for whom the conditions hold: 0 to 100.
    pub share_percent: u8,
    /// What must hold, all of it.
    pub conditions: Vec<FlagCondition>,
    /// JSON that those who have it are given besides.
    pub payload: Option<String>,
    /// From 1, one more with each change.
    pub version: i64,
    /// Who made it; none for a program.
    pub created_by: Option<Id<User>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub changed_at: Timestamp,
}

/// Something that must hold of what is told of whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagCondition {
    /// The name of a property, 1 to [`VALUE_BYTES_MAX`] bytes.
    pub property: String,
    /// How it is compared; upper and lower case are alike.
    pub op: PropertyOp,
    /// With what; none for `set` and `not_set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A flag to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFlag {
    /// As [`FeatureFlag::key`].
    pub key: String,
    /// As [`FeatureFlag::note`].
    pub note: String,
    /// As [`FeatureFlag::is_active`].
    pub is_active: bool,
    /// As [`FeatureFlag::share_percent`].
    pub share_percent: u8,
    /// As [`FeatureFlag::conditions`].
    pub conditions: Vec<FlagCondition>,
    /// As [`FeatureFlag::payload`].
    pub payload: Option<String>,
}

/// What changes about a flag; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagChange {
    /// Its note.
    pub note: Option<String>,
    /// Whether anybody has it.
    pub is_active: Option<bool>,
    /// How many have it.
    pub share_percent: Option<u8>,
    /// What must hold.
    pub conditions: Option<Vec<FlagCondition>>,
    /// What those are given who have it.
    pub payload: Option<Option<String>>,
}

fn invalid<T>(field: &'static str, why: impl Into<String>) -> Result<T, BusinessError> {
    Err(BusinessError::invalid(field, why))
}

pub(super) fn check_key(key: &str) -> Result<(), BusinessError> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(is_known) {
        return Ok(());
    }
    invalid("key", format!("must have 1 to {KEY_BYTES_MAX} letters, digits, dashes, underscores and dots"))
}

pub(super) fn check_note(note: &str) -> Result<(), BusinessError> {
    if note.chars().count() > NOTE_CHARS_MAX || note.chars().any(char::is_control) {
        return invalid("note", format!("must have at most {NOTE_CHARS_MAX} characters on one line"));
    }
    Ok(())
}

pub(super) fn check_share(share_percent: u8) -> Result<(), BusinessError> {
    if share_percent > 100 { invalid("share_percent", "must be from 0 to 100") } else { Ok(()) }
}

pub(super) fn check_conditions(conditions: &[FlagCondition]) -> Result<(), BusinessError> {
    if conditions.len() > CONDITIONS_MAX {
        return invalid("conditions", format!("must be at most {CONDITIONS_MAX}"));
    }
    for condition in conditions {
        if !(1..=VALUE_BYTES_MAX).contains(&condition.property.len()) {
            return invalid(
                "conditions",
                format!("must each name a property of 1 to {VALUE_BYTES_MAX} bytes"),
            );
        }
        let wants_value = !matches!(condition.op, PropertyOp::Set | PropertyOp::NotSet);
        let is_wrong = match &condition.value {
            Some(value) => !wants_value || !(1..=VALUE_BYTES_MAX).contains(&value.len()),
            None => wants_value,
        };
        if is_wrong {
            let why = format!(
                "must have a value of 1 to {VALUE_BYTES_MAX} bytes, unless they ask whether a property is set"
            );
            return invalid("conditions", why);
        }
        let is_number = |value: &String| value.trim().parse::<f64>().is_ok_and(f64::is_finite);
        let wants_number = matches!(condition.op, PropertyOp::Greater | PropertyOp::Less);
        if wants_number && !condition.value.as_ref().is_some_and(is_number) {
            return invalid("conditions", "must compare with a number where they ask for greater or less");
        }
    }
    Ok(())
}

pub(super) fn check_payload(payload: Option<&str>) -> Result<(), BusinessError> {
    let Some(payload) = payload else { return Ok(()) };
    if payload.len() > PAYLOAD_BYTES_MAX {
        return invalid("payload", format!("must have at most {PAYLOAD_BYTES_MAX} bytes"));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(payload) {
        Ok(_) => Ok(()),
        Err(_) => invalid("payload", "must be JSON"),
    }
}

impl NewFlag {
    pub(super) fn check(&self) -> Result<(), BusinessError> {
        check_key(&self.key)?;
        check_note(&self.note)?;
        check_share(self.share_percent)?;
        check_conditions(&self.conditions)?;
        check_payload(self.payload.as_deref())
    }
}

impl FlagChange {
    pub(super) fn check(&self) -> Result<(), BusinessError> {
        self.note.as_deref().map_or(Ok(()), check_note)?;
        self.share_percent.map_or(Ok(()), check_share)?;
        self.conditions.as_deref().map_or(Ok(()), check_conditions)?;
        self.payload.as_ref().map_or(Ok(()), |payload| check_payload(payload.as_deref()))
    }

    /// The flag as it is after the change; whether it is another one.
    pub(super) fn make(&self, flag: &mut FeatureFlag) -> bool {
        let before = flag.clone();
        let Self { note, is_active, share_percent, conditions, payload } = self.clone();
        flag.note = note.unwrap_or_else(|| before.note.clone());
        flag.is_active = is_active.unwrap_or(before.is_active);
        flag.share_percent = share_percent.unwrap_or(before.share_percent);
        flag.conditions = conditions.unwrap_or_else(|| before.conditions.clone());
        flag.payload = payload.unwrap_or_else(|| before.payload.clone());
        *flag != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag() -> NewFlag {
        NewFlag {
            key: "new-editor".to_owned(),
            note: String::new(),
            is_active: true,
            share_percent: 100,
            conditions: Vec::new(),
            payload: None,
        }
    }

    fn why(flag: &NewFlag) -> String {
        flag.check().unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_flag_says_what_is_wrong_with_it() {
        flag().check().unwrap();
        for key in ["", "new editor", "neu/e", &"k".repeat(101)] {
            assert!(why(&NewFlag { key: key.to_owned(), ..flag() }).starts_with("key: must have 1 to 100"));
        }
        assert_eq!(why(&NewFlag { share_percent: 101, ..flag() }), "share_percent: must be from 0 to 100");
        assert!(why(&NewFlag { note: "a\nb".to_owned(), ..flag() }).starts_with("note: "));
        assert_eq!(why(&NewFlag { payload: Some("{".to_owned()), ..flag() }), "payload: must be JSON");
        let with = |op, value: Option<&str>| NewFlag {
            conditions: vec![FlagCondition {
                property: "plan".to_owned(),
                op,
                value: value.map(str::to_owned),
            }],
            ..flag()
        };
        with(PropertyOp::Is, Some("pro")).check().unwrap();
        with(PropertyOp::NotSet, None).check().unwrap();
        with(PropertyOp::Less, Some("1.5")).check().unwrap();
        for wrong in [
            with(PropertyOp::Is, None),
            with(PropertyOp::Is, Some("")),
            with(PropertyOp::Set, Some("pro")),
            with(PropertyOp::Greater, Some("many")),
        ] {
            assert!(why(&wrong).starts_with("conditions: "));
        }
    }
}
