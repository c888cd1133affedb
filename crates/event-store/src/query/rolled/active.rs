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
        active_days: vec![0; WORDS * 64],
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
    /// By subject, on how many answered days it was active.
    active_days: Vec<u16>,
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

    fn count_days(&mut self, lead: usize) {
        for bits in self.bits.chunks_exact(WORDS).skip(lead) {
            for (word, counts) in bits.iter().zip(self.active_days.chunks_exact_mut(64)) {
                let mut rest = *word;
                while rest != 0 {
                    if let Some(count) = counts.get_mut(rest.trailing_zeros() as usize) {
                        *count += 1;
                    }
                    rest &= rest - 1;
                }
            }
        }
        for count in &mut self.active_days {
            let count = std::mem::take(count);
            if count > 0
                && let Some(into) = self.by_active_days.get_mut(usize::from(count))
            {
                *into += 1;
            }
        }
    }
}
