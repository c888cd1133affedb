//! Rolling actives from rollups: a window of bitmaps that slides over the days.

use super::Rolled;
use super::blocks::{Gathered, Targets, add_up, each_block};
use super::question::{holds, reads_name};
use crate::kernel::active::{ActiveAnswer, ActiveDay, ActiveQuery, WINDOWS};
use crate::kernel::{Cancel, QueryError, ensure_within};
use crate::rollup::{WORDS, add_set, count_bits};

/// Answers a question about active subjects.
pub(crate) fn active_of(
    query: &ActiveQuery,
    rolled: &Rolled,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<ActiveAnswer, QueryError> {
    let (days, lead) = (query.days.len(), query.lead_days);
    ensure_within("number of lead days", lead, 0, days as u64 - 1)?;
    let reads_name = reads_name(&query.filter);
    let counted = rolled.counted(reads_name, |name, text| holds(&query.filter, name, text).then_some(0));
    let targets = Targets::new(rolled, &counted, days, |item| (item.region as usize).checked_sub(1));
    let start = || State {
        active: vec![0; days * WINDOWS.len()],
        by_active_days: vec![0; days - lead + 1],
        bits: vec![0; days * WORDS],
        ahead: vec![0; days * WORDS],
        planes: vec![0; (usize::BITS - (days - lead).leading_zeros()) as usize * WORDS],
        carry: vec![0; WORDS],
    };
    let state = each_block(
        rolled,
        threads,
        cancel,
        start,
        |state, blocks| state.add(&Gathered::of(blocks, &targets), lead),
        |into, from| {
            add_up(&mut into.active, &from.active);
            add_up(&mut into.by_active_days, &from.by_active_days);
        },
    )?;
    let rows = query.days.starts_micros().iter().zip(state.active.chunks_exact(WINDOWS.len()));
    let days = rows.skip(lead).filter_map(|(start_micros, row)| {
        let &[daily, weekly, monthly_28, monthly_30] = row else { return None };
        Some(ActiveDay { start_micros: *start_micros, daily, weekly, monthly_28, monthly_30 })
    });
    Ok(ActiveAnswer { days: days.collect(), subjects_by_active_days: state.by_active_days })
}

struct State {
    /// By day and window.
    active: Vec<u64>,
    by_active_days: Vec<u64>,
    /// A bitmap of each day.
    bits: Vec<u64>,
    /// Of each day, the union from it to the end of its group of as many days as the window has.
    ahead: Vec<u64>,
    /// Bit by bit, on how many answered days each subject was active.
    planes: Vec<u64>,
    carry: Vec<u64>,
}

impl State {
    fn add(&mut self, gathered: &Gathered<'_>, lead: usize) {
        self.bits.fill(0);
        for (day, sets) in gathered.each() {
            if let Some(bits) = self.bits.get_mut(day * WORDS..(day + 1) * WORDS) {
                sets.iter().for_each(|set| add_set(bits, *set));
            }
        }
        for (window, length) in WINDOWS.iter().enumerate() {
            self.slide(window, *length, lead);
        }
        self.count_days(lead);
    }

    /// Counts the union of the `length` days up to each answered one.
    ///
    /// Days are cut into groups of that length. A window is the end of one group and the beginning of the next, and
    /// the unions of both are made by adding a day at a time, so that a day costs the same whatever the length.
    fn slide(&mut self, window: usize, length: usize, lead: usize) {
        let days = self.bits.len() / WORDS;
        if length > 1 {
            self.ahead.copy_from_slice(&self.bits);
            for day in (0..days.saturating_sub(1)).rev().filter(|day| day % length != length - 1) {
                let (own, next) = self.ahead.split_at_mut((day + 1) * WORDS);
                let own = own.get_mut(day * WORDS..).unwrap_or_default();
                own.iter_mut().zip(&*next).for_each(|(own, next)| *own |= next);
            }
        }
        let mut behind = vec![0_u64; WORDS];
        for (day, bits) in self.bits.chunks_exact(WORDS).enumerate() {
            if day % length == 0 {
                behind.copy_from_slice(bits);
            } else {
                behind.iter_mut().zip(bits).for_each(|(behind, bits)| *behind |= bits);
            }
            if day < lead {
                continue;
            }
            // The first group has nothing before it, and a window that is a whole group needs nothing of another.
            let first = (day + 1).checked_sub(length).filter(|first| first % length != 0);
            let ahead = first.and_then(|first| self.ahead.get(first * WORDS..(first + 1) * WORDS));
            let count = match ahead {
                Some(ahead) => ahead.iter().zip(&behind).map(|(a, b)| u64::from((a | b).count_ones())).sum(),
                None => count_bits(&behind),
            };
            if let Some(active) = self.active.get_mut(day * WINDOWS.len() + window) {
                *active += count;
            }
        }
    }

    /// Counts the subjects by the number of answered days on which they were active.
    ///
    /// Of 64 subjects at once: plane `k` holds bit `k` of their counts.
    fn count_days(&mut self, lead: usize) {
        self.planes.fill(0);
        for bits in self.bits.chunks_exact(WORDS).skip(lead) {
            self.carry.copy_from_slice(bits);
            for plane in self.planes.chunks_exact_mut(WORDS) {
                for (sum, carry) in plane.iter_mut().zip(&mut self.carry) {
                    (*sum, *carry) = (*sum ^ *carry, *sum & *carry);
                }
            }
        }
        for at in 0..WORDS {
            let planes = || self.planes.iter().skip(at).step_by(WORDS).copied();
            let mut of_word = [0; usize::BITS as usize];
            of_word.iter_mut().zip(planes()).for_each(|(own, plane)| *own = plane);
            let used = of_word.get(..self.planes.len() / WORDS).unwrap_or_default();
            tally(used, planes().fold(0, |active, plane| active | plane), 0, &mut self.by_active_days);
        }
    }
}

/// Adds to each number how many of the subjects have it as their count, which begins with `count`.
fn tally(planes: &[u64], subjects: u64, count: usize, into: &mut [u64]) {
    if subjects == 0 {
        return;
    }
    match planes.split_last() {
        Some((plane, rest)) => {
            tally(rest, subjects & !plane, count << 1, into);
            tally(rest, subjects & plane, count << 1 | 1, into);
        }
        None => {
            if let Some(into) = into.get_mut(count) {
                *into += u64::from(subjects.count_ones());
            }
        }
    }
}
