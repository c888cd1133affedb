//! Audit: who did what, written down in the transaction of the act and never changed again.
//!
//! Invariants:
//! - An act and its entry exist together or not at all.
//! - Entries are numbered from 1 without gaps in the order of their commits, over the whole installation.
//! - An entry is only ever added. Its leaf hash (RFC 6962) covers all of it, with the hash of the sealed detail in
//!   place of the detail, so that destroying a person's key leaves every hash valid.

mod entity;
mod error;
mod leaf;
mod model;
mod service;
mod store;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use belvedere_kernel::Organisation;
use belvedere_storage::{Id, Page, PageRequest};

pub use error::AuditError;
pub use leaf::{Leaf, leaf_hash};
pub use model::{AuditRow, EntryFilter};
pub use service::AuditService;

/// The slice's boundary: reading the log. Writing is the kernel's `AuditSink`.
///
/// Whether the reader may is decided by the caller.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// An organisation's entries that match `filter`, newest first.
    async fn list_entries(
        &self,
        organisation: Id<Organisation>,
        filter: EntryFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRow>, AuditError>;

    /// How many entries the whole log holds: the number of the newest one.
    async fn count_entries(&self) -> Result<u64, AuditError>;
}
