//! The API's answers: the slices' models field by field, described for OpenAPI, so that a model can change without
//! the API changing unseen.

use axum::Json;
use belvedere_accounts::{ApiTokenInfo, IngestKeyInfo, Project, Scope};
use belvedere_audit::AuditRow;
use belvedere_error_tracking as errors;
use belvedere_error_tracking::IssueId;
use belvedere_error_tracking::grouping::Explanation;
use belvedere_intake::{HourTally, Outcome, SetAside};
use belvedere_kernel::{ApiToken, IngestKey, Organisation, ProjectId, Removal, SubjectId, User};
use belvedere_storage::{Id, Page, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The rows of this page.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null on the last.
    pub(super) next: Option<String>,
}

impl<T> List<T> {
    pub(super) fn of<M>(page: Page<M>, answer: impl FnMut(M) -> T) -> Json<Self> {
        let next = page.next.as_ref().map(|cursor| cursor.as_str().to_owned());
        Json(Self { items: page.items.into_iter().map(answer).collect(), next })
    }
}

/// Declares an answer with fields of a model, and how it is made from one.
macro_rules! answer {
    ($(#[$about:meta])* $name:ident of $model:ty { $($(#[$field_about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Serialize, ToSchema)]
        pub(crate) struct $name {
            $($(#[$field_about])* pub(crate) $field: $type,)*
        }

        impl From<$model> for $name {
            fn from(model: $model) -> Self {
                Self { $($field: model.$field.into(),)* }
            }
        }
    };
}

/// Declares an enumeration that is the same as a model's.
macro_rules! words {
    ($(#[$about:meta])* $name:ident of $model:ty { $($word:ident),* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($word),* }

        impl From<$model> for $name {
            fn from(model: $model) -> Self {
                match model { $(<$model>::$word => Self::$word),* }
            }
        }

        impl From<$name> for $model {
            fn from(word: $name) -> Self {
                match word { $($name::$word => Self::$word),* }
            }
        }
    };
}

pub(crate) use {answer, words};

words! {
    /// How bad an event is.
    Level of errors::Level { Debug, Info, Warning, Error, Fatal }
}

words! {
    /// Where an issue is in its life.
    IssueStatus of errors::IssueStatus { Unresolved, Resolved, Ignored, Archived }
}

words! {
    /// How an unresolved issue came to be so.
    Substatus of errors::Substatus { Ongoing, Regressed, Escalating }
}

words! {
    /// What an entry of a timeline is about.
    ActivityKind of errors::ActivityKind {
        Status, Regression, Woken, Escalation, Assignment, Comment, Merge, Unmerge, Release, FirstSeen
    }
}

words! {
    /// The order of a list of issues, the latest, youngest or largest first; `trend` is what rises most, by
    /// its events of about the last day against those of about the last week, in all environments.
    IssueSort of errors::IssueSort { LastSeen, FirstSeen, Events, Subjects, Trend }
}

words! {
    /// What an API token may do.
    TokenScope of Scope { Read, Write, Admin }
}

words! {
    /// What became of items.
    ItemOutcome of Outcome { Stored, Dropped, SetAside }
}

answer! {
    /// Events with one cause.
    Issue of errors::IssueSummary {
        /// A ULID.
        #[schema(value_type = String)]
        id: IssueId,
        /// Its number within the project, from 1.
        number: i64,
        /// `TypeError: cannot read properties of undefined`, or the message.
        title: String,
        /// Where it happened.
        culprit: String,
        /// The worst level seen.
        level: Level,
        /// Where it is in its life.
        status: IssueStatus,
        /// If it is unresolved, how it came to be so.
        substatus: Substatus,
        /// The id of the member who is to look at it.
        #[schema(value_type = Option<String>)]
        assigned_to: Option<Id<User>>,
        /// The platform of its newest event.
        platform: String,
        /// Exact number of events; in a filtered list, of those that the list's `events_of` names.
        events: u64,
        /// Exact number of different subjects affected.
        subjects: u64,
        /// The earliest event's time.
        #[schema(value_type = String, format = DateTime)]
        first_seen: Timestamp,
        /// The latest event's time.
        #[schema(value_type = String, format = DateTime)]
        last_seen: Timestamp,
        /// Events per hour in the last 24 hours, oldest first.
        hourly: Vec<u64>,
    }
}

answer! {
    /// An issue with all that is known of it.
    IssueDetail of errors::IssueDetail {
        #[serde(flatten)]
        summary: Issue,
        /// Events per day in the last 14 days (UTC), oldest first.
        daily: Vec<u64>,
        /// The release of its first event.
        first_release: Option<String>,
        /// The release of its newest event.
        last_release: Option<String>,
        /// Which version of the grouping rules made it.
        grouping_version: u16,
        /// In words, what made its events one issue.
        grouping_reason: String,
        /// The values that were hashed, one a line.
        grouping_values: Vec<String>,
        /// Which rule chose them, whose frames count (`application`, `system`) and what was left out.
        #[schema(value_type = Object)]
        grouping_explanation: Explanation,
        /// The event id of its newest event.
        latest_event: Option<String>,
        #[serde(flatten)]
        triaged: Triaged,
    }
}

/// What has become of an issue in people's hands, beside its status.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Triaged {
    /// What wakes it, if that is not just any event: `{kind: after_release, version}`, `{kind: total, counted, at_least,
    /// more}` or `{kind: within, counted, at_least, minutes}`.
    #[schema(value_type = Option<Object>)]
    condition: Option<errors::Condition>,
    /// When it wakes by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The id of the member who owns what it is about, by the project's rules.
    #[schema(value_type = Option<String>)]
    suggested_owner: Option<Id<User>>,
    /// The release of the event that last brought it back after it was resolved.
    regressed_in: Option<String>,
    /// The release before its first one.
    release_before_first: Option<String>,
    /// The release before the one that it regressed in.
    release_before_regression: Option<String>,
}

impl From<errors::Triaged> for Triaged {
    fn from(triaged: errors::Triaged) -> Self {
        Self {
            condition: triaged.condition,
            until: triaged.until,
            suggested_owner: triaged.suggested_owner,
            regressed_in: triaged.regressed_in,
            release_before_first: triaged.release_before_first,
            release_before_regression: triaged.release_before_regression,
        }
    }
}

answer! {
    /// An entry on the timeline of an issue.
    Activity of errors::Activity {
        /// A ULID; null for what follows from the issue itself.
        #[schema(value_type = Option<String>)]
        id: Option<Id<errors::ActivityKey>>,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// What it is about.
        kind: ActivityKind,
        /// `user`, `token` or `system`.
        actor_kind: String,
        /// The id of the user or token, or the part of Belvedere that acted.
        actor_id: Option<String>,
        /// More about it, depending on its kind.
        #[schema(value_type = Object)]
        detail: Value,
        /// The text of a comment.
        comment: Option<String>,
        /// When the comment was last edited.
        #[schema(value_type = Option<String>, format = DateTime)]
        edited_at: Option<Timestamp>,
    }
}

answer! {
    /// A hash whose events belong to an issue.
    IssueHash of errors::IssueHash {
        /// 32 hexadecimal digits.
        hash: String,
        /// How many of the issue's newest 2,000 stored events were grouped by it.
        recent_events: u64,
        /// The title of the newest of those.
        title: Option<String>,
    }
}

answer! {
    /// One occurrence.
    EventSummary of errors::EventSummary {
        /// 32 hexadecimal digits.
        event_id: String,
        /// When it happened, by the client's clock after correction.
        #[schema(value_type = String, format = DateTime)]
        occurred_at: Timestamp,
        /// When it was received.
        #[schema(value_type = String, format = DateTime)]
        received_at: Timestamp,
        /// Its own title.
        title: String,
        /// How bad it is.
        level: Level,
        /// The release it came from.
        release: Option<String>,
        /// `production`, `staging`, ..
        environment: Option<String>,
        /// Whom it happened to, as a number that says nothing about who it is.
        #[schema(value_type = Option<i64>)]
        subject: Option<SubjectId>,
    }
}

answer! {
    /// An event whole.
    Event of errors::Event {
        #[serde(flatten)]
        summary: EventSummary,
        /// The issue it belongs to.
        #[schema(value_type = String)]
        issue: IssueId,
        /// `python`, `javascript`, ..
        platform: String,
        /// Where it happened.
        culprit: String,
        /// The SDK as `name/version`.
        sdk: Option<String>,
        /// Whether its time had to be clamped into the accepted window.
        time_was_clamped: bool,
        /// Whether the program caught the exception itself, where the SDK says so.
        handled: Option<bool>,
        /// What was removed before storage: JSON pointers and the rules that removed what they point to.
        #[schema(value_type = Vec<Object>)]
        removals: Vec<Removal>,
        /// The event id of the one before it in the issue, by time.
        previous: Option<String>,
        /// The event id of the one after it in the issue, by time.
        next: Option<String>,
        /// The payload as stored: Sentry's event attributes, scrubbed, without user identity.
        #[schema(value_type = Object)]
        payload: Value,
    }
}

answer! {
    /// A product that is watched.
    ProjectAnswer of Project {
        /// Its number, as in its DSN.
        #[schema(value_type = i64)]
        id: ProjectId,
        /// Its name in addresses.
        slug: String,
        /// Its name for people.
        name: String,
        /// IANA time zone in which its days are cut.
        time_zone: String,
        /// Whether what it shows is generated for demonstration.
        is_demo: bool,
        /// When it was made.
        #[schema(value_type = String, format = DateTime)]
        created_at: Timestamp,
    }
}

/// What lets an SDK send.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IngestKeyAnswer {
    #[serde(flatten)]
    pub(super) key: IngestKeyFields,
    /// The address to configure an SDK with.
    pub(super) dsn: String,
}

impl IngestKeyAnswer {
    pub(super) fn new(public_url: &str, key: IngestKeyInfo) -> Self {
        let (scheme, host) = public_url.split_once("://").unwrap_or(("http", public_url));
        let dsn = format!("{scheme}://{}@{host}/{}", key.public_key, key.project);
        Self { key: key.into(), dsn }
    }
}

answer! {
    /// An ingest key.
    IngestKeyFields of IngestKeyInfo {
        /// A ULID.
        #[schema(value_type = String)]
        id: Id<IngestKey>,
        /// The project that it sends to.
        #[schema(value_type = i64)]
        project: ProjectId,
        /// 32 hexadecimal digits.
        public_key: String,
        /// What people call it.
        label: String,
        /// The most requests per minute; null is unlimited.
        rate_limit_per_minute: Option<u32>,
        /// Origins from which browsers may send; empty allows all.
        allowed_origins: Vec<String>,
        /// When it was made.
        #[schema(value_type = String, format = DateTime)]
        created_at: Timestamp,
        /// When it stopped working.
        #[schema(value_type = Option<String>, format = DateTime)]
        revoked_at: Option<Timestamp>,
    }
}

/// An API token without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiTokenAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: Id<ApiToken>,
    /// What people call it.
    label: String,
    /// The first characters of the secret, to recognise it by.
    prefix: String,
    /// What it may do.
    scopes: Vec<TokenScope>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it stops working by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl From<ApiTokenInfo> for ApiTokenAnswer {
    fn from(token: ApiTokenInfo) -> Self {
        Self {
            id: token.id,
            label: token.label,
            prefix: token.prefix,
            scopes: token.scopes.into_iter().map(TokenScope::from).collect(),
            created_at: token.created_at,
            last_used_at: token.last_used_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// A new API token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewApiTokenAnswer {
    #[serde(flatten)]
    pub(super) token: ApiTokenAnswer,
    /// What to send as `Authorization: Bearer <secret>`; shown this once.
    pub(super) secret: String,
}

answer! {
    /// How many items of one type had one outcome in one hour.
    TallyAnswer of HourTally {
        /// The start of the UTC hour.
        #[schema(value_type = String, format = DateTime)]
        hour: Timestamp,
        /// The item's type as its protocol names it.
        item: String,
        /// What became of them.
        outcome: ItemOutcome,
        /// Why, as a word; empty for stored.
        reason: String,
        /// How many.
        quantity: u64,
    }
}

answer! {
    /// A delivery that could not be digested, without its content.
    SetAsideAnswer of SetAside {
        /// A ULID.
        #[schema(value_type = String)]
        id: Id<SetAside>,
        /// The project that it was sent to.
        #[schema(value_type = i64)]
        project: ProjectId,
        /// Which handler it was for.
        kind: String,
        /// What is wrong with it.
        reason: String,
        /// How often it was tried.
        tries: u32,
        /// When the door received it.
        #[schema(value_type = String, format = DateTime)]
        received_at: Timestamp,
        /// When it was set aside.
        #[schema(value_type = String, format = DateTime)]
        set_aside_at: Timestamp,
        /// When it was handed to digestion once more.
        #[schema(value_type = Option<String>, format = DateTime)]
        replayed_at: Option<Timestamp>,
        /// Bytes of its content.
        size_bytes: u64,
    }
}

answer! {
    /// An entry of the audit log.
    AuditEntry of AuditRow {
        /// Its place in the installation's log, from 1.
        seq: u64,
        /// When it was recorded.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Whose log it belongs to.
        #[schema(value_type = Option<String>)]
        organisation: Option<Id<Organisation>>,
        /// The project concerned.
        #[schema(value_type = Option<i64>)]
        project: Option<ProjectId>,
        /// `user`, `token`, `anonymous` or `system`.
        actor_kind: String,
        /// The actor's id, or the part of Belvedere that acted.
        actor_id: Option<String>,
        /// What was done, in the OWASP logging vocabulary.
        action: String,
        /// The kind of thing it was done to.
        target_kind: Option<String>,
        /// That thing's id.
        target_id: Option<String>,
        /// `success`, `denied` or `failure`.
        outcome: String,
        /// The HTTP request, if there was one.
        request_id: Option<String>,
        /// Anything else worth keeping; null also when it cannot be read any more.
        #[schema(value_type = Option<Object>)]
        detail: Option<Value>,
        /// Whether the stored bytes of the detail are not those that were recorded.
        detail_is_damaged: bool,
        /// SHA-256 of the entry's canonical bytes: the leaf hash of RFC 6962, in hexadecimal.
        leaf_hash: String,
    }
}
