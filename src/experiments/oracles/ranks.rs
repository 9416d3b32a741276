//! The calibration of three ways to a posterior: ranks of the truth in simulated data sets.
use super::calibration::{BINS, DRAWS, histogram, rank, uniform};
use super::logistic::Logistic;
use super::methods::Method;
use super::problems::{Settings, draws, sample};
use crate::autodiff::{Tape, Tensor};
use crate::error::{Error, Result};
use crate::experiments::fit::{Joint, Training};
use crate::experiments::nuts::Nuts;
use crate::experiments::{Cell, Lab};
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;

/// Ranks by one way to a posterior, `[simulations][quantities]`.
pub(super) struct Ranks {
    pub key: &'static str,
    pub name: &'static str,
    pub ranks: Vec<Vec<usize>>,
}

/// The ways that are calibrated.
const CALIBRATED: [(&str, &str); 3] =
    [("nuts", "NUTS"), ("mean-field", "Bayes by Backprop"), ("t4", "BHN, T = 4")];
/// Simulations per cell.
const TOGETHER: u64 = 25;

pub(super) fn calibrate(
    lab: &Lab<'_>,
    settings: &Settings,
    methods: &[Method],
) -> Result<Vec<Ranks>> {
    let mut cells = vec![];
    for (key, _) in CALIBRATED {
        let method = methods.iter().find(|method| method.key == key);
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

/// Ranks of `θ₁ … θ_D` and of `ln p(D|θ)` in simulation `i`: `θ` is drawn from the prior, `D` from
/// the model, the posterior samples by `method`, or by NUTS if `None`.
fn simulate(method: Option<&Method>, brief: &Training, i: u64) -> Result<Vec<usize>> {
    let model = Logistic::simulated(30, 3, 1., &mut stream(0, Purpose::Toy, 4));
    let rng = &mut stream(i, Purpose::Toy, 5);
    let truth = Array1::from_shape_simple_fn(model.dim(), || rng.sample(StandardNormal));
    let joint = model.observed(&truth, rng);
    let draws = match method {
        None => {
            let nuts =
                Nuts { warmup: 300, draws: 5 * DRAWS as u64, thin: 5, depth: 8, accept: 0.9 };
            draws(&sample(&joint, &nuts, i)?)
        }
        Some(method) => {
            let weighted = method.samples(&joint, brief, (1, DRAWS), i);
            let diverged =
                || Error::invalid(method.name, "a divergence", "a fit", "Please report it.");
            weighted.ok_or_else(diverged)?.theta
        }
    };
    let log_likelihood = |theta: Array2<f64>| -> Vec<f64> {
        let (tape, theta): (_, Tensor<f64>) = (Tape::default(), theta.into_dyn().into());
        joint.log_likelihood(tape.constant(theta)).sum_axis(1).value().iter().copied().collect()
    };
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

    /// The smallest p-value times the number of tests (Bonferroni).
    pub fn p_value(&self) -> f64 {
        let p = (0..self.quantities()).map(|q| uniform(&self.counts(q)).p_value);
        (self.quantities() as f64 * p.fold(1., f64::min)).min(1.)
    }

    /// The name of quantity `q`: an entry of `θ`, or, last, the log-likelihood.
    pub fn quantity(&self, q: usize) -> String {
        match q + 1 == self.quantities() {
            true => "ln p(D|θ)".into(),
            false => format!("θ{}", ['₁', '₂', '₃'][q]),
        }
    }
}
