//! Statistics of samples: means over runs, hypothesis tests, distances between distributions,
//! convergence of Markov chains and importance weights.
mod chains;
mod counts;
mod distance;
mod estimate;
mod hypothesis;
mod importance;
mod kolmogorov;
mod means;
mod order;
mod pareto;

pub use chains::{ess_bulk, rhat};
pub use counts::{ChiSquared, chi_squared_uniform};
pub use distance::{KolmogorovSmirnov, ks_two_sample, ks_uniform, wasserstein_1};
pub use estimate::{Estimate, over_seeds};
pub use hypothesis::{Correlation, Welch, pearson, welch};
pub use importance::{effective_sample_size, importance_bound};
pub use means::log_mean_exp;
pub(crate) use means::{mean, mean_and_variance};
pub(crate) use order::{assert_ordered, searchsorted, sorted};
pub use pareto::{k_hat, k_limit};
