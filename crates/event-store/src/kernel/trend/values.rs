//! The values of many cells, kept for exact percentiles.

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
    let threads = threads.clamp(1, cells.max(1));
    let of_every = |first: usize| -> Vec<_> {
        let mut all = Vec::new();
        let cells = (first..cells).step_by(threads);
        cells
            .map(|cell| {
                all.clear();
                parts.iter().for_each(|part| all.extend_from_slice(part.of(cell)));
                quantiles(&mut all, PERCENTILES)
            })
            .collect()
    };
    let found: Vec<Vec<_>> = std::thread::scope(|scope| {
        let of_every = &of_every;
        let others: Vec<_> = (1..threads).map(|first| scope.spawn(move || of_every(first))).collect();
        let own = of_every(0);
        let others =
            others.into_iter().map(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    });
    (0..cells).map(|cell| found[cell % threads][cell / threads]).collect()
}
