//! A record store for xAPI 2.0.0 (IEEE 9274.1.1) and 1.0.3.
//!
//! Invariants:
//! - A statement is stored once, never changed, and given as it was sent, save what the specification lets a store set.
//! - An answer is given after its commit; a reader sees every earlier answer. Concurrent requests share commits, and
//!   each has its own outcome; the statements of one request are stored together or not at all.
//! - Statements of a project are stored at instants that rise in the order of their commits: these instants order
//!   lists, and a place in a list is one of them.
//! - What identifies people lies in `xapi_agent` and in documents of people only, sealed under each person's own key; what
//!   is searched for are hashes of subjects.
//! - Every list of statements is read from an index of what statements are found by.

mod commit;
mod core;
mod documents;
mod error;
mod event;
pub mod json;
mod model;
mod more;
mod packing;
mod posting;
mod prepare;
mod read;
mod recent;
mod relate;
mod secrets;
mod service;
mod signature;
pub mod statement;
mod subject;
#[cfg(test)]
mod tests;
pub mod value;
mod version;
mod wording;
mod writer;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

pub use self::core::XapiParts;
pub use commit::WITHDRAW_JOB;
pub use error::XapiError;
pub use model::{
    ChangeDocument, Client, Condition, ConditionRule, Document, DocumentChange, DocumentOwner, File,
    FoundStatements, Limits, OneStatement, Reader, StatementQuery, StoreStatements, StoredStatements,
};
pub use service::XapiService;
pub use version::Version;

/// The slice's boundary. Whether the key may do it is decided by the caller.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Stores one statement or an array of them, all or none.
    ///
    /// # Errors
    /// [`XapiError::Statement`] with the place of a broken rule, [`XapiError::Conflict`] when an id belongs to another
    /// statement, [`XapiError::Invalid`] when files and claims do not belong together, [`XapiError::TooLarge`].
    async fn store_statements(&self, store: StoreStatements) -> Result<StoredStatements, XapiError>;

    /// One statement by its id.
    ///
    /// # Errors
    /// A storage error.
    async fn find_statement(
        &self,
        reader: &Reader,
        one: OneStatement,
    ) -> Result<Option<FoundStatements>, XapiError>;

    /// The first page of the statements that fit; the latest first, unless asked otherwise. Voided ones never fit. One
    /// that is about another fits where that does.
    ///
    /// # Errors
    /// A storage error.
    async fn list_statements(
        &self,
        reader: &Reader,
        query: StatementQuery,
    ) -> Result<FoundStatements, XapiError>;

    /// The next page, by [`FoundStatements::more`] of the one before; `None` if this key was not given that.
    ///
    /// # Errors
    /// A storage error.
    async fn list_more(&self, reader: &Reader, more: &str) -> Result<Option<FoundStatements>, XapiError>;

    /// Changes a document; with an empty id, deletes all states of a person in an activity.
    ///
    /// # Errors
    /// [`XapiError::PreconditionFailed`], [`XapiError::Unconditional`], and [`XapiError::Invalid`] where nothing can be
    /// added to what is there, or where a new document needs a condition.
    async fn change_document(&self, change: ChangeDocument) -> Result<(), XapiError>;

    /// A document.
    ///
    /// # Errors
    /// A storage error.
    async fn find_document(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
        id: &str,
    ) -> Result<Option<Document>, XapiError>;

    /// The ids of documents that were changed after an instant, at most 10,000, and when the latest of them was.
    ///
    /// # Errors
    /// A storage error.
    async fn list_documents(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
        since: Option<Timestamp>,
    ) -> Result<(Vec<String>, Option<Timestamp>), XapiError>;

    /// An activity with everything that statements have said of it, as JSON.
    ///
    /// # Errors
    /// A storage error.
    async fn find_activity(&self, project: ProjectId, id: &str) -> Result<String, XapiError>;

    /// Everything that is known of an agent, as the JSON of a Person.
    ///
    /// # Errors
    /// A storage error.
    async fn find_person(&self, project: ProjectId, agent: &Ifi) -> Result<String, XapiError>;
}

use statement::Ifi;
