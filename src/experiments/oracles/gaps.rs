//! The gap of each posterior's bound to the evidence, and its moments compared with those of NUTS.
use super::gaussian::moments;
use super::methods::{Fitted, Method};
use super::problems::{Problem, Settings, draws};
use crate::error::Result;
use crate::experiments::{Cell, Grid, Lab, Row};
use ndarray::{Array2, Axis, concatenate};

/// A posterior family fitted to a problem.
pub(super) struct Variant<'a> {
    pub problem: &'a Problem,
    pub method: &'a Method,
}

/// One fit per seed; `None` if it diverged.
pub(super) type Fits<'a> = Grid<Variant<'a>, Option<Fitted>>;

/// Fit every method to every problem.
pub(super) fn fit<'a>(
    lab: &Lab<'_>,
    settings: &Settings,
    problems: &'a [Problem],
    methods: &'a [Method],
) -> Result<Fits<'a>> {
    let row = |problem: &'a Problem, method: &'a Method| {
        let key = format!("{}-{}", problem.key, method.key);
        let cost = method.cost() * settings.training.steps as f64;
        Cell { key, cost, input: Variant { problem, method } }
    };
    let rows = problems.iter().flat_map(|problem| methods.iter().map(move |m| row(problem, m)));
    lab.grid(rows, |Variant { problem, method }, seed, _| {
        let Settings { training, measured, .. } = settings;
        let weighted = method.samples(&*problem.joint, training, *measured, seed);
        Ok(weighted.and_then(|weighted| Fitted::new(&weighted)))
    })
}

impl Row<Variant<'_>, Option<Fitted>> {
    /// The fits that did not diverge.
    pub(super) fn fitted(&self) -> impl Iterator<Item = &Fitted> {
        self.results.iter().flatten()
    }

    /// `ln p(D) − ELBO = KL(q‖p)` in nats of each fit that did not diverge.
    pub(super) fn gaps(&self) -> Vec<f64> {
        let log_evidence = self.input.problem.log_evidence.value;
        self.fitted().map(|fit| log_evidence - fit.elbo.value).collect()
    }
}

impl<'a> Fits<'a> {
    /// The row of a problem and a method.
    pub(super) fn of(&self, problem: &str, method: &str) -> &Row<Variant<'a>, Option<Fitted>> {
        &self[&*format!("{problem}-{method}")]
    }

    /// The couplings `T` of RealNVP and its gaps, ascending.
    pub(super) fn by_couplings(&self, problem: &Problem) -> Vec<(usize, Vec<f64>)> {
        let own = self.iter().filter(|row| row.input.problem.key == problem.key);
        own.filter_map(|row| Some((row.input.method.couplings()?, row.gaps()))).collect()
    }
}

/// Deviation of a posterior's first two moments from those of the draws of NUTS.
pub(super) struct Moments {
    /// Largest `|mᵢ − m*ᵢ| / σ*ᵢ`.
    pub mean: f64,
    /// Smallest `σᵢ / σ*ᵢ`.
    pub narrowest: f64,
    /// Largest `σᵢ / σ*ᵢ`.
    pub widest: f64,
    /// Largest `|ρᵢⱼ − ρ*ᵢⱼ|`.
    pub correlation: f64,
}

impl Moments {
    pub fn new(fit: &Fitted, problem: &Problem) -> Self {
        let chains: Vec<_> = problem.chains.iter().map(draws).collect();
        let views: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
        let (m, c) = moments(concatenate(Axis(0), &views).expect("chains of one width").view());
        let d = m.len();
        let covariance = Array2::from_shape_fn((d, d), |(i, j)| fit.covariance[i][j]);
        let std = |c: &Array2<f64>, i: usize| c[[i, i]].sqrt();
        let rho = |c: &Array2<f64>, i, j| c[[i, j]] / std(c, i) / std(c, j);
        let pairs = (0..d).flat_map(|i| (0..i).map(move |j| (i, j)));
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        let ratio = |i| std(&covariance, i) / std(&c, i);
        Self {
            mean: most(&mut (0..d).map(|i| (fit.mean[i] - m[i]).abs() / std(&c, i))),
            narrowest: -most(&mut (0..d).map(|i| -ratio(i))),
            widest: most(&mut (0..d).map(ratio)),
            correlation: most(
                &mut pairs.map(|(i, j)| (rho(&covariance, i, j) - rho(&c, i, j)).abs()),
            ),
        }
    }
}
