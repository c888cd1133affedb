//! Comparing rollups with the events that they count.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};

use super::block::{Set, WORDS, add_set};
use super::file::{RollupFile, Unusable};
use super::rebuild::{fields, rebuild};
use super::{ANY, By, Section, TOTAL};
use crate::batch::Batch;
use crate::query::text_field;
use crate::segment::SegmentMeta;
use crate::segment_file::SegmentFile;
use crate::store::{Inner, upkeep};
use crate::{Embedded, EventStoreError, NO_SUBJECT, SegmentId, TextField, tables};

/// The most differences that a check keeps; it counts all.
pub(crate) const DIFFERENCES_MAX: usize = 50;

/// What a check of a project's rollups found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupCheck {
    /// When it ended.
    pub checked_at: Timestamp,
    /// Whether every segment that has a rollup was compared; if not, the next check goes on from there.
    pub is_complete: bool,
    /// Segments whose rollups were compared with their events.
    pub segments: u64,
    /// Segments without a rollup, which are read instead.
    pub without: u64,
    /// Different days of the events that were compared.
    pub days: u64,
    /// Events that were compared.
    pub events: u64,
    /// How many counts were not those of the events.
    pub difference_count: u64,
    /// The first 50 of them.
    pub differences: Vec<RollupDifference>,
    /// Rollups that were made anew for it.
    pub rebuilt: u64,
}

/// A count of a rollup that was not that of the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupDifference {
    /// The segment.
    pub segment: String,
    /// When the day begins, in microseconds since 1970 UTC; none if it is about all days of the segment.
    pub day_micros: Option<i64>,
    /// The name; none if it is about all names.
    pub name: Option<String>,
    /// The dimension that was told apart.
    pub dimension: Option<String>,
    /// Its text.
    pub text: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Embedded {
    /// Compares the rollups of a project with its events until `is_stopped` says so, makes those anew that differ, and
    /// keeps the outcome for [`super::RollupChecks`]. None without anything to compare.
    ///
    /// # Errors
    /// [`EventStoreError::Damaged`] when a segment is not what it was, [`EventStoreError::File`], or a storage error.
    pub async fn check_rollups(
        &self,
        project: ProjectId,
        is_stopped: impl Fn() -> bool + Send + Sync + Clone + 'static,
    ) -> Result<Option<RollupCheck>, EventStoreError> {
        let state = self.refresh(project).await?;
        let mut segments: Vec<SegmentMeta> = state.view().segments.to_vec();
        if segments.is_empty() {
            return Ok(None);
        }
        let last = tables::find_rollup_check(self.inner.db.read(), project).await?;
        let from = last.and_then(|(_, resume)| resume);
        segments.sort_by_key(|meta| meta.id);
        // Those that the last check did not get to come first.
        let first = segments.partition_point(|meta| from.is_some_and(|from| meta.id <= from));
        segments.rotate_left(first);
        let zone = self.time_zone(project).await?;
        let mut found = Found::default();
        let mut resume = None;
        let mut is_complete = true;
        for meta in segments {
            if is_stopped() {
                is_complete = false;
                break;
            }
            resume = Some(meta.id);
            let (inner, zone) = (Arc::clone(&self.inner), zone.clone());
            let one = upkeep(move || check_segment(&inner, project, &meta, &zone));
            match one.await {
                Ok(one) => found.add(one),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let check = RollupCheck {
            checked_at: self.inner.clock.now(),
            is_complete,
            segments: found.segments,
            without: found.without,
            days: found.days.len() as u64,
            events: found.events,
            difference_count: found.difference_count,
            differences: found.differences,
            rebuilt: found.rebuilt,
        };
        let resume = resume.filter(|_| !is_complete);
        self.inner
            .db
            .write(async |tx| {
                tables::put_rollup_check(tx, project, &check, resume).await.map_err(EventStoreError::from)
            })
            .await?;
        Ok(Some(check))
    }
}

#[derive(Debug, Default)]
struct Found {
    segments: u64,
    without: u64,
    days: BTreeSet<i64>,
    events: u64,
    difference_count: u64,
    differences: Vec<RollupDifference>,
    rebuilt: u64,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.without += other.without;
        self.days.extend(other.days);
        self.events += other.events;
        self.difference_count += other.difference_count;
        self.differences.extend(other.differences);
        self.differences.truncate(DIFFERENCES_MAX);
        self.rebuilt += other.rebuilt;
    }

    fn differ(&mut self, difference: impl FnOnce() -> RollupDifference) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference());
        }
    }
}

