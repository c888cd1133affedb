use crate::Attempt;

/// How good predictions were.
pub(crate) struct Measure {
    pub(crate) auc: f64,
    pub(crate) rmse: f64,
    pub(crate) log_loss: f64,
    /// Expected calibration error over ten bins of equal width.
    pub(crate) calibration_error: f64,
}

impl Measure {
    pub(crate) fn of(attempts: &[Attempt], predictions: &[f64]) -> Self {
        let tested = attempts.iter().zip(predictions).filter(|(attempt, _)| !attempt.is_for_fitting());
        let mut pairs: Vec<(f64, bool)> =
            tested.map(|(attempt, chance)| (*chance, attempt.is_correct)).collect();
        pairs.sort_by(|left, right| left.0.total_cmp(&right.0));
        let count = pairs.len() as f64;
        let (mut squares, mut loss, mut bins) = (0.0, 0.0, [(0.0, 0.0); 10]);
        for (chance, is_correct) in &pairs {
            let outcome = if *is_correct { 1.0 } else { 0.0 };
            squares += (chance - outcome).powi(2);
            loss -= if *is_correct { *chance } else { 1.0 - chance }.max(1e-9).ln();
            let bin = &mut bins[((chance * 10.0) as usize).min(9)];
            *bin = (bin.0 + chance, bin.1 + outcome);
        }
        let gaps = bins.iter().map(|(chances, outcomes): &(f64, f64)| (chances - outcomes).abs());
        Self {
            auc: auc(&pairs),
            rmse: (squares / count).sqrt(),
            log_loss: loss / count,
            calibration_error: gaps.sum::<f64>() / count,
        }
    }
}

/// The chance that a right answer was thought likelier than a wrong one; pairs are sorted, ties count half.
fn auc(pairs: &[(f64, bool)]) -> f64 {
    let (mut below, mut wins, mut right) = (0.0, 0.0, 0.0);
    for tied in pairs.chunk_by(|left, right| left.0 == right.0) {
        let positive = tied.iter().filter(|pair| pair.1).count() as f64;
        let negative = tied.len() as f64 - positive;
        wins += positive * (below + negative / 2.0);
        below += negative;
        right += positive;
    }
    wins / (below * right)
}
