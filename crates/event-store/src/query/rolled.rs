//! Answers from rollups: which questions they answer, and what they are merged from.
//!
//! A question asks for stretches of time: one before its buckets, the buckets, and one after. The days of a rollup that
//! lie in one of them are taken as they were counted, and so is the tail, whose batches are counted by days here. Only
//! what a bucket cuts a day of, and what has no rollup, is read and counted by the question's own stretches.

mod active;
mod blocks;
mod count;
mod periods;
mod question;
#[cfg(test)]
mod tests;
mod top;
mod trend;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use belvedere_storage::Timestamp;

use self::count::count_columns;
use super::QueriesError;
use super::check::Need;
use super::load::{Caches, Piece, decode, pieces};
use super::work::Stop;
use crate::Snapshot;
use crate::kernel::bucket::Buckets;
use crate::rollup::{ANY, By, Cell, Edges, Section, TOTAL};

pub(crate) use active::active_of;
pub(crate) use periods::{PERIODS_MAX, lifecycle_of, retention_of};
pub(crate) use question::by_of;
pub(crate) use top::top_of;
pub(crate) use trend::trend_of;

/// When questions are answered from rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollupUse {
    /// Never: all events are read.
    Never,
    /// Where that reads at most half of the events.
    WhenCheaper,
    /// Wherever they can answer at all, however much must be read besides.
    Always,
}

/// What a question needs of rollups.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The section.
    pub(crate) by: By,
    /// By whose days the tail is counted.
    pub(crate) zone: String,
    /// The stretches: number 0 is before the first bucket, bucket `n` is number `n + 1`, then comes the one after all.
    pub(crate) buckets: Buckets,
    /// The numbers of those that matter.
    pub(crate) regions: Range<u32>,
}

impl Ask {
    /// The stretch of an instant.
    fn region(&self, micros: i64) -> u32 {
        self.buckets.starts_micros().partition_point(|start| *start <= micros) as u32
    }
}

/// A section, and in which of the question's stretches its own ones lie.
#[derive(Debug)]
pub(crate) struct Source {
    section: Arc<Section>,
    place: Place,
    /// All events lie in buckets.
    is_within: bool,
}

#[derive(Debug)]
enum Place {
    /// All of it in this one.
    Whole(u32),
    /// By stretch of the section, none where its events count elsewhere or not at all.
    Stretches(Vec<Option<u32>>),
}

/// Everything that a question asks about, counted.
#[derive(Debug, Default)]
pub(crate) struct Rolled {
    sources: Vec<Source>,
}

/// A cell that counts: its number in its section, its stretch of the question, and its series.
#[derive(Debug, Clone, Copy)]
struct Counted {
    cell: usize,
    region: u32,
    series: u32,
}

impl Rolled {
    /// Whether there are events of that name, or were among those that lie beside them.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.section.head.names.iter().any(|known| known == name))
    }

    /// The cells of each source that `assign` gives a series, by name and text. Where it does not look at the name,
    /// they are those of all names together as far as there are such, and `assign` is told an empty one.
    fn counted(
        &self,
        reads_name: bool,
        assign: impl Fn(&str, Option<&str>) -> Option<u32>,
    ) -> Vec<Vec<Counted>> {
        self.sources.iter().map(|source| source.counted(reads_name, &assign)).collect()
    }

    /// The cells of each source that make up all buckets together.
    fn totals(
        &self,
        reads_name: bool,
        buckets: u32,
        assign: impl Fn(&str, Option<&str>) -> Option<u32>,
    ) -> Vec<Vec<Counted>> {
        let own = |source: &Source| {
            if source.is_within && source.section.head.has_totals {
                return source.assigned(true, !reads_name, |_| Some(1), &assign);
            }
            let mut counted = source.counted(reads_name, &assign);
            counted.retain(|item| (1..=buckets).contains(&item.region));
            counted
        };
        self.sources.iter().map(own).collect()
    }
}