fn check_segment(
    inner: &Inner,
    project: ProjectId,
    meta: &SegmentMeta,
    zone: &str,
) -> Result<Found, EventStoreError> {
    let mut found = Found::default();
    let unreadable = |what: String| RollupDifference {
        segment: meta.id.to_string(),
        day_micros: None,
        name: None,
        dimension: None,
        text: None,
        what: format!("cannot be read: {what}"),
    };
    match inner.rollup(project, meta) {
        Err(Unusable::Missing) => {
            found.without = 1;
            return Ok(found);
        }
        Err(Unusable::Damaged(what)) => found.differ(|| unreadable(what)),
        Ok(rollup) => {
            let file = inner.open(project, meta)?;
            found.segments = 1;
            found.events = meta.count;
            for by in rollup.sections() {
                match rollup.read(by) {
                    Ok(section) => compare(inner, meta.id, &file, &rollup, &section, &mut found)?,
                    Err(Unusable::Missing) => {}
                    Err(Unusable::Damaged(what)) => found.differ(|| unreadable(what)),
                }
            }
        }
    }
    if found.difference_count > 0 {
        let (count, first) = (found.difference_count, found.differences.first());
        tracing::error!(%project, segment = %meta.id, count, ?first, "a rollup differs from its events");
        rebuild(inner, project, meta, zone)?;
        found.rebuilt = 1;
    }
    Ok(found)
}

/// The stretch, name and text of a cell, as codes of the comparison; none for all.
type Key = (Option<usize>, Option<u32>, u32);

/// Plain counts of the events of a section.
#[derive(Debug, Default)]
struct Counts {
    codes: HashMap<String, u32>,
    texts: Vec<String>,
    /// Events and subjects.
    counts: HashMap<Key, (u64, u64)>,
    /// Subjects of the block at hand.
    members: HashMap<Key, Vec<u16>>,
}

impl Counts {
    fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.codes.insert(text.to_owned(), code);
        code
    }

    fn text(&self, code: u32) -> String {
        self.texts.get(code as usize).cloned().unwrap_or_default()
    }

    fn add(&mut self, key: Key, subject: u32) {
        let count = self.counts.entry(key).or_default();
        count.0 += 1;
        if subject == NO_SUBJECT {
            return;
        }
        let members = self.members.entry(key).or_default();
        if members.last() != Some(&(subject as u16)) {
            members.push(subject as u16);
            count.1 += 1;
        }
    }
}

