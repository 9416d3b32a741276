//! Means over overlapping splits of one data set into training and test rows.
use super::estimate::{Estimate, mean_and_variance};

/// The mean `m` of `values [J]`, one per random split of a data set, with the corrected error
/// `√((1/J + n₂/n₁) s²)`, where `n₂/n₁` is the ratio of test to training rows and `s²` the unbiased
/// variance: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 2003.
/// The mean has `J − 1` degrees of freedom in Student's t, and its error is NaN for one split.
///
/// Splits share most of their training rows, so their results are correlated. The error `√(s²/J)`
/// of independent results would tend to 0 with the number of splits, although the data set is
/// finite; the corrected error assumes the correlation `n₂/(n₁ + n₂)`.
///
/// # Panics
/// If there is no split.
pub fn over_splits(values: &[f64], test_per_train: f64) -> Estimate {
    assert!(!values.is_empty(), "over_splits: no split");
    let (value, variance) = mean_and_variance(values);
    let factor = 1.0 / values.len() as f64 + test_per_train;
    Estimate { value, error: (factor * variance).sqrt() }
}
