//! Which subjects were active in which regions of time: one bit for each pair.

use std::ops::Range;

use crate::kernel::bucket::Regions;
use crate::kernel::plan::{Compiled, Names, Plan};
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled};

/// The regions in which each subject of a range had an event, for one filter or several.
pub(crate) struct Activity {
    words: usize,
    bits: Vec<u64>,
}

impl Activity {
    /// Reads the events of a range of subjects, for filters of that number and that many buckets.
    ///
    /// One array answers for both orders of events and for segments that overlap: setting a bit twice is harmless.
    pub(crate) fn read(
        plan: &Plan<'_>,
        filters: usize,
        buckets: usize,
        subjects: Range<u32>,
        cancel: Cancel<'_>,
    ) -> Result<Self, Cancelled> {
        let range = plan.clamp(subjects);
        let words = (buckets + 2).div_ceil(64);
        let each = words * filters;
        let mut bits = vec![0; range.len() * each];
        plan.walk(Order::BySegment, range.clone(), cancel, |local, runs| {
            let own = &mut bits[local as usize * each..][..each];
            for run in runs {
                let columns = plan.segments[run.segment];
                let Compiled { regions, names, .. } = plan.compiled(run.segment);
                let times = &columns.times[run.rows.clone()];
                match names {
                    Names::Same(mask) if words == 1 => {
                        let mut found = 0_u64;
                        match regions {
                            Regions::One(region) => found = 1 << region,
                            regions => regions.each(times.iter().map(|&time| ((), time)), |(), region| {
                                found |= 1 << region
                            }),
                        }
                        own.iter_mut()
                            .enumerate()
                            .filter(|(filter, _)| mask >> filter & 1 == 1)
                            .for_each(|(_, word)| *word |= found);
                    }
                    Names::Decide(table) if words == 1 && filters <= 2 => {
                        let (mut first, mut second) = (0, 0);
                        let names = columns.names[run.rows.clone()].iter().copied();
                        regions.each(names.zip(times.iter().copied()), |name, region| {
                            let mask = u64::from(table[usize::from(name)]);
                            first |= (mask & 1) << region;
                            second |= (mask >> 1) << region;
                        });
                        own.iter_mut().zip([first, second]).for_each(|(word, found)| *word |= found);
                    }
                    _ => plan.events(range.start + local, std::slice::from_ref(run), |event| {
                        let (word, bit) = (event.region as usize / 64, 1 << (event.region % 64));
                        let mut mask = event.mask;
                        while mask != 0 {
                            own[mask.trailing_zeros() as usize * words + word] |= bit;
                            mask &= mask - 1;
                        }
                        true
                    }),
                }
            }
        })?;
        Ok(Self { words: each, bits })
    }

    /// The bits of each subject, if there is one filter and no subject has more than one word.
    pub(crate) fn single_words(&self) -> Option<&[u64]> {
        (self.words == 1).then_some(&self.bits)
    }

    /// The bits of each subject, those of the first filter first.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = &[u64]> {
        self.bits.chunks_exact(self.words)
    }
}

/// The places of the bits that are set, ascending.
pub(crate) fn set_bits(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(at, &word)| {
        let mut left = word;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            (left != 0).then(|| {
                left &= left - 1;
                at * 64 + bit
            })
        })
    })
}

/// Whether a bit is set.
pub(crate) fn has_bit(words: &[u64], bit: usize) -> bool {
    words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_bits_are_found_across_words() {
        let words = [1 << 63 | 1, 0, 0b110];
        assert_eq!(set_bits(&words).collect::<Vec<_>>(), [0, 63, 129, 130]);
        assert!(has_bit(&words, 63) && !has_bit(&words, 64) && !has_bit(&words, 500));
    }
}