impl Source {
    fn counted(&self, reads_name: bool, assign: &impl Fn(&str, Option<&str>) -> Option<u32>) -> Vec<Counted> {
        match &self.place {
            Place::Whole(region) => self.assigned(true, !reads_name, |_| Some(*region), assign),
            Place::Stretches(regions) => {
                let is_any = !reads_name && self.section.head.by.is_none();
                let region = |cell: &Cell| regions.get(usize::from(cell.stretch)).copied().flatten();
                self.assigned(false, is_any, region, assign)
            }
        }
    }

    /// The cells of all stretches or of single ones, and of all names or of single ones, that have a region and a series.
    fn assigned(
        &self,
        is_total: bool,
        is_any: bool,
        region: impl Fn(&Cell) -> Option<u32>,
        assign: &impl Fn(&str, Option<&str>) -> Option<u32>,
    ) -> Vec<Counted> {
        let head = &self.section.head;
        let mut known: HashMap<(u16, u16), Option<u32>> = HashMap::new();
        let mut counted = Vec::new();
        for (at, cell) in head.cells.iter().enumerate() {
            if (cell.name == ANY) != is_any || (cell.stretch == TOTAL) != is_total {
                continue;
            }
            let Some(region) = region(cell) else { continue };
            let series = *known
                .entry((cell.name, cell.text))
                .or_insert_with(|| assign(if is_any { "" } else { head.name(cell) }, head.text(cell)));
            counted.extend(series.map(|series| Counted { cell: at, region, series }));
        }
        counted
    }
}

/// What a question needs, from rollups as far as they go; none where reading the events is better or all there is.
pub(crate) fn find(
    snapshot: &Snapshot,
    need: &Need,
    ask: &Ask,
    caches: &Caches,
    usage: RollupUse,
    stop: &Stop,
) -> Result<Option<Rolled>, QueriesError> {
    if usage == RollupUse::Never {
        return Ok(None);
    }
    let fields = need.fields();
    let (mut rolled, mut to_read) = (Rolled::default(), Vec::new());
    let (mut events, mut read_events) = (0, 0);
    let pieces = pieces(snapshot.clone(), need.project);
    if usage == RollupUse::WhenCheaper && is_mostly_read(&pieces, ask) {
        return Ok(None);
    }
    for piece in pieces {
        stop.check()?;
        let (count, first, last) = piece.extent();
        events += count;
        let sections = match &piece {
            Piece::Segment(part) => caches.rollup(part, ask.by)?.into_iter().collect(),
            Piece::Block(key, _) => match days(&ask.zone, first, last) {
                Some(edges) => caches.days(key, (ask.by, &ask.zone), || {
                    let decoded = decode(&piece, need, fields, caches)?;
                    let all = decoded.known.iter().chain(&decoded.nobody);
                    Ok(all
                        .map(|columns| Arc::new(count_columns(columns, ask.by, &edges.0, None, true)))
                        .collect())
                })?,
                None => Vec::new(),
            },
        };
        if sections.is_empty() {
            read_events += count;
            to_read.push((piece, None));
            continue;
        }
        if matches!(piece, Piece::Block(..)) && sections.iter().any(|it| is_short(it)) {
            return Ok(None);
        }
        let mut holes = Vec::new();
        for section in sections {
            let (source, own) = place(section, ask, first, last);
            rolled.sources.extend(source);
            holes.extend(own);
        }
        holes.sort_by_key(|hole| hole.start);
        holes.dedup();
        if !holes.is_empty() {
            read_events += count;
            to_read.push((piece, Some(holes)));
        }
    }
    if usage == RollupUse::WhenCheaper && read_events * 2 > events {
        return Ok(None);
    }
    let starts = ask.buckets.starts_micros();
    let edges: Vec<i64> = std::iter::once(i64::MIN).chain(starts.iter().copied()).chain([i64::MAX]).collect();
    for (piece, holes) in to_read {
        stop.check()?;
        let decoded = decode(&piece, need, fields, caches)?;
        for columns in decoded.known.iter().chain(&decoded.nobody) {
            let section = count_columns(columns, ask.by, &edges, holes.as_deref(), false);
            if is_short(&section) {
                return Ok(None);
            }
            let regions = (0..).take(edges.len() - 1).map(Some).collect();
            let place = Place::Stretches(regions);
            rolled.sources.push(Source { section: Arc::new(section), place, is_within: false });
        }
    }
    Ok(Some(rolled))
}

