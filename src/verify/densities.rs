//! Densities: of hypernets, priors and likelihoods.
use super::faults;
use super::suite::{Finding, Property, Subject, Suite, largest};
use crate::autodiff::gradcheck::randn;
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{
    Axes, Base, FlowKind, Hypernet, HypernetConfig, Likelihood, Posterior, Prior, Targets,
};
use crate::nn::Params;
use crate::stats::ks_uniform;
use ndarray::{Array1, Array2};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;

/// A distribution over `[D]` that can be sampled and says its density.
pub trait Density: Send + Sync {
    /// `D`.
    fn dim(&self) -> usize;

    /// Samples `[S, D]`, and what is said of `ln q` there when they are drawn, `[S]`.
    fn draw(&self, samples: usize, seed: u64) -> (Array2<f64>, Array1<f64>);

    /// `ln q [S]` of any `[S, D]`.
    fn log_prob(&self, theta: Array2<f64>) -> Array1<f64>;
}

/// A posterior with a density, and its parameters.
pub struct Hyper {
    pub(super) d: usize,
    pub(super) params: Params<f64>,
    pub(super) posterior: Box<dyn Posterior<f64>>,
}

impl Hyper {
    /// The hypernet that `config` describes, with parameters of order one.
    pub(super) fn new(d: usize, config: &HypernetConfig) -> Self {
        let mut params = Params::default();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let hypernet = Hypernet::of(&mut params, "q", d, config, rng);
        for ((_, w), seed) in params.iter_mut().zip(40..) {
            *w = (randn(w.shape(), seed) * 0.5).into();
        }
        Self { d, params, posterior: Box::new(hypernet) }
    }
}

impl Density for Hyper {
    fn dim(&self) -> usize {
        self.d
    }

    fn draw(&self, samples: usize, seed: u64) -> (Array2<f64>, Array1<f64>) {
        let tape = Tape::default();
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let draw = self.posterior.draw(&self.params.freeze(&tape), &tape, samples, rng);
        let [theta, log_q] = [draw.theta, draw.log_q.expect("a density")].map(|v| v.value());
        let theta = theta.to_owned().into_dimensionality().expect("[S, D]");
        (theta, log_q.to_owned().into_dimensionality().expect("[S]"))
    }

    fn log_prob(&self, theta: Array2<f64>) -> Array1<f64> {
        let tape = Tape::default();
        let theta = tape.constant(theta.into_dyn());
        let found = self.posterior.density(&self.params.freeze(&tape), theta);
        let found = found.expect("a density").value();
        found.to_owned().into_dimensionality().expect("[S]")
    }
}

/// The sound hypernet of two entries whose broken twins are seeded.
pub(super) fn realnvp() -> Hyper {
    Hyper::new(2, &small(FlowKind::Realnvp, Base::Normal))
}

fn small(kind: FlowKind, base: Base) -> HypernetConfig {
    HypernetConfig { kind, base, couplings: 2, layers: 2, hidden: 5, ..HypernetConfig::default() }
}

/// Hypernets.
pub fn hypernets() -> Suite<Box<dyn Density>> {
    let mixture = Base::Mixture { components: 3, distance: 3., axes: Axes::default() };
    let kinds = [
        (
            "elementwise, D = 1",
            1,
            HypernetConfig { couplings: 0, ..small(FlowKind::Realnvp, Base::Normal) },
        ),
        ("RealNVP, D = 2", 2, small(FlowKind::Realnvp, Base::Normal)),
        ("RealNVP, D = 3", 3, small(FlowKind::Realnvp, Base::Normal)),
        ("RealNVP from mixture noise, D = 2", 2, small(FlowKind::Realnvp, mixture)),
        ("IAF, D = 1", 1, small(FlowKind::Iaf, Base::Normal)),
        ("IAF, D = 2", 2, small(FlowKind::Iaf, Base::Normal)),
        ("linear, D = 2", 2, small(FlowKind::Linear, Base::Normal)),
        ("planar, D = 1", 1, small(FlowKind::Planar, Base::Normal)),
        ("planar, D = 2", 2, small(FlowKind::Planar, Base::Normal)),
    ];
    let subject = |(name, d, config): (&str, usize, HypernetConfig)| Subject {
        name: name.into(),
        it: Box::new(Hyper::new(d, &config)) as Box<dyn Density>,
    };
    Suite {
        properties: vec![
            Property {
                name: "integral",
                proves: "∫ q(θ) dθ = 1, constants and Jacobian included",
                measure: |q| integral(&**q),
            },
            DRAWS,
            Property {
                name: "goodness of fit",
                proves: "draws have the density that is claimed: their first entries follow its distribution function",
                measure: |q| fit(&**q),
            },
        ],
        subjects: kinds.into_iter().map(subject).collect(),
        faults: faults::densities(),
    }
}

/// The way back says the same as the draw.
pub(super) const DRAWS: Property<Box<dyn Density>> = Property {
    name: "draws",
    proves: "q(θ) of a draw is the same by the way it was drawn and by the way back",
    measure: |q| consistent(&**q),
};

/// A grid over `[D]`, dense where draws are and wide: `θⱼ = mⱼ + wⱼ sinh t`, with `m` the median of draws, `w` half the
/// range of their middle 80 %, and `t` in equal steps.
struct Grid {
    /// Steps a side.
    steps: usize,
    /// `t` reaches this far to either side: `sinh 7 = 548` widths.
    reach: f64,
    /// `m` and `w` for each axis.
    axes: Vec<[f64; 2]>,
}

