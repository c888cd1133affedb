//! Rollups: what is often asked about the events of a segment, counted when the segment is written.
//!
//! A rollup belongs to one segment and is written before it, so whatever replaces the segment replaces the rollup in
//! the same swap: a late event is in the rollup of its own segment, and nobody who was erased is in any. It holds, for
//! each day of the project and each name, the number of events and the exact set of their subjects, and the same for
//! each text of a few dimensions; answers merge the rollups of all segments.
//!
//! A rollup can be away or out of date at any time. Then its segment is read instead, so an answer never depends on it.

mod block;
mod build;
mod bytes;
mod check;
mod file;
mod rebuild;
mod section;
mod write;

use belvedere_kernel::ProjectId;
use belvedere_storage::StorageError;

pub use check::{RollupCheck, RollupDifference};
pub use rebuild::RollupChecks;

pub(crate) use block::{Block, Set, Union, WORDS, add_set, count_bits};
pub(crate) use build::SectionBuilder;
pub(crate) use file::{RollupFile, Stamp, Unusable};
pub(crate) use section::{ANY, Cell, Head, Section, TOTAL};
pub(crate) use write::{Edges, RollupWriter};

use crate::columns::Dimension;

/// What a section of a rollup tells apart besides days and names: the texts of a dimension, or nothing more.
pub(crate) type By = Option<Dimension>;

/// What is rolled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollupLimits {
    /// Whether rollups are written at all.
    pub is_on: bool,
    /// By [`Dimension::index`], which dimensions are counted together with names.
    pub dimensions: [bool; Dimension::COUNT],
    /// The most combinations of name and text of one day; a day with more is read from its segment instead.
    pub cells_max: usize,
}

impl RollupLimits {
    /// Of names and those dimensions.
    #[must_use]
    pub fn of(dimensions: &[Dimension]) -> Self {
        let mut limits = Self { is_on: true, dimensions: [false; Dimension::COUNT], cells_max: 10_000 };
        for dimension in dimensions {
            limits.dimensions[dimension.index()] = true;
        }
        limits
    }

    /// The sections of a rollup.
    pub(crate) fn sections(&self) -> Vec<By> {
        let wanted = Dimension::ALL.into_iter().filter(|dimension| self.dimensions[dimension.index()]);
        std::iter::once(None).chain(wanted.map(Some)).collect()
    }
}

impl Default for RollupLimits {
    /// Names, courses, countries and plans; 10,000 combinations a day.
    fn default() -> Self {
        Self::of(&[Dimension::Course, Dimension::Country, Dimension::Plan])
    }
}

/// Tells where the days of a project begin.
#[async_trait::async_trait]
pub trait ProjectZones: Send + Sync {
    /// The IANA name of a project's time zone; none if there is no such project any more.
    ///
    /// # Errors
    /// A storage error.
    async fn time_zone(&self, project: ProjectId) -> Result<Option<String>, StorageError>;
}
