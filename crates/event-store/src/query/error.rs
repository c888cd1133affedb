use std::time::Duration;

use crate::EventStoreError;
use crate::columns::ColumnsError;
use crate::kernel::{Cancelled, QueryError};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueriesError {
    /// The question is beyond a limit, or names what there is not.
    #[error("{field}: {why}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It took longer than it may; a shorter range can succeed.
    #[error("no answer within {} ms; ask for a shorter range", .limit.as_millis())]
    TooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// Nobody waited for the answer any more.
    #[error("query was cancelled")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] EventStoreError),
}

impl QueriesError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }

    /// Whether the same call can succeed later without any change to its input.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::TooSlow { .. } => true,
            _ => false,
        }
    }
}

impl From<Cancelled> for QueriesError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<QueryError> for QueriesError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Cancelled(_) => Self::Cancelled,
            // The answer is what grows: fewer or longer buckets, or fewer groups, make it smaller.
            QueryError::OutOfRange { .. } => Self::invalid("unit", error.to_string()),
            QueryError::Contradiction(why) => Self::invalid("steps", why),
            QueryError::BucketsNotAscending => Self::invalid("until", error.to_string()),
        }
    }
}

impl From<ColumnsError> for QueriesError {
    fn from(error: ColumnsError) -> Self {
        EventStoreError::Internal(error.to_string()).into()
    }
}
