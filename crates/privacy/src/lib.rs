//! Privacy: who people are is known here and nowhere else.
//!
//! Invariants:
//! - A raw user id, e-mail address or IP address is stored in `privacy_*` tables only, sealed under the person's own
//!   key; everything else knows a [`SubjectId`].
//! - The database alone reveals nobody: look-up columns are keyed hashes, and every key is wrapped by the
//!   [`MasterKey`], which is not in the database.
//! - Without consent to analytics what a person does is stored under a number that changes every day; the salt that
//!   made it is destroyed after 48 hours, so that not even the operator can link two days.
//! - What a person says they consent to holds before what holds for who has not been asked; it is a log to which is only
//!   added, with when and by what they said it.
//! - Reading who a subject is leaves an entry in the audit log.

mod cache;
mod consent;
mod entity;
mod error;
mod gate;
mod identity;
mod key_rules;
mod link;
mod master;
mod model;
mod salts;
mod scrub;
mod sealing;
mod service;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod vault;

use async_trait::async_trait;
use belvedere_kernel::{Identity, ProjectId};

pub use error::PrivacyError;
pub use master::MasterKey;
pub use model::{ChangeSettings, ConsentDefault, PrivacySettings, RevealSubject};
pub use service::PrivacyService;
pub use vault::VaultService;

#[cfg(doc)]
use belvedere_kernel::SubjectId;

/// The slice's boundary: what other code may ask beside the kernel's `ConsentGate`, `Scrubber` and `Vault`.
///
/// Whether the actor may ask is decided by the caller, as is whether the project is theirs.
#[async_trait]
pub trait Privacy: Send + Sync {
    /// How `project` treats personal data; the default if nothing was ever set. At most 5 s old.
    async fn settings(&self, project: ProjectId) -> Result<PrivacySettings, PrivacyError>;

    /// Replaces a project's settings; in force in this process at once, in others within 5 s.
    ///
    /// Returns them as stored: words in lower case without signs, sorted, each once. An audit entry
    /// `privacy_settings_changed` is written.
    async fn change_settings(&self, change: ChangeSettings) -> Result<PrivacySettings, PrivacyError>;

    /// Who a subject is; `None` if there is no such subject, or nothing is known of it, or its key was destroyed.
    ///
    /// An audit entry `sensitive_read` is written either way.
    async fn reveal_subject(&self, reveal: RevealSubject) -> Result<Option<Identity>, PrivacyError>;

    /// How many subjects `project` has seen, each unlinkable one of each day included.
    async fn count_subjects(&self, project: ProjectId) -> Result<u64, PrivacyError>;

    /// Destroys the salts of days that began 48 hours ago or earlier and returns how many there were; to be called
    /// at least once an hour.
    async fn rotate_salts(&self) -> Result<u64, PrivacyError>;
}
