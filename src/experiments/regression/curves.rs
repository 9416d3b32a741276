//! Data and configurations; functions sampled from a posterior, their scores, and their distance to
//! the exact posterior.
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{FlowKind, Model, Targets};
use crate::data::{Dataset, Preprocess, Split, Task};
use crate::experiments::nuts::Nuts;
use crate::experiments::{Cell, Tier};
use crate::kernels::scalar::Scalar;
use crate::metrics::{coverage, gaussian_mixture_log_likelihood, rmse};
use crate::nn::optim::Schedule;
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::stats::{log_mean_exp, wasserstein_1};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::ops::Range;

/// The size of the experiment at a tier.
pub(super) struct Settings {
    /// Training examples.
    pub examples: usize,
    pub epochs: usize,
    /// Posterior samples of each method.
    pub samples: usize,
    /// Chains of NUTS.
    pub chains: u64,
    pub nuts: Nuts,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        let nuts = |warmup, draws, thin, depth| Nuts { warmup, draws, thin, depth, accept: 0.8 };
        Self {
            examples: tier.pick([60, 200, 1000]),
            epochs: tier.pick([20, 4000, 1000]),
            samples: tier.pick([100, 1000, 1000]),
            chains: 4,
            nuts: tier.pick([nuts(50, 50, 1, 6), nuts(1200, 2500, 1, 10), nuts(2000, 4000, 4, 10)]),
        }
    }
}

/// Range of the training inputs.
pub(super) const INSIDE: Range<f64> = 0.0..0.5;
/// Range of the inputs at which functions are evaluated.
pub(super) const SEEN: Range<f64> = -0.5..1.5;
/// Number of points of the grid over [`SEEN`].
pub(super) const GRID: usize = 81;
/// Number of test examples drawn over [`INSIDE`], and again over [`SEEN`].
const TEST: usize = 2000;

/// `x` at grid point `g`.
pub(super) fn x(g: usize) -> f64 {
    SEEN.start + (SEEN.end - SEEN.start) * g as f64 / (GRID - 1) as f64
}

/// A data set of `examples` training examples. Its validation and test examples are those of
/// `places` inside and outside the range of the training data.
pub(super) fn dataset(examples: usize, places: &Places) -> Dataset {
    Dataset {
        name: "waves".into(),
        task: Task::Regression,
        image: None,
        preprocess: Preprocess { inputs: 1, ..Preprocess::default() },
        notes: vec![],
        train: data(examples, INSIDE, 0),
        validation: places.inside.clone(),
        test: places.outside.clone(),
    }
}

/// A row of the tables.
pub(super) struct Variant {
    pub name: &'static str,
    pub config: Config,
}

/// All rows except NUTS. The noise precision is fixed, or learned if `None`.
pub(super) fn variants(settings: &Settings, precision: Option<f64>) -> [Cell<Variant>; 7] {
    let mut base = Config::default();
    base.primary.layers = Some(Layer::mlp(&[50], 1));
    base.likelihood.precision = precision;
    base.train.epochs = settings.epochs;
    base.train.batch = 32;
    base.train.learning_rate = 5e-4;
    base.train.schedule = Schedule::LateLinear;
    base.flow.hidden = 100;
    base.dropout.rate = 0.1;
    // Costs are per step, relative to the non-Bayesian network.
    let variant = |key: &str, name, method, kind, cost| {
        let mut config = Config { method, ..base.clone() };
        config.flow.kind = kind;
        Cell { key: key.into(), cost, input: Variant { name, config } }
    };
    let (linear, realnvp) = (FlowKind::Linear, FlowKind::Realnvp);
    [
        variant("mle", "non-Bayesian", MethodKind::Mle, realnvp, 1.),
        variant("bhn", "BHN on the scales", MethodKind::Bhn, realnvp, 3.),
        variant("full-bhn", "BHN over all weights", MethodKind::FullBhn, linear, 5.),
        variant("full-realnvp", "RealNVP over all weights", MethodKind::FullBhn, realnvp, 5.),
        variant("bbb", "Bayes by Backprop", MethodKind::Bbb, realnvp, 2.),
        variant("mc-dropout", "MC dropout", MethodKind::McDropout, realnvp, 2.),
        variant("ensemble", "ensemble of 5", MethodKind::Ensemble, realnvp, 3.),
    ]
}

/// The standard deviation of the noise `e` in `data`.
const NOISE: f64 = 0.02;
/// Number of sampled functions that are plotted.
const DRAWN: usize = 12;
/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959964;

