use std::collections::HashMap;

use belvedere_kernel::{Organisation, ProjectId, XapiKey};
use belvedere_storage::{Id, Timestamp};
use bytes::Bytes;

use crate::Version;
use crate::json::Json;
use crate::statement::{Format, Ifi};

/// Who uses the store: a key of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The key's project.
    pub project: ProjectId,
    /// The project's organisation, for the audit log.
    pub organisation: Id<Organisation>,
    /// The key.
    pub key: Id<XapiKey>,
    /// Its name: the account of the authority of what it stores.
    pub name: String,
    /// The id of the HTTP request.
    pub request_id: Option<String>,
}

/// What bounds requests, answers and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most statements of one request.
    pub statements_max: usize,
    /// How deep JSON may be nested.
    pub depth_max: usize,
    /// The most files attached to the statements of one request.
    pub attachments_max: usize,
    /// The largest attached file, in bytes.
    pub attachment_bytes_max: usize,
    /// The largest document, in bytes.
    pub document_bytes_max: usize,
    /// The most statements of one answer.
    pub page_max: usize,
    /// How often one key may ask in a minute, in each process; without it, as often as it likes.
    pub requests_per_minute: Option<u32>,
}

impl Default for Limits {
    /// 1,000 statements nested 64 deep, 50 files of 10 MiB, documents of 4 MiB, 500 statements in an answer,
    /// any number of requests.
    fn default() -> Self {
        Self {
            statements_max: 1_000,
            depth_max: 64,
            attachments_max: 50,
            attachment_bytes_max: 10 << 20,
            document_bytes_max: 4 << 20,
            page_max: 500,
            requests_per_minute: None,
        }
    }
}

/// Statements to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreStatements {
    /// Who sends them.
    pub client: Client,
    /// By which edition.
    pub version: Version,
    /// A statement, or an array of them.
    pub body: Json,
    /// The id that a PUT names.
    pub id: Option<[u8; 16]>,
    /// Files by their SHA-2, in hexadecimal digits, as their parts name it.
    pub files: HashMap<String, Bytes>,
}

/// What became of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStatements {
    /// Their ids, in their order.
    pub ids: Vec<String>,
    /// How many are new; the others were there already.
    pub new: usize,
}

/// Which statements are wanted; all conditions hold together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StatementQuery {
    /// An agent or identified group.
    pub agent: Option<Ifi>,
    /// The IRI of a verb.
    pub verb: Option<String>,
    /// The IRI of an activity.
    pub activity: Option<String>,
    /// A registration.
    pub registration: Option<[u8; 16]>,
    /// Whether the agent may stand anywhere in the statement.
    pub related_agents: bool,
    /// Whether the activity may stand anywhere in the statement.
    pub related_activities: bool,
    /// Only what was stored after this.
    pub since: Option<Timestamp>,
    /// Only what was stored up to this.
    pub until: Option<Timestamp>,
    /// The most statements; none or 0 for as many as the store gives.
    pub limit: Option<usize>,
    /// The earliest first.
    pub ascending: bool,
    /// In which form.
    pub format: Format,
    /// With the files that belong to them.
    pub attachments: bool,
}

/// Who reads, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Whose key.
    pub client: Client,
    /// Only what the same key stored.
    pub only_mine: bool,
    /// The value of Accept-Language, for the canonical form.
    pub languages: String,
}

/// A single statement that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneStatement {
    /// Its id.
    pub id: [u8; 16],
    /// Whether a voided one is wanted, and no other.
    pub is_voided: bool,
    /// In which form.
    pub format: Format,
    /// With the files that belong to it.
    pub attachments: bool,
}

/// A file that belongs to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its SHA-2 as the statement gives it.
    pub sha2: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub content: Bytes,
}

/// Statements as JSON text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoundStatements {
    /// Each of them.
    pub statements: Vec<String>,
    /// What the next page is asked for with; none on the last one.
    pub more: Option<String>,
    /// The files that belong to them, if they were wanted.
    pub files: Vec<File>,
    /// Whether files were wanted.
    pub attachments: bool,
    /// When the latest of them was stored.
    pub last_stored: Option<Timestamp>,
}

/// Whose documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentOwner {
    /// A person's state in an activity.
    State {
        /// The activity.
        activity: String,
        /// The person.
        agent: Ifi,
        /// The attempt; for lists and deletions, none means all.
        registration: Option<[u8; 16]>,
    },
    /// An activity.
    Activity(String),
    /// A person.
    Agent(Ifi),
}

/// A condition on what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// One of these entity tags, or `*` for any document; without quotes.
    pub if_match: Option<Vec<String>>,
    /// None of these, or `*` for no document at all.
    pub if_none_match: Option<Vec<String>>,
}

/// A change of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeDocument {
    /// Who changes it.
    pub client: Client,
    /// Whose it is.
    pub owner: DocumentOwner,
    /// Its id.
    pub id: String,
    /// What must be there before.
    pub condition: Condition,
    /// What becomes of it.
    pub change: DocumentChange,
}

/// When `PUT` of a document must say, by If-Match or If-None-Match, what was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionRule {
    /// Never.
    Optional,
    /// Where a document exists.
    ToReplace,
    /// Where none exists as well.
    Always,
}

/// What becomes of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentChange {
    /// It is replaced, or there was none.
    Put {
        /// The new media type.
        content_type: String,
        /// The new content.
        content: Bytes,
        /// When the condition must say something: the rule of the edition and the kind.
        needs_condition: ConditionRule,
    },
    /// The members of a JSON object are added to it, or take the place of those of the same names.
    Merge {
        /// The media type; JSON.
        content_type: String,
        /// A JSON object.
        content: Bytes,
    },
    /// It is removed; that there is none is no error.
    Delete,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its media type.
    pub content_type: String,
    /// Its content.
    pub content: Bytes,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// SHA-1 of the content in hexadecimal digits: its entity tag, without quotes.
    pub etag: String,
}
