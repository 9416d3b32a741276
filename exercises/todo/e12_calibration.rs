//! 12. The expected calibration error.

/// `Σ_bins (n_bin/N) |accuracy_bin − confidence_bin|`, from `N` pairs of a confidence in (0, 1] and
/// whether the answer was right.
///
/// The confidences are grouped into `bins` intervals of equal width. An interval contains its upper
/// end: for ten bins, 0.5 belongs to (0.4, 0.5] and 1 to (0.9, 1]. `n_bin` answers are in a bin,
/// with the given accuracy (the fraction that is right) and mean confidence. Empty bins contribute
/// 0.
pub fn ece(answers: &[(f64, bool)], bins: usize) -> f64 {
    todo!("group the answers, and average |accuracy − confidence| with the weights n_bin/N")
}
