//! The values of events, and the same in the order of time.

use std::ops::Deref;
use std::sync::OnceLock;

/// The values of events, one per event, NaN for none.
#[derive(Clone, Debug, Default)]
pub struct Values {
    dense: Vec<f64>,
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
}

impl Values {
    /// Those that are there in the order of their times, one per event; sorted when they are asked for first.
    pub(super) fn in_time(&self, times: &[u32]) -> &ValuesInTime {
        self.in_time.get_or_init(|| {
            let with_value =
                (0_u32..).zip(self.dense.iter().zip(times)).filter(|(_, (value, _))| !value.is_nan());
            let mut keys: Vec<u64> =
                with_value.map(|(row, (_, &time))| u64::from(time) << 32 | u64::from(row)).collect();
            keys.sort_unstable();
            let rows: Vec<u32> = keys.iter().map(|key| *key as u32).collect();
            ValuesInTime {
                times: keys.into_iter().map(|key| (key >> 32) as u32).collect(),
                values: rows.iter().map(|&row| self.dense[row as usize]).collect(),
                rows,
            }
        })
    }

    /// How many bytes of memory they take, in the order of time too.
    pub(crate) fn weight(&self) -> usize {
        self.dense.len() * 8 + self.dense.iter().filter(|value| !value.is_nan()).count() * 16
    }
}

impl From<Vec<f64>> for Values {
    fn from(dense: Vec<f64>) -> Self {
        Self { dense, in_time: OnceLock::new() }
    }
}

impl Deref for Values {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.dense
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.dense == other.dense
    }
}
