use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

use crate::kernel::funnel::FunnelGroup;
use crate::kernel::lifecycle::LifecyclePeriod;
use crate::kernel::retention::RetentionAnswer;
use crate::kernel::session::SessionAnswer;
use crate::kernel::trend::Series;

/// Series over common buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendAnswer {
    /// The start of each bucket.
    pub starts: Vec<Timestamp>,
    /// One without breakdown; else one per text by number of events, and last all others.
    pub series: Vec<Series>,
}

/// First all subjects, then with a breakdown the groups, and last the other groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunnelAnswer {
    /// Never empty.
    pub groups: Vec<FunnelGroup>,
}

/// Cohorts and their average.
pub type RetentionTable = RetentionAnswer;

/// What became of subjects in each period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleAnswer {
    /// One per period.
    pub periods: Vec<LifecyclePeriod>,
}

/// Sessions over buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTable {
    /// The start of each bucket.
    pub starts: Vec<Timestamp>,
    /// What began in them.
    pub sessions: SessionAnswer,
}

/// What a formula comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct FormulaAnswer {
    /// The start of each bucket.
    pub starts: Vec<Timestamp>,
    /// Its value in each bucket; none where it has no value.
    pub points: Vec<Option<f64>>,
    /// By series and bucket, the numbers that it was computed from.
    pub series: Vec<Vec<Option<f64>>>,
}

/// A page of the subjects of a cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPage {
    /// How many there are on all pages.
    pub total: u64,
    /// Those of this page, by their numbers.
    pub subjects: Vec<SubjectVolume>,
    /// What the next page comes after; none on the last one.
    pub next: Option<u32>,
}

/// A subject of a cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectVolume {
    /// Its number within the store.
    pub number: u32,
    /// The subject; none if it was erased meanwhile.
    pub subject: Option<SubjectId>,
    /// How many of the events it has.
    pub events: u64,
}

/// How often a property is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyVolume {
    /// The name by which it is asked for.
    pub property: String,
    /// Whether it is a column of its own, not a part of the JSON.
    pub is_column: bool,
    /// Number of events.
    pub events: u64,
}

/// How often a name occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameVolume {
    /// The name.
    pub name: String,
    /// Number of events.
    pub events: u64,
    /// Number of different subjects.
    pub subjects: u64,
}

/// How often a text of a dimension occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueVolume {
    /// The text; none for events without one.
    pub value: Option<String>,
    /// Number of events.
    pub events: u64,
    /// Number of different subjects.
    pub subjects: u64,
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineEvent {
    /// Its id.
    pub id: [u8; 16],
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub name: String,
    /// Whose it is; none without a subject.
    pub subject: Option<SubjectId>,
    /// The number of its subject within the store; none without one.
    pub subject_number: Option<u32>,
    /// Its number.
    pub value: Option<f64>,
    /// Its texts, `session` and the dimensions, by the names of the columns; those that are not set are left out.
    pub texts: Vec<(&'static str, String)>,
    /// The text of a JSON object, or empty.
    pub props: String,
}
