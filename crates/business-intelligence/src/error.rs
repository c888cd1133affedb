use std::sync::Arc;

use belvedere_event_store::query::QueriesError;
use belvedere_storage::StorageError;

use crate::revenue::currency::Currency;
use crate::revenue::rates::MissingRate;

/// What can go wrong with business intelligence.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BusinessError {
    /// A field of a request is wrong.
    #[error("{field}: {why}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What is wrong with it, without its value.
        why: String,
    },
    /// There is no such thing in this project.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// There is revenue in several currencies, and none was named to convert it to.
    #[error("currency: revenue is in {}; name the one to convert to", list(.0))]
    Currencies(Vec<Currency>),
    /// A rate of exchange has not been imported.
    #[error(transparent)]
    MissingRate(#[from] MissingRate),
    /// A question to the events has no answer.
    #[error(transparent)]
    Queries(Arc<QueriesError>),
    /// The database failed.
    #[error(transparent)]
    Storage(Arc<StorageError>),
}

fn list(currencies: &[Currency]) -> String {
    currencies.iter().map(Currency::as_str).collect::<Vec<_>>().join(", ")
}

impl BusinessError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Queries(error) => error.is_transient(),
            Self::Storage(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<StorageError> for BusinessError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

impl From<QueriesError> for BusinessError {
    fn from(error: QueriesError) -> Self {
        Self::Queries(Arc::new(error))
    }
}
