//! Small regressions whose posteriors the page shows: by a flow with `T = 0` and `T = 8` couplings,
//! and sampled by NUTS.
//!
//! Directions `V` and biases `b` are trained first, together with independent Gaussians over the
//! scales, and then held fixed. So there is one exact posterior `p(θ | D, V, b)`, which both flows
//! approximate.
use super::export::{self, Array};
use crate::autodiff::{Tape, Var};
use crate::bayes::Model;
use crate::bayes::{Estimator, Hypernet, HypernetConfig, Place, Posterior, Targets};
use crate::data::{Dataset, Preprocess, Split, Task};
use crate::error::{Error, Result};
use crate::experiments::fit::{Joint, Training, weigh};
use crate::experiments::nuts::{Nuts, diagnose, worst};
use crate::experiments::scales::FixedDirections;
use crate::flows::{Bijector, Stabiliser};
use crate::nn::Params;
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::Trainer;
use crate::run::config::Config;
use ndarray::{Array2, Axis, concatenate};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::Serialize;
use std::collections::BTreeMap;

/// A data set.
pub(super) struct Set {
    pub name: &'static str,
    pub about: &'static str,
    /// Number of examples.
    n: usize,
    /// The input of example `i`, for `u = (i + ½)/n`.
    x: fn(f64) -> f64,
    /// The target without noise.
    y: fn(f64) -> f64,
}

/// The data sets.
pub(super) const SETS: [Set; 4] = [
    Set {
        name: "cubic with a gap",
        about: "No data between −0.8 and 0.8, and none outside ±2.4.",
        n: 16,
        x: |u| if u < 0.5 { -2.4 + 3.2 * u } else { -0.8 + 3.2 * u },
        y: |x| x.powi(3) / 8.,
    },
    Set {
        name: "sine with a gap",
        about: "A wave with a part missing: how many ways are there to join its ends?",
        n: 20,
        x: |u| if u < 0.6 { -2.6 + 4. * u } else { 4. * u - 1.4 },
        y: |x| (2. * x).sin(),
    },
    Set { name: "step", about: "A jump at 0.", n: 16, x: |u| -2.4 + 4.8 * u, y: |x| x.signum() },
    Set {
        name: "four points",
        about: "Four examples determine few of the scales.",
        n: 4,
        x: |u| -2. + 4. * u,
        y: |x| 0.5 * x * x - 1.,
    },
];

/// Standard deviation of the noise, known to the model.
const NOISE: f64 = 0.15;
/// Hidden units of the two layers of the network, and of each coupling.
const HIDDEN: usize = 16;
/// Numbers of couplings.
const COUPLINGS: [usize; 2] = [0, 8];
/// Chains of NUTS, and draws of all chains that the page gets.
const CHAINS: usize = 4;
const KEPT: usize = 400;

/// The length of the training.
pub(super) struct Settings {
    /// Steps for `V` and `b`.
    pub network: usize,
    /// Steps for a flow.
    pub flow: u64,
    pub nuts: Nuts,
}

impl Settings {
    /// A few seconds if `quick`, and less than a minute otherwise.
    pub fn new(quick: bool) -> Self {
        let (network, flow, warmup, thin) =
            if quick { (500, 200, 100, 1) } else { (3000, 6000, 500, 30) };
        let draws = thin * (KEPT / CHAINS) as u64;
        let nuts = Nuts { warmup, draws, thin, ..Nuts::default() };
        Self { network, flow, nuts }
    }
}

/// A trained regression.
#[derive(Serialize)]
pub(super) struct Fitted {
    name: &'static str,
    about: &'static str,
    x: Vec<f64>,
    y: Vec<f64>,
    /// `τ`.
    precision: f64,
    layers: Vec<String>,
    /// The directions and biases.
    primary: BTreeMap<String, Array>,
    flows: Vec<Flow>,
    truth: Truth,
}

/// A posterior by a flow.
#[derive(Serialize)]
struct Flow {
    config: HypernetConfig,
    params: BTreeMap<String, Array>,
    permutations: BTreeMap<String, Vec<u32>>,
    /// `E_q[ln p(D, θ) − ln q(θ)]`, nats, and its standard error.
    elbo: [f64; 2],
    check: Check,
}

/// What the program computes for a few `ε`, to compare the page with.
#[derive(Serialize)]
struct Check {
    eps: Array,
    theta: Vec<f64>,
    log_q: Vec<f64>,
    log_prior: Vec<f64>,
    log_likelihood: Vec<f64>,
    /// `f(x) [S, X]`.
    x: Vec<f64>,
    f: Vec<f64>,
}