/// `n` examples with `x ~ U(range)` and `y = x + 0.3 sin 2π(x + e) + 0.3 sin 4π(x + e) + e`, where
/// `e ~ N(0, 0.02²)`, drawn with the stream `index`.
pub fn data(n: usize, range: Range<f64>, index: u64) -> Split {
    let rng = &mut stream(0, Purpose::Toy, index);
    let mut pair = |_| {
        let (u, z): (f64, f64) = (rng.random(), rng.sample(StandardNormal));
        let (x, e) = (range.start + (range.end - range.start) * u, NOISE * z);
        let waves = (TAU * (x + e)).sin() + (2. * TAU * (x + e)).sin();
        (x as f32, (x + 0.3 * waves + e) as f32)
    };
    let (x, y): (Vec<_>, Vec<_>) = (0..n).map(&mut pair).unzip();
    Split { x: column(x), y: Targets::Values(y) }
}

/// `x [N]` as inputs `[N, 1]`.
pub fn column(x: Vec<f32>) -> Array2<f32> {
    Array2::from_shape_vec((x.len(), 1), x).expect("[N]")
}

/// Number of samples per pass: few enough that their activations fit the cache.
const TOGETHER: usize = 20;

/// `f(xₙ; θ_s)` `[S, N]` for `theta [S, D]` and `x [N, 1]`.
pub fn functions<T: Scalar>(model: &Model<T>, theta: &Tensor<T>, x: &Array2<f32>) -> Array2<f32> {
    let mut all = Array2::zeros((theta.shape()[0], x.nrows()));
    let parts = all.axis_chunks_iter_mut(Axis(0), TOGETHER);
    for (mut f, theta) in parts.zip(theta.axis_chunks_iter(Axis(0), TOGETHER)) {
        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let x = tape.constant(x.mapv(|x| T::of(x.into())).into_dyn());
        let outputs = model.primary.forward(&p, tape.constant(theta.to_shared()), x).value();
        f.iter_mut().zip(&outputs).for_each(|(f, y)| *f = y.f64() as f32);
    }
    all
}

/// Inputs at which functions are evaluated.
pub struct Places {
    /// A uniform grid `[G, 1]`.
    pub grid: Array2<f32>,
    /// Test examples `[N]` in the range of the training data.
    pub inside: Split,
    /// Test examples `[M]` outside the range of the training data.
    pub outside: Split,
}

/// Functions sampled from one posterior at [`Places`].
pub struct Functions {
    /// Values at the grid points, `[S, G]`.
    pub grid: Array2<f32>,
    /// Values at the inputs of `inside`, `[S, N]`.
    pub inside: Array2<f32>,
    /// Values at the inputs of `outside`, `[S, M]`.
    pub outside: Array2<f32>,
}

impl Places {
    /// The grid has [`GRID`] points over [`SEEN`]. `inside` has [`TEST`] examples over [`INSIDE`].
    /// `outside` has those of [`TEST`] examples over [`SEEN`] that are not in [`INSIDE`].
    pub fn new() -> Self {
        let step = (SEEN.end - SEEN.start) / (GRID - 1) as f64;
        let all = data(TEST, SEEN, 1);
        let is_outside = |&n: &usize| !INSIDE.contains(&f64::from(all.x[[n, 0]]));
        let rows: Vec<_> = (0..TEST).filter(is_outside).collect();
        let (x, y) = all.batch(&rows);
        Self {
            grid: column((0..GRID).map(|i| (SEEN.start + step * i as f64) as f32).collect()),
            inside: data(TEST, INSIDE, 2),
            outside: Split { x, y },
        }
    }
}

impl Functions {
    /// The functions of `theta [S, D]`.
    pub fn new<T: Scalar>(model: &Model<T>, theta: &Tensor<T>, places: &Places) -> Self {
        let at = |x: &Array2<f32>| functions(model, theta, x);
        let [grid, inside, outside] = [&places.grid, &places.inside.x, &places.outside.x].map(at);
        Self { grid, inside, outside }
    }
}

/// Predictions of `y = f(x) + N(0, 1/τ)` by functions sampled from a posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// `mean_s f_s` along the grid.
    pub mean: Vec<f64>,
    /// `std_s f_s` along the grid.
    pub spread: Vec<f64>,
    /// The first few functions along the grid, for a chart.
    pub drawn: Vec<Vec<f32>>,
    /// Test scores in the range of the training data.
    pub inside: Scores,
    /// Test scores outside the range of the training data.
    pub outside: Scores,
    /// `W₁` along the grid between the distributions of `f(x)` under this and the exact posterior.
    pub wasserstein: Vec<f64>,
    /// `KL(p(y|x) ‖ q(y|x))` along the grid in nats; `p` is the exact posterior's predictive
    /// density.
    pub kl: Vec<f64>,
}

/// Test scores.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scores {
    /// RMSE of the mean.
    pub rmse: f64,
    /// Negative log-likelihood in nats per example.
    pub nll: f64,
    /// Fraction of the `y` within 1.96 predictive standard deviations of the mean.
    pub coverage: f64,
}

