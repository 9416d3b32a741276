//! 14. The expected calibration error.

/// `Σ_bins (n_bin / N) |accuracy − mean confidence|` over `bins` bins of equal width of the
/// confidence, from pairs of a confidence in (0, 1] and whether the answer was right. A bin contains
/// its upper end. Empty bins count 0.
pub fn ece(answers: &[(f64, bool)], bins: usize) -> f64 {
    let _ = (answers, bins);
    todo!("a confidence c is in bin ⌈c · bins⌉ − 1")
}
