//! Rollups made anew from their segments: those that are missing, damaged, or cut by another calendar.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;

use super::file::Unusable;
use super::{RollupCheck, RollupWriter};
use crate::directory::sync_directory;
use crate::segment::SegmentMeta;
use crate::store::{Inner, upkeep};
use crate::{Embedded, EventStoreError, Fields, SegmentId, TextField, tables};

/// What is known of how right rollups are.
#[async_trait]
pub trait RollupChecks: Send + Sync {
    /// The last check of a project's rollups; none before the first.
    ///
    /// # Errors
    /// A storage error.
    async fn find_rollup_check(&self, project: ProjectId) -> Result<Option<RollupCheck>, EventStoreError>;
}

#[async_trait]
impl RollupChecks for Embedded {
    async fn find_rollup_check(&self, project: ProjectId) -> Result<Option<RollupCheck>, EventStoreError> {
        Ok(tables::find_rollup_check(self.inner.db.read(), project).await?.map(|(check, _)| check))
    }
}

impl Embedded {
    /// Makes the rollups of segments that have none, or one of another time zone or of other dimensions; how many.
    ///
    /// It reads those segments whole, one after the other, until `is_stopped` says so.
    ///
    /// # Errors
    /// [`EventStoreError::Damaged`] when a segment is not what it was, [`EventStoreError::File`], or a storage error.
    pub async fn renew_rollups(
        &self,
        project: ProjectId,
        is_stopped: impl Fn() -> bool,
    ) -> Result<u64, EventStoreError> {
        if !self.inner.limits.rollups.is_on {
            return Ok(0);
        }
        let zone = self.time_zone(project).await?;
        let state = self.refresh(project).await?;
        let segments = Arc::clone(&state.view().segments);
        let mut renewed = 0;
        for meta in segments.iter() {
            if is_stopped() {
                break;
            }
            let (inner, meta, zone) = (Arc::clone(&self.inner), meta.clone(), zone.clone());
            let made = upkeep(move || {
                if is_current(&inner, project, &meta, &zone) {
                    return Ok(false);
                }
                rebuild(&inner, project, &meta, &zone).map(|()| true)
            });
            match made.await {
                Ok(made) => renewed += u64::from(made),
                // Whatever took its place has a rollup of its own.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(renewed)
    }
}

fn is_current(inner: &Inner, project: ProjectId, meta: &SegmentMeta, zone: &str) -> bool {
    let Some(edges) = inner.edges(zone, meta.week, meta.week_count) else { return true };
    match inner.rollup(project, meta) {
        Ok(rollup) => *rollup.edges() == edges && rollup.sections() == inner.limits.rollups.sections(),
        Err(Unusable::Missing) => false,
        Err(Unusable::Damaged(what)) => {
            tracing::warn!(segment = %meta.id, what, "a rollup is damaged and is made anew");
            false
        }
    }
}

/// Reads a segment and writes its rollup in place of the one that it has.
pub(crate) fn rebuild(
    inner: &Inner,
    project: ProjectId,
    meta: &SegmentMeta,
    zone: &str,
) -> Result<(), EventStoreError> {
    let Some(edges) = inner.edges(zone, meta.week, meta.week_count) else { return Ok(()) };
    let file = inner.open(project, meta)?;
    file.verify(&inner.directory.segment(project, meta.id), meta)?;
    let version = SegmentId::generate(inner.clock.now());
    let path = inner.directory.rollup(project, meta.id);
    // Under an id of its own until it is whole, so that a sweep takes it for as young as it is.
    let pieces = inner.directory.rollup(project, version);
    let mut writer = RollupWriter::create(path.clone(), &pieces, edges, &inner.limits.rollups)?;
    for group in 0..file.row_groups() {
        writer.write(&file.read_row_group(group, fields(inner))?)?;
    }
    writer.finish(version, meta)?;
    if let Some(parent) = path.parent() {
        sync_directory(parent)?;
    }
    inner.forget_rollup(meta.id);
    Ok(())
}

/// The columns that rollups count.
pub(crate) fn fields(inner: &Inner) -> Fields {
    let base = Fields::TIME.and(Fields::SUBJECT).and(Fields::text(TextField::Name));
    let dimensions = inner.limits.rollups.sections().into_iter().flatten();
    dimensions.fold(base, |fields, it| fields.and(Fields::text(crate::query::text_field(it))))
}
