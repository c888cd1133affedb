//! The values of many cells, kept for exact percentiles.

use crate::kernel::make_each;
use crate::kernel::quantile::{PERCENTILES, quantiles};

/// Values that were read from one part, cell after cell.
#[derive(Clone, Debug)]
pub(super) struct CellValues {
    /// First value of each cell, and the number of values at the end.
    starts: Vec<usize>,
    values: Vec<f64>,
}

impl CellValues {
    /// Sorts values, given with their cells, into that many cells.
    pub(super) fn new(cells: usize, read: &[(u32, f64)]) -> Self {
        let mut starts = vec![0; cells + 1];
        for &(cell, _) in read {
            starts[cell as usize + 1] += 1;
        }
        for cell in 0..cells {
            starts[cell + 1] += starts[cell];
        }
        let (mut next, mut values) = (starts.clone(), vec![0.0; read.len()]);
        for &(cell, value) in read {
            let at = &mut next[cell as usize];
            values[*at] = value;
            *at += 1;
        }
        Self { starts, values }
    }

    fn of(&self, cell: usize) -> &[f64] {
        &self.values[self.starts[cell]..self.starts[cell + 1]]
    }
}

/// The percentiles of each cell over all parts; none where there is no value.
pub(super) fn percentiles(
    parts: &[CellValues],
    cells: usize,
    threads: usize,
) -> Vec<Option<[f64; PERCENTILES.len()]>> {
    make_each(cells, threads, |cell| {
        quantiles(&parts.iter().map(|part| part.of(cell)).collect::<Vec<_>>(), PERCENTILES)
    })
}
