//! The values of events, and the same in the order of time.

use std::sync::OnceLock;

use crate::kernel::quantile::code_of;

/// Rows that share a word of bits.
const WORD: usize = u64::BITS as usize;

/// The values of events, of which most have none: a bit for each event and the values that there are.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// How many events there are.
    count: usize,
    /// Whether each event has a value.
    bits: Vec<u64>,
    /// How many values there are before each word of bits.
    before: Vec<u32>,
    /// By row.
    set: Vec<f64>,
    in_time: OnceLock<ValuesInTime>,
}

/// The events that have a value, by time, those of the same millisecond by row: any stretch of time is one stretch of
/// each column.
#[derive(Clone, Debug, Default)]
pub struct ValuesInTime {
    /// Milliseconds after the segment's base.
    pub times: Vec<u32>,
    /// Where each event lies in the segment.
    pub rows: Vec<u32>,
    /// Its value.
    pub values: Vec<f64>,
    /// The first 16 bits by which values are ordered, see [`code_of`](crate::kernel::quantile::code_of).
    pub codes: Vec<u16>,
}

impl Values {
    /// How many events there are, with and without a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of the event in that row, NaN for none.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> f64 {
        let (word, bit) = (row / WORD, row % WORD);
        match self.bits.get(word) {
            Some(bits) if bits >> bit & 1 == 1 => {
                self.set[self.before[word] as usize + (bits & ((1 << bit) - 1)).count_ones() as usize]
            }
            _ => f64::NAN,
        }
    }

    /// The rows that have a value, ascending, with their values.
    fn rows(&self) -> impl Iterator<Item = (u32, f64)> {
        let rows = self.bits.iter().enumerate().flat_map(|(word, &bits)| {
            let mut left = bits;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                (left != 0).then(|| {
                    left &= left - 1;
                    (word * WORD + bit) as u32
                })
            })
        });
        rows.zip(self.set.iter().copied())
    }

    /// Those that are there in the order of their times, one per event; sorted when they are asked for first.
    pub(super) fn in_time(&self, times: &[u32]) -> &ValuesInTime {
        self.in_time.get_or_init(|| {
            let key =
                |((row, _), place)| u128::from(times[row as usize]) << 64 | u128::from(row) << 32 | place;
            let mut keys: Vec<u128> = self.rows().zip(0_u128..).map(key).collect();
            keys.sort_unstable();
            let values: Vec<f64> = keys.iter().map(|key| self.set[*key as u32 as usize]).collect();
            ValuesInTime {
                times: keys.iter().map(|key| (key >> 64) as u32).collect(),
                rows: keys.iter().map(|key| (key >> 32) as u32).collect(),
                codes: values.iter().copied().map(code_of).collect(),
                values,
            }
        })
    }

    /// How many bytes of memory they take, in the order of time too.
    pub(crate) fn weight(&self) -> usize {
        self.bits.len() * 12 + self.set.len() * 26
    }
}

impl From<Vec<f64>> for Values {
    /// Takes one per event, NaN for none; nothing if none has one.
    fn from(dense: Vec<f64>) -> Self {
        let mut values = Self { count: dense.len(), ..Self::default() };
        values.set.reserve_exact(dense.iter().filter(|value| !value.is_nan()).count());
        for chunk in dense.chunks(WORD) {
            values.before.push(values.set.len() as u32);
            let bits = chunk.iter().rev().fold(0, |bits, value| bits << 1 | u64::from(!value.is_nan()));
            values.bits.push(bits);
            values.set.extend(chunk.iter().filter(|value| !value.is_nan()));
        }
        if values.set.is_empty() { Self::default() } else { values }
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        (self.count, &self.bits, &self.set) == (other.count, &other.bits, &other.set)
    }
}
