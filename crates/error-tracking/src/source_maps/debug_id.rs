use std::fmt;
use std::str::FromStr;

use belvedere_storage::Id;

/// Marks debug ids as keys.
#[derive(Debug)]
pub(crate) enum DebugKey {}

/// What ties a generated file, its source map and the frames of an event together: 32 hexadecimal digits, written as
/// a UUID. The appended age of native debug ids is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DebugId([u8; 16]);

/// A text that is no debug id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a debug id (32 hexadecimal digits, hyphens allowed)")]
pub struct ParseDebugIdError;

impl DebugId {
    pub(crate) fn to_key(self) -> Id<DebugKey> {
        Id::from_bytes(self.0)
    }
}

impl From<Id<DebugKey>> for DebugId {
    fn from(key: Id<DebugKey>) -> Self {
        Self(key.to_bytes())
    }
}

impl FromStr for DebugId {
    type Err = ParseDebugIdError;

    fn from_str(text: &str) -> Result<Self, ParseDebugIdError> {
        let mut digits = text.trim().bytes().filter(|byte| *byte != b'-');
        let mut digit = || {
            let digit = digits.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(ParseDebugIdError)
        };
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            *byte = digit()? << 4 | digit()?;
        }
        let rest = digits.count();
        // A native age has up to 8 digits.
        if text.len() > 64 || rest > 8 { Err(ParseDebugIdError) } else { Ok(Self(bytes)) }
    }
}

/// As Sentry's tools write it: lower case, with hyphens.
impl fmt::Display for DebugId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl serde::Serialize for DebugId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_ids_are_read_in_every_form_and_written_in_one() {
        for text in [
            "9c4cb8aa-72e9-571d-a188-195453d1898f",
            "9C4CB8AA72E9571DA188195453D1898F",
            "9c4cb8aa-72e9-571d-a188-195453d1898f-0",
        ] {
            let id: DebugId = text.parse().unwrap();
            assert_eq!(id.to_string(), "9c4cb8aa-72e9-571d-a188-195453d1898f");
        }
        for text in [
            "",
            "9c4cb8aa",
            "9c4cb8aa-72e9-571d-a188-195453d1898g",
            "9c4cb8aa72e9571da188195453d1898f1234567890",
        ] {
            assert_eq!(text.parse::<DebugId>(), Err(ParseDebugIdError), "{text}");
        }
    }
}
