//! Densities of hypernets: they are normalised and consistent, and samples follow them.
use super::suite::{Instance, Measurement, Property, Suite, largest};
use crate::autodiff::Tape;
use crate::autodiff::Var;
use crate::autodiff::gradcheck::randn;
use crate::bayes::{
    Axes, Base, Draw, FlowKind, Hypernet, HypernetConfig, Kl, Mnf, MnfConfig, Posterior,
};
use crate::nn::{BoundParams, Params};
use crate::primary::{Block, BlockKind};
use crate::stats::ks_uniform;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Samples `[S, D]`, and `ln q [S]` as computed while drawing them.
pub type Samples = (Array2<f64>, Array1<f64>);

/// A distribution over vectors `[D]` that can be sampled and has a density.
pub struct Density {
    /// `D`, the number of entries of `θ`.
    pub dim: usize,
    params: Params<f64>,
    posterior: Box<dyn Posterior<f64>>,
    /// Applied to all samples; the identity except in faults.
    change_draws: fn(Array2<f64>, Array1<f64>) -> Samples,
    /// Applied to `θ` and `ln q` of [`Density::log_prob`]; returns `ln q` except in faults.
    change_density: fn(&Array2<f64>, Array1<f64>) -> Array1<f64>,
}

impl Density {
    /// The density of a posterior over vectors of `dim` entries.
    ///
    /// # Panics
    /// When evaluated, if the posterior has no density.
    pub fn new(dim: usize, params: Params<f64>, posterior: Box<dyn Posterior<f64>>) -> Self {
        Self { dim, params, posterior, change_draws: |t, q| (t, q), change_density: |_, q| q }
    }

    /// `S` samples drawn from a seed.
    fn draw(&self, samples: usize, seed: u64) -> Samples {
        let (tape, rng) = (Tape::default(), &mut ChaCha8Rng::seed_from_u64(seed));
        let draw = self.posterior.predictive(&self.params.freeze(&tape), samples, rng);
        let [theta, log_q] = [draw.theta, draw.log_q().expect("a density")].map(|v| v.value());
        let theta = theta.to_owned().into_dimensionality().expect("[S, D]");
        (self.change_draws)(theta, log_q.to_owned().into_dimensionality().expect("[S]"))
    }

    /// `ln q [S]` of any `θ [S, D]`.
    fn log_prob(&self, theta: &Array2<f64>) -> Array1<f64> {
        let tape = Tape::default();
        let at = tape.constant(theta.clone().into_dyn());
        let log_q = self.posterior.density(&self.params.freeze(&tape), at).expect("a density");
        let log_q = log_q.value().to_owned().into_dimensionality().expect("[S]");
        (self.change_density)(theta, log_q)
    }
}

/// The suite of [`Hypernet`]s of every kind, and of the weights and multipliers of [`Mnf`].
pub fn suite() -> Suite<Density> {
    let config = |kind, base| HypernetConfig {
        kind,
        base,
        couplings: 2,
        layers: 2,
        rank: 2,
        hidden: 5,
        ..HypernetConfig::default()
    };
    let mixture = Base::Mixture { components: 3, distance: 3., axes: Axes::default() };
    let elementwise = HypernetConfig { couplings: 0, ..config(FlowKind::Realnvp, Base::Normal) };
    let realnvp = config(FlowKind::Realnvp, Base::Normal);
    let kinds = [
        ("elementwise, D = 1", 1, elementwise),
        ("RealNVP, D = 2", 2, realnvp),
        ("RealNVP, D = 3", 3, realnvp),
        ("RealNVP from mixture noise, D = 2", 2, config(FlowKind::Realnvp, mixture)),
        ("IAF, D = 1", 1, config(FlowKind::Iaf, Base::Normal)),
        ("IAF, D = 2", 2, config(FlowKind::Iaf, Base::Normal)),
        ("linear, D = 2", 2, config(FlowKind::Linear, Base::Normal)),
        ("planar, D = 1", 1, config(FlowKind::Planar, Base::Normal)),
        ("planar, D = 2", 2, config(FlowKind::Planar, Base::Normal)),
        ("Cholesky, D = 2", 2, config(FlowKind::Cholesky, Base::Normal)),
        ("Cholesky, D = 3", 3, config(FlowKind::Cholesky, Base::Normal)),
        ("low rank, D = 1", 1, config(FlowKind::LowRank, Base::Normal)),
        ("low rank, D = 3", 3, config(FlowKind::LowRank, Base::Normal)),
    ];
    let mut instances: Vec<_> =
        kinds.iter().map(|(name, d, c)| Instance::new(*name, hypernet(*d, c))).collect();
    instances.push(Instance::new("MNF, a weight, its multiplier and a bias", multiplied()));
    let mut faults = faults(&|| hypernet(2, &realnvp));
    let without_constant = Density {
        change_draws: |t, q| (t, q + TAU.ln()),
        change_density: |_, q| q + TAU.ln(),
        ..hypernet(2, &realnvp)
    };
    faults.push(Instance::new("the base's constant is left out", without_constant));
    Suite {
        properties: vec![
            Property::new("integral", "∫ q(θ) dθ = 1, constants and Jacobian included", integral),
            DRAWS,
            Property::new(
                "goodness of fit",
                "draws follow the density: their first entries agree with its distribution function",
                goodness_of_fit,
            ),
        ],
        instances,
        faults,
    }
}