/// Whether columns had more different texts than a section can hold.
fn is_short(section: &Section) -> bool {
    section.head.is_left_out.contains(&true)
}

/// The days from the first to the last event, unless they are too many.
fn days(zone: &str, first_micros: i64, last_micros: i64) -> Option<Edges> {
    let until = Timestamp::from_micros(last_micros.saturating_add(1));
    Edges::of_days(zone, Timestamp::from_micros(first_micros), until).ok()
}

/// In which stretch of the question each stretch of a section lies, of events from `first` to `last`.
struct Laid {
    /// None where events count elsewhere or not at all.
    regions: Vec<Option<u32>>,
    /// What must be read instead.
    holes: Vec<Range<i64>>,
    /// All events lie in buckets, and no stretch is left out.
    is_within: bool,
}

impl Laid {
    fn new(edges: &[i64], is_left_out: &[bool], ask: &Ask, first: i64, last: i64) -> Self {
        let buckets = 1..=ask.buckets.len() as u32;
        let mut laid = Self { regions: Vec::with_capacity(edges.len()), holes: Vec::new(), is_within: true };
        for (stretch, bounds) in edges.windows(2).enumerate() {
            let &[start, end] = bounds else { continue };
            let (from, to) = (first.max(start), last.min(end - 1));
            if from > to {
                laid.regions.push(None);
                continue;
            }
            let (from, to) = (ask.region(from), ask.region(to));
            let is_kept = from == to && is_left_out.get(stretch) != Some(&true);
            laid.regions.push(is_kept.then_some(from).filter(|it| ask.regions.contains(it)));
            laid.is_within &= is_kept && buckets.contains(&from);
            if !is_kept && from < ask.regions.end && to >= ask.regions.start {
                laid.holes.push(start..end);
            }
        }
        laid
    }
}

/// Finds where a section of events from `first` to `last` counts, and which stretches must be read instead.
fn place(section: Arc<Section>, ask: &Ask, first: i64, last: i64) -> (Option<Source>, Vec<Range<i64>>) {
    let region = ask.region(first);
    if section.head.has_totals && region == ask.region(last) {
        let is_within = (1..=ask.buckets.len() as u32).contains(&region);
        let source = Source { section, place: Place::Whole(region), is_within };
        return (ask.regions.contains(&region).then_some(source), Vec::new());
    }
    let laid = Laid::new(&section.edges, &section.head.is_left_out, ask, first, last);
    let source = Source { section, place: Place::Stretches(laid.regions), is_within: laid.is_within };
    (Some(source), laid.holes)
}

/// Whether more than half of the events must be read, by what is known without reading any rollup.
fn is_mostly_read(pieces: &[Piece], ask: &Ask) -> bool {
    let (mut events, mut read_events) = (0, 0);
    for piece in pieces {
        let (count, first, last) = piece.extent();
        events += count;
        if let Piece::Segment(part) = piece {
            let rollup = part.rollup().filter(|rollup| rollup.has(ask.by));
            let is_read = rollup.is_none_or(|rollup| {
                let laid = Laid::new(&rollup.edges().0, &[], ask, first, last);
                ask.region(first) != ask.region(last) && !laid.holes.is_empty()
            });
            read_events += if is_read { count } else { 0 };
        }
    }
    read_events * 2 > events
}
