//! Defends: the reference values for posteriors (oracles) are right. Each evidence is computed in
//! two ways, each estimator has a case with a known answer, and each test of calibration was seen
//! to fail.
#![cfg(feature = "cli")]
mod bridge;
mod calibration;
mod estimators;
mod evidence;
mod gaps;
mod gaussians;
mod laplace;
mod mnf;

use rand::{SeedableRng, rngs::ChaCha8Rng};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
