use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use sea_orm::sea_query::{self, ArrayType, ColumnType, Nullable, Value, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;
use uuid::Uuid;

use crate::Timestamp;

/// The key of a `T`: a ULID, 26 characters as text, 16 bytes in the database, in order of creation.
pub struct Id<T> {
    value: Ulid,
    of: PhantomData<fn() -> T>,
}

/// Text that is not a ULID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an identifier (26 characters of Crockford base 32): {0:?}")]
pub struct ParseIdError(String);

impl<T> Id<T> {
    /// A new id: 48 bits of `now` in milliseconds and 80 random bits.
    ///
    /// # Panics
    /// When the operating system has no random numbers to give.
    #[must_use]
    pub fn generate(now: Timestamp) -> Self {
        let mut random = [0_u8; 16];
        #[expect(
            clippy::expect_used,
            reason = "without random numbers no key can be made; nothing sensible can go on"
        )]
        getrandom::fill(&mut random[6..]).expect("the operating system provides random numbers");
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self::from_ulid(Ulid::from_parts(millis, u128::from_be_bytes(random)))
    }

    /// The id of these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_ulid(Ulid(u128::from_be_bytes(bytes)))
    }

    /// The 16 bytes of the id, most significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.value.0.to_be_bytes()
    }

    /// The same key, for another type of row.
    #[must_use]
    pub const fn cast<U>(self) -> Id<U> {
        Id::from_ulid(self.value)
    }

    const fn from_ulid(value: Ulid) -> Self {
        Self { value, of: PhantomData }
    }

    const fn to_uuid(self) -> Uuid {
        Uuid::from_u128(self.value.0)
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

impl<T> FromStr for Id<T> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(text).map(Self::from_ulid).map_err(|_| ParseIdError(text.to_owned()))
    }
}

impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<T> From<Id<T>> for Value {
    fn from(id: Id<T>) -> Self {
        Self::Uuid(Some(id.to_uuid()))
    }
}

impl<T> TryGetable for Id<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        Uuid::try_get_by(row, index).map(|uuid| Self::from_bytes(uuid.into_bytes()))
    }
}

impl<T> sea_query::ValueType for Id<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <Uuid as sea_query::ValueType>::try_from(value).map(|uuid| Self::from_bytes(uuid.into_bytes()))
    }

    fn type_name() -> String {
        "Id".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Uuid
    }

    fn column_type() -> ColumnType {
        ColumnType::Uuid
    }
}

impl<T> Nullable for Id<T> {
    fn null() -> Value {
        Value::Uuid(None)
    }
}

impl<T> TryFromU64 for Id<T> {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_survive_text_and_bytes() {
        let early = Id::<()>::generate(Timestamp::from_micros(1_000_000));
        let late = Id::<()>::generate(Timestamp::from_micros(2_000_000));
        assert!(early < late);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(Id::from_bytes(early.to_bytes()), early);
        assert!("not an id".parse::<Id<()>>().is_err());
    }
}
