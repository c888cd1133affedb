//! Statements without I/O: their rules, what they refer to, how two are compared, and the forms in which they are given.

pub(crate) mod activity;
mod actor;
mod attachment;
mod check;
pub(crate) mod compare;
mod context;
pub(crate) mod format;
pub(crate) mod people;
pub(crate) mod references;
#[cfg(test)]
mod tests;

pub use actor::{Ifi, check_agent, ifi_of};
pub use attachment::{Claim, SIGNATURE};
pub use check::{Invalid, Path};
pub use format::Format;

use crate::Version;
use crate::json::Json;
use crate::value;

/// The verb that voids.
pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// A statement that follows the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The statement; its context activities are arrays.
    pub json: Json,
    /// Its id, if the client gave one.
    pub id: Option<[u8; 16]>,
}

impl Statement {
    /// The statement in `json`, if it follows every rule of its version.
    ///
    /// # Errors
    /// [`Invalid`] with the place of the first rule that it breaks, below `path`.
    pub fn check(mut json: Json, version: Version, path: &Path<'_>) -> Result<Self, Invalid> {
        check::statement(&json, version, path)?;
        if let Some(context) = json.get_mut("context") {
            context::normalise(context);
        }
        if let Some(context) = json.get_mut("object").and_then(|object| object.get_mut("context")) {
            context::normalise(context);
        }
        let id = json.text_of("id").and_then(value::uuid);
        Ok(Self { json, id })
    }

    /// What it claims of attached files, those of a sub-statement included.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        attachment::claims(&self.json)
    }
}