/// A hypernet over vectors of `d` entries, with parameters of order one.
fn hypernet(d: usize, config: &HypernetConfig) -> Density {
    let mut params = Params::default();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let hypernet = Hypernet::new(&mut params, "q", d, config, rng);
    perturb(&mut params);
    Density::new(d, params, Box::new(hypernet))
}

/// Parameters of order one.
fn perturb(params: &mut Params<f64>) {
    for ((_, w), seed) in params.iter_mut().zip(40..) {
        *w = (randn(w.shape(), seed) * 0.5).into();
    }
}

/// `q(w, z) = q(w|z) q(z)` of an [`Mnf`], as a distribution over vectors `(w, z)`.
struct Joint(Mnf<f64>);

impl Posterior<f64> for Joint {
    fn draw<'t>(
        &self,
        p: &BoundParams<'t, f64>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, f64> {
        let sample = self.0.sample(p, samples, rng);
        let log_q = sample.log_conditional + sample.log_multipliers;
        Draw { theta: Var::concat(&[sample.w, sample.z], 1), kl: Kl::Sampled { log_q } }
    }

    fn density<'t>(&self, p: &BoundParams<'t, f64>, both: Var<'t, f64>) -> Option<Var<'t, f64>> {
        let [w, z] = [0..2, 2..3].map(|range| both.slice(1, range));
        Some(self.0.log_conditional(p, w, z) + self.0.multipliers().log_prob(p, z))
    }

    fn recentre(&self, params: &mut Params<f64>, theta: &[f64]) {
        self.0.recentre(params, &theta[..2]);
    }
}

/// The weight and bias of a unit with one input, and the weight's multiplier.
fn multiplied() -> Density {
    let mut params = Params::default();
    let block = Block { offset: 0, outputs: 1, inputs: 1, kind: BlockKind::Dense };
    let config = MnfConfig { couplings: 0, ..MnfConfig::default() };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let q = Mnf::new(&mut params, "q", &[0.; 2], &[block], &config, rng);
    perturb(&mut params);
    Density::new(3, params, Box::new(Joint(q)))
}

/// `ln q(θ)` of a sample, as computed while drawing it and by the inverse.
pub(super) const DRAWS: Property<Density> = Property::new(
    "draws",
    "q(θ) of a draw is the same as it was drawn and by the inverse",
    consistent,
);

/// The largest relative difference allowed between `ln q` of a sample as drawn and by the inverse.
const SAME: f64 = 1e-7;

/// `ln q` of samples is the same when computed while drawing them and by the inverse.
#[expect(clippy::missing_panics_doc, reason = "shapes are those of the samples")]
pub fn consistent(q: &Density) -> Measurement {
    // The inverse of an IAF takes a pass for each entry of θ, so fewer samples are drawn if θ is
    // large.
    let (theta, log_q) = q.draw(if q.dim < 100 { 64 } else { 4 }, 3);
    let noise = randn(theta.shape(), 8).mapv(|r| 1. + f64::EPSILON * r);
    let noise: Array2<f64> = noise.into_dimensionality().expect("[S, D]");
    let nudged = &theta * &noise;
    let [again, nudged] = [theta, nudged].map(|theta| q.log_prob(&theta));
    let difference = |a: &Array1<f64>, b: &Array1<f64>| {
        largest(a.iter().zip(b).map(|(a, b)| (a - b).abs() / a.abs().max(1.)))
    };
    let rounding = difference(&again, &nudged);
    if rounding > SAME / 100. {
        let why =
            format!("nearly singular: the last digit of θ moves ln q(θ) by {rounding:.0e} of it");
        return Measurement::not_judged(why);
    }
    Measurement::new(difference(&log_q, &again), SAME, "ln q(θ)")
}

/// A grid that is dense near the samples and reaches far beyond them. The nodes along axis `j` are
/// `θⱼ = mⱼ + wⱼ sinh t` for `t` in equal steps, where `mⱼ` is the median of the samples and `wⱼ`
/// half the range of their middle 80 %.
struct Grid {
    /// The number of nodes along each axis.
    steps: usize,
    /// The largest `|t|`: 7, where the nodes are `sinh 7 = 548` widths `w` from the median.
    reach: f64,
    /// `m` and `w` of each axis.
    axes: Vec<[f64; 2]>,
}

