use belvedere_storage::StorageError;

use crate::grouping_rules::InvalidRules;

/// What can go wrong in error tracking.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorTrackingError {
    /// The payload is not an event.
    #[error("not an event: {0}")]
    InvalidEvent(String),
    /// The question cannot be answered as it was asked.
    #[error("{0}")]
    InvalidQuery(String),
    /// A field of a change is not as it may be.
    #[error("{field}: {why}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it must be.
        why: String,
    },
    /// There is no such thing in the project, or it is somebody else's.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// A line of a project's grouping rules is no rule.
    #[error("rules: {0}")]
    InvalidRules(#[from] InvalidRules),
    /// Somebody else changed the project's grouping rules since they were read.
    #[error("the grouping rules were changed by somebody else meanwhile")]
    RulesChanged,
    /// The computation ended in a way that was not foreseen.
    #[error("event could not be digested: {0}")]
    Internal(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
