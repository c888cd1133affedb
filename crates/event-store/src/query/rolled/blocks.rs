//! Unions of sets, a block of subjects at a time on several threads.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Counted, Rolled};
use crate::kernel::{Cancel, Cancelled, on_threads};
use crate::rollup::{Block, Set};

/// Where the subjects of a cell do not count.
const NOWHERE: u32 = u32::MAX;

/// From so many sets on another thread is worth its start.
const SETS_PER_THREAD: usize = 4_000;

/// By source and cell, in which of so many unions its subjects are.
#[derive(Debug)]
pub(crate) struct Targets {
    by_cell: Vec<Vec<u32>>,
    count: usize,
}

impl Targets {
    pub(crate) fn new(
        rolled: &Rolled,
        counted: &[Vec<Counted>],
        count: usize,
        target: impl Fn(&Counted) -> Option<usize>,
    ) -> Self {
        let by_cell = rolled.sources.iter().zip(counted).map(|(source, counted)| {
            let mut targets = vec![NOWHERE; source.section.head.cells.len()];
            for item in counted {
                let target = target(item).filter(|target| *target < count);
                if let (Some(place), Some(target)) = (targets.get_mut(item.cell), target) {
                    *place = target as u32;
                }
            }
            targets
        });
        Self { by_cell: by_cell.collect(), count }
    }
}

/// The sets of one block that make up each union.
#[derive(Debug, Default)]
pub(crate) struct Gathered<'a> {
    ends: Vec<usize>,
    sets: Vec<Set<'a>>,
}

impl<'a> Gathered<'a> {
    /// Sorts the sets of a block by their unions.
    pub(crate) fn of(blocks: &[(usize, &'a Block)], targets: &Targets) -> Self {
        let mut ends = vec![0; targets.count];
        let mut found = Vec::new();
        for (source, block) in blocks {
            let Some(targets) = targets.by_cell.get(*source) else { continue };
            for (cell, set) in block.sets() {
                let target = targets.get(cell as usize).copied().unwrap_or(NOWHERE);
                if let Some(count) = ends.get_mut(target as usize) {
                    *count += 1;
                    found.push((target, set));
                }
            }
        }
        let mut end = 0;
        for place in &mut ends {
            end += std::mem::replace(place, end);
        }
        let mut sets = vec![Set::List(&[]); found.len()];
        for (target, set) in found {
            if let Some(at) = ends.get_mut(target as usize) {
                if let Some(place) = sets.get_mut(*at) {
                    *place = set;
                }
                *at += 1;
            }
        }
        Self { ends, sets }
    }

    /// The unions that have members, and their sets.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &[Set<'a>])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let all = starts.zip(&self.ends).map(|(start, end)| self.sets.get(start..*end).unwrap_or_default());
        all.enumerate().filter(|(_, sets)| !sets.is_empty())
    }
}

/// Reads all blocks: `step` adds one, of all sources that have it, to a state, and `merge` adds states up.
pub(crate) fn each_block<A: Send>(
    rolled: &Rolled,
    threads: usize,
    cancel: Cancel<'_>,
    start: impl Fn() -> A + Sync,
    step: impl Fn(&mut A, &[(usize, &Block)]) + Sync,
    merge: impl Fn(&mut A, A),
) -> Result<A, Cancelled> {
    let all = || rolled.sources.iter().flat_map(|source| &source.section.blocks);
    let keys: BTreeSet<u16> = all().map(|block| block.key).collect();
    let keys: Vec<u16> = keys.into_iter().collect();
    let worth = all().map(Block::len).sum::<usize>() / SETS_PER_THREAD + 1;
    let threads = threads.min(keys.len()).min(worth).max(1);
    let next = AtomicUsize::new(0);
    let states = Mutex::new(Vec::with_capacity(threads));
    let read = || -> Result<(), Cancelled> {
        let mut state = start();
        while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            if cancel() {
                return Err(Cancelled);
            }
            let sources = rolled.sources.iter().enumerate();
            let blocks: Vec<_> = sources
                .filter_map(|(at, source)| source.section.block(*key).map(|block| (at, block)))
                .collect();
            step(&mut state, &blocks);
        }
        states.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        Ok(())
    };
    on_threads(threads, read).into_iter().collect::<Result<(), _>>()?;
    let mut states = states.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
    let mut sum = states.next().unwrap_or_else(&start);
    states.for_each(|state| merge(&mut sum, state));
    Ok(sum)
}

/// Adds numbers place by place.
pub(crate) fn add_up(into: &mut [u64], from: &[u64]) {
    into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
}