impl Grid {
    fn over(q: &Density) -> Self {
        let (draws, _) = q.draw(2000, 7);
        let axis = |column: ArrayView1<'_, f64>| {
            let mut sorted = column.to_vec();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len();
            [sorted[n / 2], (0.5 * (sorted[n * 9 / 10] - sorted[n / 10])).max(1e-9)]
        };
        let steps = [8000, 900, 130][q.dim - 1];
        Self { steps, reach: 7., axes: draws.columns().into_iter().map(axis).collect() }
    }

    fn step(&self) -> f64 {
        2. * self.reach / (self.steps - 1) as f64
    }

    /// `θⱼ` and `dθⱼ` at a node.
    fn at(&self, axis: usize, step: usize) -> [f64; 2] {
        let t = step as f64 * self.step() - self.reach;
        let [m, w] = self.axes[axis];
        [m + w * t.sinh(), w * t.cosh() * self.step()]
    }

    /// `dθ₀ ∫ q dθ₁ … dθ_{D−1}` at each node of the first axis.
    fn marginal(&self, q: &Density) -> Vec<f64> {
        let d = self.axes.len();
        let others = self.steps.pow(d as u32 - 1);
        let slab = |first: usize| {
            let [x, dx] = self.at(0, first);
            let (mut theta, mut weights) = (Array2::zeros((others, d)), vec![dx; others]);
            for (i, mut row) in theta.rows_mut().into_iter().enumerate() {
                row[0] = x;
                let mut code = i;
                for j in 1..d {
                    let [x, dx] = self.at(j, code % self.steps);
                    row[j] = x;
                    weights[i] *= dx;
                    code /= self.steps;
                }
            }
            q.log_prob(&theta).iter().zip(weights).map(|(q, w)| q.exp() * w).sum()
        };
        (0..self.steps).into_par_iter().map(slab).collect()
    }
}

/// `∫ q(θ) dθ = 1` for `D ≤ 3`, by the trapezoidal rule, whose error at a conditioner's ReLU
/// kink is of second order in the step.
pub fn integral(q: &Density) -> Measurement {
    let all: f64 = Grid::over(q).marginal(q).iter().sum();
    let allowed = if q.dim < 3 { 1e-3 } else { 1e-2 };
    Measurement::new((all - 1.).abs(), allowed, format!("the integral is {all:.6}"))
}

/// A Kolmogorov-Smirnov test that the distribution function of the density maps the first entries
/// of samples to uniform numbers. The measurement is `1/p` for the p-value `p`, and may be at most
/// 1000.
fn goodness_of_fit(q: &Density) -> Measurement {
    let grid = Grid::over(q);
    let mut below = 0.;
    let distribution: Vec<[f64; 2]> = grid
        .marginal(q)
        .iter()
        .enumerate()
        .map(|(i, mass)| {
            below += mass;
            [grid.at(0, i)[0], below - 0.5 * mass]
        })
        .collect();
    let uniform = |&x: &f64| {
        let i = distribution.partition_point(|[y, _]| *y < x).clamp(1, distribution.len() - 1);
        let [[x0, f0], [x1, f1]] = [distribution[i - 1], distribution[i]];
        f0 + (f1 - f0) * ((x - x0) / (x1 - x0)).clamp(0., 1.)
    };
    let (draws, _) = q.draw(4000, 11);
    let found = ks_uniform(&draws.column(0).iter().map(uniform).collect::<Vec<_>>());
    let at = format!("distance {:.4}, p = {:.3}", found.distance, found.p_value);
    Measurement::new(1. / found.p_value, 1e3, at)
}

/// Copies of `sound` whose draws, `ln q` of the draws and density do not agree.
pub(super) fn faults(sound: &dyn Fn() -> Density) -> Vec<Instance<Density>> {
    fn normal(theta: &Array2<f64>) -> Array1<f64> {
        theta.map_axis(Axis(1), |row| -0.5 * row.dot(&row) - TAU.ln())
    }
    let draws = |name, change_draws| Instance::new(name, Density { change_draws, ..sound() });
    let density = |name, change_density| Instance::new(name, Density { change_density, ..sound() });
    vec![
        draws("ln q of a draw at its noise and not at θ", |t, q| {
            let base = normal(&t);
            (t, base + 0. * q)
        }),
        draws("draws a tenth too wide", |t, q| (&t * 1.1, q)),
        draws("draws moved by a tenth of their width", |t, q| {
            let std = t.std_axis(Axis(0), 0.);
            (t + std * 0.1, q)
        }),
        density("the density of another distribution", |theta, _| normal(theta)),
    ]
}
