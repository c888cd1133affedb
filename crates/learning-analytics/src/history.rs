//! What is remembered of a learner's acts: bounded lists that are the same in whatever order the acts arrive.
//!
//! Acts are in the order of their time, then of their id. A list keeps the first or the last of them, which neither the
//! order of arrival nor an act that comes late changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// The id of an event in 16 bytes; as text, 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventKey(pub u128);

impl EventKey {
    /// A client's id: a UUID, with or without hyphens, is its own 16 bytes, anything else is hashed.
    #[must_use]
    pub fn of(id: &str) -> Self {
        let digits: String = id.chars().filter(|digit| *digit != '-').collect();
        if digits.len() == 32
            && let Ok(key) = digits.parse()
        {
            return key;
        }
        Self::hashed(&["learning.event", id])
    }

    /// Something that only these texts in this order have.
    #[must_use]
    pub fn hashed(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finalize();
        let key = digest.iter().take(16).fold(0_u128, |key, byte| key << 8 | u128::from(*byte));
        // A UUID of version 8 (RFC 9562), because it is the id of the event's statement too.
        Self(key & !(0xf << 76) & !(0b11 << 62) | 0x8 << 76 | 0b10 << 62)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for EventKey {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for EventKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An exercise or a skill of a project, as a number made of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemKey(pub i64);

impl ItemKey {
    /// All attempts of the project together.
    pub const ALL: Self = Self(0);

    /// An exercise of a course.
    #[must_use]
    pub fn exercise(course: &str, exercise: &str) -> Self {
        Self::hashed(&["exercise", course, exercise])
    }

    /// All exercises of a skill together.
    #[must_use]
    pub fn skill(skill: &str) -> Self {
        Self::hashed(&["skill", skill])
    }

    fn hashed(parts: &[&str]) -> Self {
        let EventKey(key) = EventKey::hashed(parts);
        // Zero is for all.
        Self(i64::from_le_bytes((key as u64 | 1).to_le_bytes()))
    }
}

/// Something a learner did at an exercise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When, in microseconds since 1970, UTC.
    #[serde(rename = "t")]
    pub at_micros: i64,
    /// The event that says so.
    #[serde(rename = "e")]
    pub event: EventKey,
    /// At which exercise.
    #[serde(rename = "i")]
    pub item: ItemKey,
    /// For an attempt, whether it was right.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_correct: bool,
    /// For an attempt, how long it took in seconds.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Step {
    /// What acts are sorted by.
    #[must_use]
    pub fn order(&self) -> (i64, EventKey) {
        (self.at_micros, self.event)
    }
}

/// The last `MAX` acts, in their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latest<const MAX: usize>(Vec<Step>);

impl<const MAX: usize> Latest<MAX> {
    /// Takes an act in, unless it is earlier than all of a full list.
    pub fn add(&mut self, step: Step) {
        let place = self.0.partition_point(|other| other.order() < step.order());
        self.0.insert(place, step);
        if self.0.len() > MAX {
            self.0.remove(0);
        }
    }

    /// The acts, the latest one last.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// The first act at each exercise, of the `MAX` exercises that were first taken up, in their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Firsts<const MAX: usize>(Vec<Step>);

impl<const MAX: usize> Firsts<MAX> {
    /// Takes an act in, if it is one of the first.
    pub fn add(&mut self, step: Step) {
        if let Some(place) = self.0.iter().position(|other| other.item == step.item) {
            if self.0[place].order() <= step.order() {
                return;
            }
            self.0.remove(place);
        }
        let place = self.0.partition_point(|other| other.order() < step.order());
        self.0.insert(place, step);
        self.0.truncate(MAX);
    }

    /// The first act at an exercise, if it is remembered.
    #[must_use]
    pub fn of(&self, item: ItemKey) -> Option<&Step> {
        self.0.iter().find(|step| step.item == item)
    }

    /// The acts, the earliest one first.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// An attempt at a second, with an id made of its number.
    pub(crate) fn step(number: u128, second: i64, item: i64, is_correct: bool) -> Step {
        Step {
            at_micros: second * 1_000_000,
            event: EventKey(number),
            item: ItemKey(item),
            is_correct,
            seconds: None,
        }
    }

    #[test]
    fn a_uuid_is_its_own_key_and_other_ids_are_hashed() {
        let uuid = EventKey::of("01997c53-0e00-7000-8000-00000000002a");
        assert_eq!(uuid.to_string(), "01997c530e007000800000000000002a");
        assert_eq!(uuid, EventKey::of("01997C530E007000800000000000002A"));
        assert_ne!(EventKey::of("attempt-1"), EventKey::of("attempt-2"));
        assert_ne!(ItemKey::exercise("a", "bc"), ItemKey::exercise("ab", "c"));
        assert_ne!(ItemKey::skill("loops"), ItemKey::ALL);
    }

    proptest! {
        #[test]
        fn lists_are_those_of_a_sorted_whole_in_any_order(
            acts in prop::collection::vec((0i64..30, 0i64..9, any::<bool>()), 0..60).prop_shuffle(),
        ) {
            let mut all: Vec<Step> = acts
                .iter()
                .enumerate()
                .map(|(number, (second, item, correct))| step(number as u128, *second, *item, *correct))
                .collect();
            let (mut latest, mut firsts) = (Latest::<7>::default(), Firsts::<5>::default());
            for step in &all {
                latest.add(*step);
                firsts.add(*step);
            }
            all.sort_by_key(Step::order);
            prop_assert_eq!(latest.steps(), &all[all.len().saturating_sub(7)..]);
            let mut first_of: BTreeMap<ItemKey, Step> = BTreeMap::new();
            for step in &all {
                first_of.entry(step.item).or_insert(*step);
            }
            let mut expected: Vec<Step> = first_of.into_values().collect();
            expected.sort_by_key(Step::order);
            expected.truncate(5);
            prop_assert_eq!(firsts.steps(), &expected[..]);
        }
    }
}
