//! Exact posterior samples: the No-U-Turn sampler (Hoffman & Gelman 2014) of the crate `nuts-rs`,
//! with gradients from the tape.
//!
//! These samples are the reference for approximate posteriors if the exact posterior has no closed
//! form. Their only approximation is the finite number of draws, which [`diagnose`] assesses.
use crate::autodiff::{Storage, Tape, Tensor, Var};
use crate::error::{Error, Result};
use crate::stats::{ess_bulk, rhat};
use ndarray::Array2;
use nuts_rs::{Chain as _, CpuLogpFunc, CpuMath, CpuMathError, HasDims, LowRankNutsSettings};
use nuts_rs::{LogpError, Settings as _};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::mem;

/// Settings of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Nuts {
    /// Initial draws in which step size and metric adapt; discarded.
    pub warmup: u64,
    /// Draws after warm-up.
    pub draws: u64,
    /// Every `thin`-th of these draws is kept.
    pub thin: u64,
    /// Maximum tree depth: a draw takes fewer than `2^depth` steps.
    pub depth: u64,
    /// Target acceptance rate for adapting the step size.
    pub accept: f64,
}

impl Default for Nuts {
    fn default() -> Self {
        Self { warmup: 1000, draws: 1000, thin: 1, depth: 10, accept: 0.8 }
    }
}

/// The draws of one chain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chain {
    /// The draws kept, each `θ [D]`.
    pub theta: Vec<Vec<f64>>,
    /// `ln p` of each of these draws, up to a constant.
    pub log_density: Vec<f64>,
    /// Number of draws after warm-up with a divergence (a step with a large error in energy).
    pub divergences: u64,
    /// Number of draws after warm-up that took the maximum of `2^depth − 1` steps. Most of them
    /// would have continued without the limit.
    pub cut_off: u64,
    /// Number of gradients evaluated, warm-up included.
    pub gradients: u64,
}

impl Chain {
    /// The draws kept, `θ [S, D]`.
    ///
    /// # Panics
    /// If there is no draw.
    pub fn draws(&self) -> Array2<f64> {
        let shape = (self.theta.len(), self.theta[0].len());
        Array2::from_shape_fn(shape, |(s, d)| self.theta[s][d])
    }
}

impl Nuts {
    /// One chain from `start [D]` for a density that is given by its logarithm up to a constant:
    /// `log_density` maps `θ [1, D]` to a scalar on the same tape.
    ///
    /// ```
    /// use bhn::experiments::nuts::Nuts;
    /// use rand::{SeedableRng, rngs::ChaCha8Rng};
    ///
    /// let nuts = Nuts { warmup: 200, draws: 500, ..Nuts::default() };
    /// let rng = &mut ChaCha8Rng::seed_from_u64(0);
    /// let chain = nuts.chain(&[1.], |theta| theta.standard_normal_log_prob().sum(), rng).unwrap();
    /// let mean = chain.theta.iter().map(|theta| theta[0]).sum::<f64>() / 500.;
    /// assert!(mean.abs() < 0.3);
    /// ```
    ///
    /// # Errors
    /// If `log_density` or its gradient is not finite at `start`, or an entry of this gradient is
    /// 0.
    pub fn chain(
        &self,
        start: &[f64],
        log_density: impl for<'t> Fn(Var<'t, f64>) -> Var<'t, f64>,
        rng: &mut impl Rng,
    ) -> Result<Chain> {
        let failed = |error: &dyn fmt::Display| {
            // The lines after the first are a backtrace.
            let found = error.to_string().lines().next().unwrap_or_default().to_string();
            let expected = "a start where the density's logarithm is finite, its gradient too, and \
                            no entry of that is 0";
            Error::invalid("NUTS", found, expected, "Start it elsewhere.")
        };
        let mut settings = LowRankNutsSettings {
            num_tune: self.warmup,
            num_draws: self.draws,
            maxdepth: self.depth,
            ..LowRankNutsSettings::default()
        };
        settings.adapt_options.step_size_settings.target_accept = self.accept;
        let log_density = &log_density;
        let density = Density { d: start.len(), log_density, storage: Storage::default() };
        let chain = settings.new_chain(0, CpuMath::new(density), rng);
        let mut sampler = chain.map_err(|error| failed(&error))?;
        sampler.set_position(start).map_err(|error| failed(&error))?;
        let mut found = Chain::default();
        for n in 0..self.warmup + self.draws {
            let (theta, progress) = sampler.draw().map_err(|error| failed(&error))?;
            found.gradients += progress.num_gradients;
            let Some(n) = n.checked_sub(self.warmup) else { continue };
            found.divergences += u64::from(progress.diverging);
            found.cut_off += u64::from(progress.num_steps + 1 >= 1 << self.depth);
            if n % self.thin == 0 {
                let tape = Tape::default();
                found.log_density.push(log_density(tape.constant(row(&theta))).item());
                found.theta.push(theta.into());
            }
        }
        Ok(found)
    }
}

