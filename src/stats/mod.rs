//! Statistics of samples: means over runs, images and splits, hypothesis tests, distances between
//! distributions, convergence of Markov chains, and importance weights.
mod chains;
mod distance;
mod estimate;
mod hypothesis;
mod importance;
mod kolmogorov;
mod multiple;
mod order;
mod resampled;
mod student;
mod two_way;

pub use chains::{ess_bulk, rhat};
pub use distance::{KolmogorovSmirnov, ks_two_sample, ks_uniform, wasserstein_1};
#[cfg(feature = "cli")]
pub(crate) use estimate::LARGE;
pub use estimate::{Estimate, log_mean_exp, over_seeds};
pub(crate) use estimate::{mean, mean_and_variance};
pub use hypothesis::{ChiSquared, Correlation, Welch, chi_squared_uniform, pearson, welch};
pub use importance::{effective_sample_size, importance_bound, k_hat, k_limit};
pub use multiple::holm;
pub(crate) use order::{assert_ordered, searchsorted, sorted};
pub use resampled::over_splits;
#[cfg(feature = "cli")]
pub(crate) use student::{p_value as student_p_value, quantile as student_quantile};
pub use two_way::{TwoWay, two_way, two_way_linear};
