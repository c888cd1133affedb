use std::fmt;
use std::str::FromStr;

use belvedere_storage::{Id, Timestamp};

/// Marks event ids where they are stored as keys.
#[derive(Debug)]
pub(crate) enum EventKey {}

/// The id that an SDK gives to an event: 16 bytes, 32 lower-case hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

/// Text that is not an event id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an event id (32 hexadecimal digits)")]
pub struct ParseEventIdError;

impl EventId {
    /// A new id, for events that came without one.
    #[must_use]
    pub fn generate(now: Timestamp) -> Self {
        Self(Id::<EventKey>::generate(now).to_bytes())
    }

    /// The id of these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn to_key(self) -> Id<EventKey> {
        Id::from_bytes(self.0)
    }
}

impl From<Id<EventKey>> for EventId {
    fn from(key: Id<EventKey>) -> Self {
        Self(key.to_bytes())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Accepts both cases and hyphens at any place (the Rust SDK writes UUIDs); the all-zero id is nobody's.
impl FromStr for EventId {
    type Err = ParseEventIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut value = 0_u128;
        let mut digits = 0;
        for byte in text.trim().bytes().filter(|byte| *byte != b'-') {
            let digit = char::from(byte).to_digit(16).ok_or(ParseEventIdError)?;
            digits += 1;
            if digits > 32 {
                return Err(ParseEventIdError);
            }
            value = value << 4 | u128::from(digit);
        }
        if digits == 32 && value != 0 { Ok(Self(value.to_be_bytes())) } else { Err(ParseEventIdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_and_case_do_not_matter() {
        let id: EventId = "3A60E31A-B547-4D65-AAF8-6EEDEFE7D501".parse().unwrap();
        assert_eq!(id.to_string(), "3a60e31ab5474d65aaf86eedefe7d501");
        assert_eq!("3a60e31ab5474d65aaf86eedefe7d501".parse(), Ok(id));
    }

    #[test]
    fn other_lengths_other_digits_and_zero_are_no_ids() {
        for text in ["", "3a60", "3a60e31ab5474d65aaf86eedefe7d50g", "3a60e31ab5474d65aaf86eedefe7d5011"] {
            assert_eq!(text.parse::<EventId>(), Err(ParseEventIdError), "{text}");
        }
        assert_eq!("00000000000000000000000000000000".parse::<EventId>(), Err(ParseEventIdError));
    }
}