/// `R̂` and bulk-ESS of a quantity over `chains`: `value(c, s)` is its value at draw `s` of chain
/// `c`.
///
/// # Panics
/// If there is no chain, a chain has fewer than four draws or fewer than the first, or a value is
/// NaN.
pub fn diagnose(chains: &[Chain], value: impl Fn(usize, usize) -> f64) -> (f64, f64) {
    let shape = (chains.len(), chains[0].theta.len());
    let draws = Array2::from_shape_fn(shape, |(chain, draw)| value(chain, draw));
    (rhat(draws.view()), ess_bulk(draws.view()))
}

/// The largest `R̂` and the smallest bulk-ESS of several quantities.
pub fn worst(diagnostics: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let start = (f64::NEG_INFINITY, f64::INFINITY);
    diagnostics.fold(start, |(r, e), (rhat, ess)| (r.max(rhat), e.min(ess)))
}

/// The density in the form that `nuts-rs` requires.
struct Density<'f, F> {
    d: usize,
    log_density: &'f F,
    storage: Storage<f64>,
}

/// A recoverable error: the sampler rejects the step.
#[derive(Debug, thiserror::Error)]
#[error("a density whose logarithm or gradient is not finite")]
struct NotFinite;

impl LogpError for NotFinite {
    fn is_recoverable(&self) -> bool {
        true
    }
}

impl<F> HasDims for Density<'_, F> {
    fn dim_sizes(&self) -> HashMap<String, u64> {
        HashMap::from([("unconstrained_parameter".into(), self.d as u64)])
    }
}

impl<F: for<'t> Fn(Var<'t, f64>) -> Var<'t, f64>> CpuLogpFunc for Density<'_, F> {
    type LogpError = NotFinite;
    type FlowParameters = ();
    type ExpandedVector = Vec<f64>;

    fn dim(&self) -> usize {
        self.d
    }

    fn logp(&mut self, theta: &[f64], gradient: &mut [f64]) -> std::result::Result<f64, NotFinite> {
        let tape = Tape::reusing(mem::take(&mut self.storage));
        let theta = tape.leaf(row(theta));
        let y = (self.log_density)(theta);
        let (value, grads) = (y.item(), y.backward());
        match grads.wrt(theta) {
            Some(g) => gradient.iter_mut().zip(g).for_each(|(to, g)| *to = *g),
            None => gradient.fill(0.),
        }
        drop(grads);
        self.storage = tape.into_storage();
        let finite = value.is_finite() && gradient.iter().all(|g| g.is_finite());
        if finite { Ok(value) } else { Err(NotFinite) }
    }

    fn expand_vector<R: Rng + ?Sized>(
        &mut self,
        _: &mut R,
        theta: &[f64],
    ) -> std::result::Result<Vec<f64>, CpuMathError> {
        Ok(theta.to_vec())
    }
}

/// `θ [D]` as `[1, D]`.
fn row(theta: &[f64]) -> Tensor<f64> {
    Tensor::from_shape_vec(vec![1, theta.len()], theta.to_vec()).expect("D entries")
}