impl Grid {
    fn over(q: &dyn Density) -> Self {
        let (draws, _) = q.draw(2000, 7);
        let axis = |column: ndarray::ArrayView1<'_, f64>| {
            let mut sorted = column.to_vec();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len();
            [sorted[n / 2], (0.5 * (sorted[n * 9 / 10] - sorted[n / 10])).max(1e-9)]
        };
        let steps = [8000, 900, 130][q.dim() - 1];
        Self { steps, reach: 7., axes: draws.columns().into_iter().map(axis).collect() }
    }

    fn step(&self) -> f64 {
        2. * self.reach / (self.steps - 1) as f64
    }

    /// `θⱼ` of a step, and `dθⱼ` there.
    fn at(&self, axis: usize, step: usize) -> [f64; 2] {
        let t = step as f64 * self.step() - self.reach;
        let [m, w] = self.axes[axis];
        [m + w * t.sinh(), w * t.cosh() * self.step()]
    }

    /// `∫ q` over all but the first axis, for each of its steps, the first axis' `dθ` included.
    fn marginal(&self, q: &dyn Density) -> Vec<f64> {
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
            q.log_prob(theta).iter().zip(weights).map(|(q, w)| q.exp() * w).sum()
        };
        (0..self.steps).into_par_iter().map(slab).collect()
    }
}

/// The trapezoidal rule; a ReLU in a conditioner is a kink, where it errs by the square of a step.
fn integral(q: &dyn Density) -> Finding {
    let all: f64 = Grid::over(q).marginal(q).iter().sum();
    let allowed = if q.dim() < 3 { 1e-3 } else { 1e-2 };
    Finding::new((all - 1.).abs(), allowed, format!("the integral is {all:.6}"))
}

/// The first entries of draws, through the distribution function of their density, are uniform by a test of Kolmogorov
/// and Smirnov: `1/p` is at most a thousand.
fn fit(q: &dyn Density) -> Finding {
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
    Finding::new(1. / found.p_value, 1e3, at)
}

/// By how much of it `ln q` of a draw may differ from there and back.
const SAME: f64 = 1e-7;

fn consistent(q: &dyn Density) -> Finding {
    // A way back may take a pass for each entry of θ, as an IAF's does.
    let (theta, log_q) = q.draw(if q.dim() < 100 { 64 } else { 4 }, 3);
    let noise = randn(theta.shape(), 8).mapv(|r| 1. + f64::EPSILON * r);
    let noise: Array2<f64> = noise.into_dimensionality().expect("[S, D]");
    let nudged = &theta * &noise;
    let [again, nudged] = [theta, nudged].map(|theta| q.log_prob(theta));
    let apart = |a: &Array1<f64>, b: &Array1<f64>| {
        largest(a.iter().zip(b).map(|(a, b)| (a - b).abs() / a.abs().max(1.)))
    };
    let rounding = apart(&again, &nudged);
    if rounding > SAME / 100. {
        let why =
            format!("nearly singular: the last digit of θ moves ln q(θ) by {rounding:.0e} of it");
        return Finding::not_judged(why);
    }
    Finding::new(apart(&log_q, &again), SAME, "ln q(θ)")
}

/// `ln p` of one number, which integrates to one.
pub struct Line {
    /// It.
    pub log_prob: Box<dyn Fn(f64) -> f64 + Send + Sync>,
}

/// Priors and likelihoods of one number.
pub fn lines() -> Suite<Line> {
    let prior = |name: &str, prior: Prior| Subject {
        name: name.into(),
        it: Line {
            log_prob: Box::new(move |x| {
                let tape = Tape::default();
                prior.log_prob(tape.constant(Tensor::from_elem(vec![1, 1], x))).item()
            }),
        },
    };
    let (params, precision) = (Params::<f64>::default(), 7.);
    let gaussian = Line {
        log_prob: Box::new(move |y| {
            let tape = Tape::default();
            let mean = tape.constant(Tensor::from_elem(vec![1, 1, 1], 0.3));
            let likelihood = Likelihood::Gaussian { precision };
            likelihood.log_prob(&params.freeze(&tape), mean, &Targets::Values(vec![y])).item()
        }),
    };
    Suite {
        properties: vec![Property {
            name: "integral",
            proves: "∫ p(x) dx = 1, constants included",
            measure: |line| {
                // x = sinh t: a kink at 0 is at a step.
                let step = 1e-3;
                let term = |i: i32| {
                    let t = f64::from(i) * step;
                    (line.log_prob)(t.sinh()).exp() * t.cosh() * step
                };
                let all: f64 = (-9000..=9000).map(term).sum();
                Finding::new((all - 1.).abs(), 1e-5, format!("the integral is {all:.8}"))
            },
        }],
        subjects: vec![
            prior("normal prior", Prior::Gaussian { precision: 4. }),
            prior("Laplace prior", Prior::Laplace { scale: 0.7 }),
            prior("scale mixture", Prior::ScaleMixture { weight: 0.3, stds: [2., 0.1] }),
            Subject { name: "normal likelihood".into(), it: gaussian },
        ],
        faults: faults::lines(),
    }
}
