//! Who has a flag.
//!
//! The share is decided as the clients of PostHog decide it where they are given flags to decide by themselves: the first 60
//! bits of SHA-1 over `<key>.<id>`, as a fraction of all of them, are compared with the share. Both then say the same.

use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::model::{FeatureFlag, FlagCondition};
use crate::insight::PropertyOp;

/// What is told of whoever asks.
pub type Told = Map<String, Value>;

/// Why somebody has a flag, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody has it.
    Inactive,
    /// A condition does not hold.
    NoMatch,
    /// The conditions hold, and their id is not in the share.
    OutOfShare,
    /// They have it.
    Match,
}

/// Whether somebody has a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Whether they have it.
    pub is_on: bool,
    /// Why.
    pub reason: Reason,
}

/// Whether the one with this id, of whom this is told, has a flag.
#[must_use]
pub fn decide(flag: &FeatureFlag, id: &str, told: &Told) -> Decided {
    let off = |reason| Decided { is_on: false, reason };
    if !flag.is_active {
        return off(Reason::Inactive);
    }
    if !flag.conditions.iter().all(|condition| holds(condition, told)) {
        return off(Reason::NoMatch);
    }
    if flag.share_percent < 100 && place_of(&flag.key, id) > f64::from(flag.share_percent) / 100.0 {
        return off(Reason::OutOfShare);
    }
    Decided { is_on: true, reason: Reason::Match }
}

/// Where an id stands among all for a flag, from 0 to 1.
fn place_of(key: &str, id: &str) -> f64 {
    const BITS: u32 = 60;
    let digest = Sha1::digest(format!("{key}.{id}"));
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (first >> (u64::BITS - BITS)) as f64 / ((1_u64 << BITS) - 1) as f64
}

/// A property as a text in lower case; none where it is not told, or is a list or an object.
fn text_of(told: &Told, property: &str) -> Option<String> {
    match told.get(property)? {
        Value::String(text) => Some(text.to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_set) => Some(is_set.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn holds(condition: &FlagCondition, told: &Told) -> bool {
    let text = text_of(told, &condition.property);
    let wanted = condition.value.as_deref().unwrap_or_default().to_lowercase();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let compared = || Some((number(text.as_deref()?)?, number(&wanted)?));
    match condition.op {
        PropertyOp::Is => text.is_some_and(|text| text == wanted),
        PropertyOp::IsNot => text.is_none_or(|text| text != wanted),
        PropertyOp::Contains => text.is_some_and(|text| text.contains(&wanted)),
        PropertyOp::Greater => compared().is_some_and(|(is, wanted)| is > wanted),
        PropertyOp::Less => compared().is_some_and(|(is, wanted)| is < wanted),
        PropertyOp::Set => told.get(&condition.property).is_some_and(|value| !value.is_null()),
        PropertyOp::NotSet => told.get(&condition.property).is_none_or(Value::is_null),
    }
}

#[cfg(test)]
mod tests {
    use belvedere_storage::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn flag(share_percent: u8, conditions: Vec<FlagCondition>) -> FeatureFlag {
        let at = Timestamp::from_micros(0);
        FeatureFlag {
            key: "new-editor".to_owned(),
            number: 1,
            note: String::new(),
            is_active: true,
            share_percent,
            conditions,
            payload: None,
            version: 1,
            created_by: None,
            created_at: at,
            changed_at: at,
        }
    }

    fn told(of: Value) -> Told {
        of.as_object().cloned().unwrap()
    }

    #[test]
    fn a_share_is_that_part_of_many_and_grows_without_taking_anybody_off() {
        let has =
            |share, id: u32| decide(&flag(share, Vec::new()), &format!("user-{id}"), &Told::new()).is_on;
        let of = |share| (0..10_000).filter(|id| has(share, *id)).count();
        assert_eq!((of(0), of(100)), (0, 10_000));
        // Four standard deviations of 10,000 draws are 2 % of them at most.
        for share in [10, 33, 50, 90] {
            let wanted = usize::from(share) * 100;
            assert!(of(share).abs_diff(wanted) < 200, "{share} %: {}", of(share));
        }
        assert!((0..1_000).all(|id| !has(20, id) || has(21, id)));
    }

    #[test]
    fn an_id_stands_where_posthogs_clients_put_it() {
        // From `_hash` of posthog 7.91.1 for Python.
        let places = [
            ("new-editor", "ada", 0.911_241_423_108_048_3),
            ("new-editor", "user-7", 0.992_529_428_575_173_2),
            ("beta.checkout", "v1", 0.726_244_550_245_152_1),
            ("k", "", 0.697_117_428_055_479_6),
        ];
        for (key, id, place) in places {
            assert!((place_of(key, id) - place).abs() < 1e-15, "{key} {id} {}", place_of(key, id));
        }
    }

    #[test]
    fn conditions_are_about_what_is_told() {
        let condition = |property: &str, op, value: Option<&str>| FlagCondition {
            property: property.to_owned(),
            op,
            value: value.map(str::to_owned),
        };
        let ada = told(json!({"plan": "Pro", "seats": 12, "is_staff": true, "tags": ["a"], "left": null}));
        let holding = [
            condition("plan", PropertyOp::Is, Some("pro")),
            condition("seats", PropertyOp::Is, Some("12")),
            condition("is_staff", PropertyOp::Is, Some("true")),
            condition("plan", PropertyOp::IsNot, Some("free")),
            condition("city", PropertyOp::IsNot, Some("Ulm")),
            condition("plan", PropertyOp::Contains, Some("PR")),
            condition("seats", PropertyOp::Greater, Some("9")),
            condition("seats", PropertyOp::Less, Some("12.5")),
            condition("tags", PropertyOp::Set, None),
            condition("left", PropertyOp::NotSet, None),
        ];
        for one in &holding {
            assert!(holds(one, &ada), "{one:?}");
        }
        let failing = [
            condition("plan", PropertyOp::Is, Some("free")),
            condition("city", PropertyOp::Is, Some("Ulm")),
            condition("plan", PropertyOp::IsNot, Some("PRO")),
            condition("plan", PropertyOp::Greater, Some("1")),
            condition("city", PropertyOp::Less, Some("1")),
            condition("left", PropertyOp::Set, None),
            condition("plan", PropertyOp::NotSet, None),
        ];
        for one in &failing {
            assert!(!holds(one, &ada), "{one:?}");
        }
        let all = |conditions| decide(&flag(100, conditions), "ada", &ada);
        assert_eq!(all(holding.to_vec()), Decided { is_on: true, reason: Reason::Match });
        let one_fails = [&holding[..], &failing[..1]].concat();
        assert_eq!(all(one_fails), Decided { is_on: false, reason: Reason::NoMatch });
        let inactive = FeatureFlag { is_active: false, ..flag(100, Vec::new()) };
        assert_eq!(decide(&inactive, "ada", &ada).reason, Reason::Inactive);
        assert_eq!(decide(&flag(0, Vec::new()), "ada", &ada).reason, Reason::OutOfShare);
    }

    proptest! {
        #[test]
        fn whoever_is_in_a_share_is_in_a_larger_one(id in ".{0,20}", share in 0_u8..100, more in 1_u8..=100) {
            let has = |share| decide(&flag(share, Vec::new()), &id, &Told::new()).is_on;
            prop_assert!(!has(share) || has((share + more).min(100)));
        }
    }
}
