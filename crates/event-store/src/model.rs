use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;

use crate::{Fields, RollupLimits};

/// What bounds memory, files and work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events of a project that wait to be sealed; more are refused. They are held in memory.
    pub tail_events_max: u64,
    /// The most events that are sealed at once; they are held in memory twice meanwhile.
    pub seal_events_max: usize,
    /// The most events of a row group: what is decoded at once while segments are merged or rewritten.
    pub row_group_rows: usize,
    /// Segments are not merged to ones of more events than this.
    pub segment_events_max: u64,
    /// The most bytes of the filters of ids that are kept in memory.
    pub filter_bytes_max: usize,
    /// The most segments that are kept open.
    pub open_files_max: usize,
    /// What is rolled up.
    pub rollups: RollupLimits,
}

impl Default for Limits {
    /// 2 M events in the tail, 500 k at once, row groups of 128 k, segments of 50 M, 128 MiB of filters, 256 files.
    fn default() -> Self {
        Self {
            tail_events_max: 2_000_000,
            seal_events_max: 500_000,
            row_group_rows: 128 << 10,
            segment_events_max: 50_000_000,
            filter_bytes_max: 128 << 20,
            open_files_max: 256,
            rollups: RollupLimits::default(),
        }
    }
}

/// Which events of a project, and what of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// The project.
    pub project: ProjectId,
    /// Events from here on.
    pub from: Timestamp,
    /// Events before this.
    pub until: Timestamp,
    /// Events with one of these names; with any, if empty.
    pub names: Vec<String>,
    /// Events of this subject alone.
    pub subject: Option<SubjectId>,
    /// The columns to read.
    pub fields: Fields,
}

impl Select {
    /// All columns of all events of a project.
    #[must_use]
    pub const fn all(project: ProjectId) -> Self {
        Self {
            project,
            from: crate::TIME_MIN,
            until: crate::TIME_END,
            names: Vec::new(),
            subject: None,
            fields: Fields::ALL,
        }
    }
}

/// What became of events that were handed in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// Events that are new.
    pub stored: u64,
    /// Events whose id was there before, in this call or in the store.
    pub duplicates: u64,
    /// For each event that was handed in, in their order, whether it is new: whoever counts events counts these. It is
    /// decided under the lock of the append, so that two transactions never hold the same event for new.
    pub is_new: Vec<bool>,
}

/// What sealing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Events that moved from the tail.
    pub events: u64,
    /// Segments that were made of them.
    pub segments: u64,
}

/// What compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Segments that were merged.
    pub merged: u64,
    /// Segments that were made of them.
    pub segments: u64,
}

/// What an erasure removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Events of the subject.
    pub events: u64,
    /// Segments that were rewritten or dropped.
    pub segments: u64,
    /// Batches of the tail that were rewritten or dropped.
    pub batches: u64,
}

/// What retention dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Events that were dropped.
    pub events: u64,
    /// Segments that were dropped.
    pub segments: u64,
}

/// What a project has in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Batches that wait to be sealed.
    pub tail_batches: u64,
    /// Events in them.
    pub tail_events: u64,
    /// Their compressed bytes.
    pub tail_bytes: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Events in them.
    pub sealed_events: u64,
    /// Bytes of their Parquet files.
    pub sealed_bytes: u64,
    /// Subjects that have a number.
    pub subjects: u64,
    /// The earliest event.
    pub first_at: Option<Timestamp>,
    /// The latest event.
    pub last_at: Option<Timestamp>,
}

/// How far a project is: as long as it is the same, no event came or went, and none was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreVersion {
    pub(crate) generation: i64,
    pub(crate) last_sequence: i64,
}