impl Found {
    /// Predictions of the functions `f` with noise precision `τ = precision`, compared with
    /// `truth [S', G]`, functions of the exact posterior on the grid.
    pub fn new(f: &Functions, truth: ArrayView2<'_, f32>, precision: f64, places: &Places) -> Self {
        let (mean, spread) = moments(f.grid.view());
        let columns = || truth.columns().into_iter().zip(f.grid.columns());
        Self {
            mean,
            spread,
            drawn: f.grid.outer_iter().take(DRAWN).map(|f| f.to_vec()).collect(),
            inside: Scores::new(f.inside.view(), &places.inside.y, precision),
            outside: Scores::new(f.outside.view(), &places.outside.y, precision),
            wasserstein: columns().map(|(p, q)| wasserstein_1(&wide(p), &wide(q))).collect(),
            kl: columns().map(|(p, q)| kl(&wide(p), &wide(q), precision)).collect(),
        }
    }
}

impl Scores {
    fn new(f: ArrayView2<'_, f32>, y: &Targets, precision: f64) -> Self {
        let Targets::Values(y) = y else { unreachable!("a regression") };
        let (mean, spread) = moments(f);
        let std: Vec<_> = spread.iter().map(|s| (1. / precision + s * s).sqrt()).collect();
        let targets = wide(ArrayView1::from(y));
        let precisions = vec![precision as f32; f.nrows()];
        Self {
            rmse: rmse(&mean, &targets),
            nll: -gaussian_mixture_log_likelihood(f, &precisions, y).value,
            coverage: coverage(&mean, &std, &targets, Z).value,
        }
    }
}

/// Means and standard deviations over samples of `f [S, N]`.
fn moments(f: ArrayView2<'_, f32>) -> (Vec<f64>, Vec<f64>) {
    let f = f.mapv(f64::from);
    (f.mean_axis(Axis(0)).expect("a sample").to_vec(), f.std_axis(Axis(0), 0.).to_vec())
}

fn wide(v: ArrayView1<'_, f32>) -> Vec<f64> {
    v.iter().map(|&v| v.into()).collect()
}

/// `KL(p ‖ q) = ∫ p ln(p/q) dy` of two mixtures `(1/S) Σ_s N(y; f_s, 1/τ)`: the means `f` of the
/// first are `p [S]`, those of the second are `q [S']`.
///
/// By the trapezoidal rule with two steps per standard deviation `1/√τ`, over all `y` within eight
/// standard deviations of the range of the means of `p`. For a function this smooth the error is
/// about 10⁻¹².
pub fn kl(p: &[f64], q: &[f64], precision: f64) -> f64 {
    let std = precision.powf(-0.5);
    let (low, high) = p
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &f| (low.min(f), high.max(f)));
    let steps = ((high - low) / std + 16.).ceil() as usize * 2;
    let log = |f: &[f64], y: f64| {
        let exponents: Vec<_> = f.iter().map(|f| -0.5 * precision * (y - f).powi(2)).collect();
        log_mean_exp(&exponents) + 0.5 * (precision / TAU).ln()
    };
    let at = |i: usize| {
        let y = low - 8. * std + 0.5 * std * i as f64;
        let log_p = log(p, y);
        log_p.exp() * (log_p - log(q, y))
    };
    0.5 * std * (0..=steps).map(at).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kl_of_normals_and_mixtures_matches_closed_form() {
        // KL(N(0, s²) ‖ N(m, s²)) = m² / 2s².
        let found = kl(&[0.3], &[0.5], 25.);
        assert!((found - 0.5).abs() < 1e-12, "{found}");
        assert_eq!(kl(&[0.3, 0.7], &[0.7, 0.3], 25.), 0.);
        // Disjoint components, half of which p lacks.
        let found = kl(&[0., 50.], &[0., 50., 100., 150.], 25.);
        assert!((found - 2_f64.ln()).abs() < 1e-12, "{found}");
    }

    #[test]
    fn function_scores_match_manual_computation() {
        // Two functions at a distance of 2, noise of variance 3: y has variance 4.
        let f = Array2::from_shape_fn((2, 4), |(s, _)| s as f32 * 2. - 1.);
        let y = Targets::Values(vec![0., 3.9, -3.9, 4.]);
        let scores = Scores::new(f.view(), &y, 1. / 3.);
        assert_eq!(scores.coverage, 0.75);
        assert!((scores.rmse - ((2. * 3.9_f64.powi(2) + 16.) / 4.).sqrt()).abs() < 1e-6);
        // ln N(0; ±1, 3) = −½ ln 6π − 1/6 for either function.
        let first = Scores::new(f.slice(ndarray::s![.., ..1]), &Targets::Values(vec![0.]), 1. / 3.);
        let expected = 0.5 * (3. * TAU).ln() + 1. / 6.;
        assert!((first.nll - expected).abs() < 1e-6, "{} {expected}", first.nll);
    }
}
