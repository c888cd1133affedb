use belvedere_kernel::{Organisation, ProjectId};
use belvedere_storage::{Id, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// One entry of the audit log, as its readers see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    /// Its place in the installation's log, from 1, without gaps. (An organisation's own entries have gaps.)
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whose log it belongs to.
    pub organisation: Option<Id<Organisation>>,
    /// The project concerned.
    pub project: Option<ProjectId>,
    /// `user`, `token`, `anonymous` or `system`.
    pub actor_kind: String,
    /// The actor's id, or the part of Belvedere that acted.
    pub actor_id: Option<String>,
    /// What was done, in the OWASP logging vocabulary.
    pub action: String,
    /// The kind of thing it was done to.
    pub target_kind: Option<String>,
    /// That thing's id.
    pub target_id: Option<String>,
    /// `success`, `denied` or `failure`.
    pub outcome: String,
    /// The HTTP request, if there was one.
    pub request_id: Option<String>,
    /// Anything else worth keeping, JSON null if nothing; `None` when it cannot be read any more, because the actor's
    /// key was destroyed or because the stored bytes were altered.
    pub detail: Option<Value>,
    /// Whether the stored bytes of the detail are not those that were recorded.
    pub detail_is_damaged: bool,
    /// SHA-256 of the entry's canonical bytes: the leaf hash of RFC 6962, in hexadecimal.
    pub leaf_hash: String,
}

/// Which entries are wanted; the default is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryFilter {
    /// Only those with exactly this action.
    pub action: Option<String>,
    /// Only those of the actor with this id.
    pub actor: Option<String>,
    /// Only those that concern this project.
    pub project: Option<ProjectId>,
    /// Only those recorded then or later.
    pub from: Option<Timestamp>,
    /// Only those recorded before then.
    pub to: Option<Timestamp>,
}
