//! Simulation-based calibration (Talts et al., arXiv 1804.06788).
//!
//! With `θ ~ p(θ)`, `D ~ p(D|θ)` and `θ₁ … θ_L ~ p(θ|D)`, the rank of `f(θ)` among the `f(θ_l)` is
//! uniform on `0 … L` for every `f`. A posterior that is too narrow yields a U-shaped histogram.
use super::gaps::Method;
use super::models::Logistic;
use super::problems::{Settings, sample};
use crate::error::{Error, Result};
use crate::experiments::fit::{Joint, Training, evaluate};
use crate::experiments::nuts::Nuts;
use crate::experiments::{Cell, Lab};
use crate::random::{Purpose, stream};
use crate::stats::{ChiSquared, chi_squared_uniform};
use ndarray::{Array1, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use statrs::distribution::{Binomial, DiscreteCDF};
use std::ops::RangeInclusive;

/// Number of draws `L`; there are `L + 1 = 100` possible ranks.
pub const DRAWS: usize = 99;
/// Number of bins; each contains five ranks.
pub const BINS: usize = 20;

/// The rank of `truth`: the number of `draws` below it.
pub fn rank(truth: f64, draws: impl IntoIterator<Item = f64>) -> usize {
    draws.into_iter().filter(|&draw| draw < truth).count()
}

/// Number of ranks in each bin.
pub fn histogram(ranks: impl IntoIterator<Item = usize>) -> [usize; BINS] {
    let mut counts = [0; BINS];
    ranks.into_iter().for_each(|rank| counts[rank * BINS / (DRAWS + 1)] += 1);
    counts
}

/// The central 99 % interval of a bin's count if the ranks of `n` simulations are uniform.
#[expect(clippy::missing_panics_doc, reason = "a bin's share is a probability")]
pub fn band(n: usize) -> RangeInclusive<u64> {
    let counts = Binomial::new(1. / BINS as f64, n as u64).expect("a probability");
    counts.inverse_cdf(0.005)..=counts.inverse_cdf(0.995)
}

/// The ranks in all simulations, among the draws of one approximate posterior or of NUTS.
pub(super) struct Ranks {
    pub key: &'static str,
    pub name: &'static str,
    /// The rank of each quantity in each simulation: `[simulations][quantities]`.
    pub ranks: Vec<Vec<usize>>,
}

/// Keys and names of the posteriors that are calibrated.
const CALIBRATED: [(&str, &str); 3] =
    [("nuts", "NUTS"), ("mean-field", "Bayes by Backprop"), ("t4", "BHN, T = 4")];
/// Simulations per cell.
const TOGETHER: u64 = 25;

pub(super) fn calibrate(lab: &Lab<'_>, settings: &Settings) -> Result<Vec<Ranks>> {
    let mut cells = vec![];
    for (key, _) in CALIBRATED {
        let method = Method::ALL.iter().find(|method| method.key == key);
        for first in (0..settings.simulations).step_by(TOGETHER as usize) {
            let last = (first + TOGETHER).min(settings.simulations);
            let cost =
                method.map_or(0.1, Method::cost) * ((last - first) * settings.brief.steps) as f64;
            let key = format!("calibration-{key}-{first}-{last}");
            cells.push(Cell { key, cost, input: (method, first..last) });
        }
    }
    let found = lab.cells(&cells, |(method, simulations)| {
        simulations.clone().map(|i| simulate(*method, &settings.brief, i)).collect()
    })?;
    let each = cells.len() / CALIBRATED.len();
    let ranks = found.chunks(each).map(|parts: &[Vec<Vec<usize>>]| parts.concat());
    let named = CALIBRATED.iter().zip(ranks);
    Ok(named.map(|(&(key, name), ranks)| Ranks { key, name, ranks }).collect())
}

/// Ranks in simulation `i`: of each entry of `θ`, then of `ln p(D|θ)`. The true `θ` is drawn from
/// the prior and the data `D` from the model; the posterior samples come from `method`, or from
/// NUTS if that is `None`.
fn simulate(method: Option<&Method>, brief: &Training, i: u64) -> Result<Vec<usize>> {
    let model = Logistic::simulated(30, 3, 1., &mut stream(0, Purpose::Toy, 4));
    let rng = &mut stream(i, Purpose::Toy, 5);
    let truth = Array1::from_shape_simple_fn(model.dim(), || rng.sample(StandardNormal));
    let joint = model.observed(&truth, rng);
    let draws = match method {
        None => {
            let nuts =
                Nuts { warmup: 300, draws: 5 * DRAWS as u64, thin: 5, depth: 8, accept: 0.9 };
            sample(&joint, &nuts, i)?.draws()
        }
        Some(method) => {
            let weighted = method.samples(&joint, brief, (1, DRAWS), i);
            let diverged =
                || Error::invalid(method.name, "a divergence", "a fit", "Please report it.");
            weighted.ok_or_else(diverged)?.theta
        }
    };
    let log_likelihood = |theta| evaluate(theta, |theta| joint.log_likelihood(theta).sum_axis(1));
    let columns = truth.iter().zip(draws.columns());
    let mut ranks: Vec<_> =
        columns.map(|(&truth, draws)| rank(truth, draws.iter().copied())).collect();
    let own = log_likelihood(truth.insert_axis(Axis(0)));
    ranks.push(rank(own[0], log_likelihood(draws)));
    Ok(ranks)
}

impl Ranks {
    /// Number of quantities that are ranked.
    pub fn quantities(&self) -> usize {
        self.ranks[0].len()
    }

    /// The histogram of one quantity's ranks.
    pub fn counts(&self, quantity: usize) -> [usize; BINS] {
        histogram(self.ranks.iter().map(|ranks| ranks[quantity]))
    }

    /// Pearson's χ² test that the ranks of one quantity are uniform.
    pub fn uniform(&self, quantity: usize) -> ChiSquared {
        chi_squared_uniform(&self.counts(quantity))
    }

    /// The smallest p-value times the number of tests (Bonferroni), at most 1.
    pub fn p_value(&self) -> f64 {
        let p = (0..self.quantities()).map(|q| self.uniform(q).p_value);
        (self.quantities() as f64 * p.fold(1., f64::min)).min(1.)
    }

    /// The name of quantity `q`: the entries of `θ` come first, the log-likelihood is last.
    pub fn quantity(&self, q: usize) -> String {
        match q + 1 == self.quantities() {
            true => "ln p(D|θ)".into(),
            false => format!("θ{}", ['₁', '₂', '₃'][q]),
        }
    }
}