/// Draws of NUTS.
#[derive(Serialize)]
struct Truth {
    theta: Array,
    /// The largest `R̂` and the smallest bulk-ESS over the scales.
    rhat: f64,
    ess: f64,
}

impl Set {
    /// The examples, with noise from a fixed seed.
    pub fn examples(&self, index: u64) -> Split {
        let rng = &mut stream(0, Purpose::Toy, 100 + index);
        let mut pair = |i| {
            let x = (self.x)((i as f64 + 0.5) / self.n as f64);
            (x as f32, ((self.y)(x) + NOISE * rng.sample::<f64, _>(StandardNormal)) as f32)
        };
        let (x, y): (Vec<_>, Vec<_>) = (0..self.n).map(&mut pair).unzip();
        let x = Array2::from_shape_vec((self.n, 1), x).expect("[N, 1]");
        Split { x, y: Targets::Values(y) }
    }

    /// Train all parts, and sample the exact posterior. `step` is called after each of four parts.
    ///
    /// # Errors
    /// If training diverges, or NUTS cannot start.
    pub fn fit(&self, index: u64, settings: &Settings, step: &(dyn Fn() + Sync)) -> Result<Fitted> {
        let data = dataset(self.examples(index));
        let config = config(settings).resolve(&data)?;
        let model = network(&config, &data)?;
        step();
        let precise = || config.precise(&model, 1, &Task::Regression);
        let joint = FixedDirections::new(precise(), &data.train);
        let tape = Tape::default();
        let (p, zero) = (model.params.freeze(&tape), Array2::zeros((1, joint.dim())));
        let centre = model.posterior.flow().expect("a hypernet").forward(&p, tape.constant(zero));
        let centre: Vec<_> = centre.0.value().iter().map(|&g| f64::from(g)).collect();
        let mut flows = vec![];
        let mut starts = Array2::zeros((0, joint.dim()));
        for couplings in COUPLINGS {
            let (flow, theta) = fit_flow(couplings, settings, &joint, &precise(), &centre)?;
            flows.push(flow);
            starts = theta;
            step();
        }
        let truth = truth(settings, &joint, &starts)?;
        step();
        let Targets::Values(y) = &data.train.y else { unreachable!("a regression") };
        let layers = config.primary.layers.iter().flatten().map(Layer::to_string);
        Ok(Fitted {
            name: self.name,
            about: self.about,
            x: data.train.x.iter().map(|&x| x.into()).collect(),
            y: y.iter().map(|&y| y.into()).collect(),
            precision: config.likelihood.precision.expect("a fixed precision"),
            layers: layers.collect(),
            primary: export::params(&model.params, "primary."),
            flows,
            truth,
        })
    }
}

/// The examples as a data set, which is used for nothing but training.
fn dataset(train: Split) -> Dataset {
    Dataset {
        name: "toy".into(),
        task: Task::Regression,
        image: None,
        preprocess: Preprocess { inputs: 1, ..Preprocess::default() },
        notes: vec![],
        validation: train.clone(),
        test: train.clone(),
        train,
    }
}

/// A 1-16-16-1 network of ReLUs, and independent Gaussians over its scales.
fn config(settings: &Settings) -> Config {
    let mut config = Config::default();
    config.primary.layers = Some(Layer::mlp(&[HIDDEN; 2], 1));
    config.likelihood.precision = Some(NOISE.powi(-2));
    config.flow.couplings = 0;
    config.train.epochs = settings.network;
    config.train.batch = 32;
    config.train.samples = 4;
    config.train.learning_rate = 0.01;
    config
}

/// The network with trained directions and biases. The biases start at random, so that the kinks
/// of the ReLUs are spread over the inputs.
fn network(config: &Config, data: &Dataset) -> Result<Model> {
    let mut trainer = Trainer::new(config, 1, &data.task, data.train.len());
    let rng = &mut stream(0, Purpose::Init, 1);
    for (_, b) in trainer.model.params.iter_mut().filter(|(name, _)| name.ends_with(".b")) {
        b.as_slice_mut().iter_mut().for_each(|b| *b = rng.sample(StandardNormal));
    }
    for _ in 0..config.train.epochs {
        trainer.epoch(&data.train, |_, _| ())?;
    }
    Ok(trainer.model)
}