fn compare(
    inner: &Inner,
    id: SegmentId,
    file: &SegmentFile,
    rollup: &RollupFile,
    section: &Section,
    found: &mut Found,
) -> Result<(), EventStoreError> {
    let head = &section.head;
    let mut counts = Counts::default();
    counts.code("");
    // By number of the cell: what it is about.
    let mut keys: Vec<Key> = Vec::with_capacity(head.cells.len());
    for cell in &head.cells {
        let name = (cell.name != ANY).then(|| counts.code(head.name(cell)));
        let text = counts.code(head.text(cell).unwrap_or_default());
        keys.push(((cell.stretch != TOTAL).then_some(usize::from(cell.stretch)), name, text));
    }
    let mut wrong: BTreeSet<Key> = BTreeSet::new();
    let mut blocks: BTreeSet<u16> = section.blocks.iter().map(|block| block.key).collect();
    let mut key = 0;
    for group in 0..file.row_groups() {
        let batch = file.read_row_group(group, fields(inner))?;
        for row in 0..batch.count {
            let subject = batch.subjects.get(row).copied().unwrap_or(NO_SUBJECT);
            if (subject >> 16) as u16 != key {
                end_block(section, key, &keys, &mut counts, &mut wrong);
                blocks.remove(&key);
                key = (subject >> 16) as u16;
            }
            add_row(&batch, row, subject, rollup, head.by, head.has_totals, &mut counts);
        }
    }
    end_block(section, key, &keys, &mut counts, &mut wrong);
    blocks.remove(&key);
    blocks.into_iter().for_each(|key| end_block(section, key, &keys, &mut counts, &mut wrong));

    let is_kept = |key: &Key| match key.0 {
        Some(stretch) => head.is_left_out.get(stretch) == Some(&false),
        None => head.has_totals,
    };
    let days = counts.counts.keys().filter_map(|key| rollup.edges().0.get(key.0?));
    found.days.extend(days);
    let mut rolled: HashMap<Key, (u64, u64)> = HashMap::new();
    for (key, cell) in keys.iter().zip(&head.cells) {
        let sum = rolled.entry(*key).or_default();
        *sum = (sum.0 + u64::from(cell.events), sum.1 + u64::from(cell.subjects));
    }
    let mut all: BTreeSet<Key> = counts.counts.keys().chain(rolled.keys()).copied().collect();
    all.retain(is_kept);
    for key in all {
        let none = (0, 0);
        let (mine, theirs) = (rolled.get(&key).unwrap_or(&none), counts.counts.get(&key).unwrap_or(&none));
        if mine == theirs && !wrong.contains(&key) {
            continue;
        }
        let what = format!(
            "{} events of {} subjects instead of {} of {}{}",
            mine.0,
            mine.1,
            theirs.0,
            theirs.1,
            if wrong.contains(&key) { ", not the same ones" } else { "" }
        );
        found.differ(|| RollupDifference {
            segment: id.to_string(),
            day_micros: key.0.and_then(|stretch| rollup.edges().0.get(stretch)).copied(),
            name: key.1.map(|name| counts.text(name)),
            dimension: head.by.map(|dimension| dimension.as_str().to_owned()),
            text: head.by.map(|_| counts.text(key.2)),
            what,
        });
    }
    Ok(())
}

fn add_row(
    batch: &Batch,
    row: usize,
    subject: u32,
    rollup: &RollupFile,
    by: By,
    has_totals: bool,
    counts: &mut Counts,
) {
    let day = batch.times.get(row).and_then(|micros| rollup.edges().find(*micros));
    let name = counts.code(batch.text(TextField::Name, row).unwrap_or_default());
    let text = by.and_then(|dimension| batch.text(text_field(dimension), row));
    let text = counts.code(text.unwrap_or_default());
    counts.add((day, Some(name), text), subject);
    if by.is_none() {
        counts.add((day, None, text), subject);
    }
    if has_totals {
        counts.add((None, Some(name), text), subject);
        counts.add((None, None, text), subject);
    }
}

/// Compares the sets of one block, and forgets what was counted of it.
fn end_block(section: &Section, key: u16, keys: &[Key], counts: &mut Counts, wrong: &mut BTreeSet<Key>) {
    let mut expected = std::mem::take(&mut counts.members);
    for (cell, set) in section.block(key).into_iter().flat_map(super::Block::sets) {
        let Some(key) = keys.get(cell as usize) else { continue };
        let members = expected.remove(key).unwrap_or_default();
        let mut bits = vec![0; WORDS];
        add_set(&mut bits, set);
        let mut wanted = vec![0; WORDS];
        add_set(&mut wanted, Set::List(&members));
        if bits != wanted {
            wrong.insert(*key);
        }
    }
    wrong.extend(expected.into_keys());
}