/// The hypernet with this number of couplings.
pub(super) fn hypernet(couplings: usize) -> HypernetConfig {
    HypernetConfig {
        couplings,
        hidden: HIDDEN,
        elementwise: Place::Last,
        stabiliser: Stabiliser::Tanh,
        weight_norm: false,
        log_scale: -2.,
        ..HypernetConfig::default()
    }
}

/// A flow trained on the exact posterior's density, and a few of its samples.
fn fit_flow(
    couplings: usize,
    settings: &Settings,
    joint: &FixedDirections,
    model: &Model<f64>,
    centre: &[f64],
) -> Result<(Flow, Array2<f64>)> {
    let config = hypernet(couplings);
    let mut params = Params::default();
    let rng = &mut stream(0, Purpose::Init, 2);
    let q = Hypernet::new(&mut params, "posterior", joint.dim(), &config, rng);
    q.recentre(&mut params, centre);
    let training = Training {
        steps: settings.flow,
        samples: 8,
        rate: 0.01,
        decay: 100.,
        anneal: 0.,
        gradient: Estimator::Path,
    };
    training.run(&q, &mut params, joint, 0).map_err(|diverged| {
        let advice = "Report this as a bug.";
        Error::invalid("training", format!("{diverged:?}"), "a finite loss", advice)
    })?;
    // The page gets single precision, so that is measured.
    let params = params.cast::<f32>().cast::<f64>();
    let weighted = weigh(&q, &params, joint, (4, 500), 0);
    let n = weighted.log_weight.len() as f64;
    let mean = weighted.log_weight.iter().sum::<f64>() / n;
    let squares: f64 = weighted.log_weight.iter().map(|w| (w - mean).powi(2)).sum();
    let flow = Flow {
        config,
        params: export::params(&params, ""),
        permutations: export::permutations(&params),
        elbo: [mean, (squares / n / (n - 1.)).sqrt()],
        check: check(&q, &params, joint, model),
    };
    Ok((flow, weighted.theta))
}

/// `θ`, densities and functions of three `ε`.
fn check(
    q: &Hypernet<f64>,
    params: &Params<f64>,
    joint: &FixedDirections,
    model: &Model<f64>,
) -> Check {
    let rng = &mut stream(0, Purpose::Evaluation, 1);
    let eps = Array2::from_shape_simple_fn((3, joint.dim()), || {
        f64::from(rng.sample::<f32, _>(StandardNormal))
    });
    let tape = Tape::default();
    let eps = tape.constant(eps);
    let (theta, ln_det) = q.flow().forward(&params.freeze(&tape), eps);
    let log_q = eps.standard_normal_log_prob() - ln_det;
    let x = [-4., -1.5, 0., 0.5, 2.5, 4.];
    let inputs = tape.constant(Array2::from_shape_vec((x.len(), 1), x.to_vec()).expect("[X, 1]"));
    let f = model.primary.forward(&model.params.freeze(&tape), theta, inputs);
    let entries = |x: Var<'_, f64>| x.value().iter().copied().collect::<Vec<_>>();
    Check {
        eps: (&eps.value()).into(),
        theta: entries(theta),
        log_q: entries(log_q),
        log_prior: entries(joint.prior().log_prob(theta)),
        log_likelihood: entries(joint.log_likelihood(theta).sum_axis(1)),
        x: x.to_vec(),
        f: entries(f),
    }
}

/// Chains of NUTS, which start at samples of a flow.
fn truth(settings: &Settings, joint: &FixedDirections, starts: &Array2<f64>) -> Result<Truth> {
    let chain = |c: u64| {
        let start = starts.row(c as usize).to_vec();
        let rng = &mut stream(c, Purpose::Sample, 0);
        settings.nuts.chain(&start, |theta| joint.log_joint(theta).sum(), rng)
    };
    let chains = (0..CHAINS as u64).map(chain).collect::<Result<Vec<_>>>()?;
    let of_scale = |d: usize| diagnose(&chains, |c, s| chains[c].theta[s][d]);
    let (rhat, ess) = worst((0..joint.dim()).map(of_scale));
    let draws: Vec<_> = chains.iter().map(|chain| chain.draws()).collect();
    let views: Vec<_> = draws.iter().map(|draws| draws.view()).collect();
    let theta = concatenate(Axis(0), &views).expect("one width");
    let shape = [theta.nrows(), theta.ncols()];
    Ok(Truth { theta: Array::new(&shape, theta), rhat, ess })
}
