//! The crossing: `V` and `b` trained with one posterior, and another posterior fitted at them.
use super::hypernet;
use super::source::{Net, mean_prediction};
use crate::autodiff::Tensor;
use crate::bayes::{FlowKind, Hypernet, Posterior};
use crate::error::{Error, Result};
use crate::experiments::ascent::ascend;
use crate::experiments::digits::digits;
use crate::experiments::fit::{Diverged, Joint, Training, weigh};
use crate::experiments::nuts::{Chain, Nuts};
use crate::experiments::scales::exact::{Peak, convergence};
use crate::experiments::scales::family::Recipe;
use crate::experiments::{Cell, Grid, Lab};
use crate::metrics::{accuracy, log_loss};
use crate::nn::Params;
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::stats::{Estimate, over_seeds};
use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The numbers of couplings of the posteriors that `V` and `b` are trained with.
pub(super) const TRAINED: [usize; 2] = [0, 8];

/// A posterior at given `V` and `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Q {
    /// The one that they were trained with.
    Own,
    /// The mode.
    Mode,
    /// Independent Gaussians.
    T0,
    /// RealNVP with `T = 8`.
    T8,
    /// Draws of NUTS.
    Nuts,
}

impl Q {
    pub const ALL: [Self; 5] = [Self::Own, Self::Mode, Self::T0, Self::T8, Self::Nuts];

    pub fn key(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Mode => "mode",
            Self::T0 => "t0",
            Self::T8 => "t8",
            Self::Nuts => "nuts",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "as trained",
            Self::Mode => "the mode",
            Self::T0 => "T = 0, refitted",
            Self::T8 => "T = 8, refitted",
            Self::Nuts => "NUTS",
        }
    }
}

/// Measurements of one posterior at one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Crossed {
    /// `E_q[ln p(g, D) − ln q(g)]`, nats; `None` without a density.
    pub elbo: Option<Estimate>,
    /// Fraction of test digits classified correctly.
    pub accuracy: f64,
    /// `−ln p̄(y|x)` of each test digit, nats.
    pub nll: Vec<f64>,
    /// Largest `R̂` over the scales and `ln p(g, D)`, for NUTS.
    pub rhat: Option<f64>,
}

/// The key of a row: the couplings that `V` and `b` were trained with, and the posterior at them.
pub(super) fn key(couplings: usize, q: Q) -> String {
    format!("cross-t{couplings}-{}", q.key())
}

/// The size at a tier.
pub(super) struct Size {
    pub examples: usize,
    pub units: usize,
    pub epochs: usize,
    pub hidden: usize,
    pub nuts: Nuts,
    pub chains: u64,
    pub training: Training,
    measured: (u64, usize),
    predicted: usize,
}

impl Size {
    pub fn new(lab: &Lab<'_>) -> Self {
        let draws = lab.tier.pick([20, 500, 500]);
        Self {
            examples: lab.tier.pick([100, 1000, 5000]),
            units: lab.tier.pick([4, 20, 50]),
            epochs: lab.tier.pick([2, 60, 100]),
            hidden: lab.tier.pick([8, 64, 200]),
            nuts: Nuts { warmup: draws, draws, thin: 1, depth: 8, accept: 0.8 },
            chains: 2,
            training: Training {
                steps: lab.tier.pick([30, 2000, 4000]),
                samples: lab.tier.pick([4, 16, 16]),
                rate: 5e-3,
                decay: 1.,
                anneal: 0.,
                gradient: Recipe::OURS.gradient,
            },
            measured: lab.tier.pick([(1, 100), (10, 100), (20, 100)]),
            predicted: lab.tier.pick([10, 200, 200]),
        }
    }
}

/// Every posterior at every network, by seed.
pub(super) fn crossed(lab: &Lab<'_>) -> Result<Grid<(usize, Q), Crossed>> {
    let size = &Size::new(lab);
    let kept = |couplings, q, seed| lab.has(&format!("{}-{seed}", key(couplings, q)));
    let is_kept = |couplings, seed| Q::ALL.iter().all(|&q| kept(couplings, q, seed));
    let mut nets = HashMap::new();
    for couplings in TRAINED {
        for seed in (0..lab.seeds).filter(|&seed| !is_kept(couplings, seed)) {
            let mut config = hypernet(couplings, seed);
            config.subset = Some(size.examples);
            config.primary.layers = Some(Layer::mlp(&[size.units, size.units], 10));
            config.flow.hidden = size.hidden;
            (config.train.epochs, config.train.batch) = (size.epochs, 32);
            let data = digits(lab, config.subset)?;
            let run = format!("net-t{couplings}-{seed}");
            let net = Net::train(lab, &run, &run, &config, data, size.predicted)?;
            nets.insert((couplings, seed), net);
        }
    }
    let rows = TRAINED.into_iter().flat_map(|couplings| {
        Q::ALL.map(|q| {
            let cost = if q == Q::Nuts { 3. } else { 1. };
            Cell { key: key(couplings, q), cost, input: (couplings, q) }
        })
    });
    lab.grid(rows, |&(couplings, q), seed, _| Crossed::new(size, &nets[&(couplings, seed)], q))
}

impl Crossed {
    fn new(size: &Size, net: &Net, q: Q) -> Result<Self> {
        let of = |theta: &Array2<f64>| {
            let every = theta.nrows().div_ceil(size.predicted);
            let kept = theta.slice(ndarray::s![..;every, ..]).mapv(|g| g as f32);
            tested(net, &Tensor::from(kept.into_dyn()))
        };
        match q {
            Q::Own => {
                let model = net.precise();
                let own = weigh(&*model.posterior, &model.params, &net.joint, size.measured, 0);
                let (accuracy, nll) = of(&own.theta);
                let elbo = Some(over_seeds(&own.log_weight));
                Ok(Self { elbo, accuracy, nll, rhat: None })
            }
            Q::Mode => {
                let mode = ascend(&net.joint, &net.scales)?;
                let theta = Array2::from_shape_vec((1, mode.theta.len()), mode.theta);
                let (accuracy, nll) = of(&theta.expect("[1, D]"));
                Ok(Self { elbo: None, accuracy, nll, rhat: None })
            }
            Q::T0 => refitted(size, net, 0, of),
            Q::T8 => refitted(size, net, 8, of),
            Q::Nuts => {
                let peak = Peak::new(&net.joint, &net.scales)?;
                let chains = (0..size.chains).map(|c| peak.chain(&size.nuts, &net.joint, c));
                let chains: Vec<_> = chains.collect::<Result<_>>()?;
                let draws: Vec<_> = chains.iter().map(Chain::draws).collect();
                let views: Vec<_> = draws.iter().map(|draws| draws.view()).collect();
                let all = concatenate(Axis(0), &views).expect("chains of one width");
                let (rhat, _) = convergence(&chains);
                let (accuracy, nll) = of(&all);
                Ok(Self { elbo: None, accuracy, nll, rhat: Some(rhat) })
            }
        }
    }
}

/// Accuracy and each digit's NLL of the test digits.
fn tested(net: &Net, theta: &Tensor<f32>) -> (f64, Vec<f64>) {
    let p = mean_prediction(&net.model, theta, &net.data);
    let labels = net.data.test.y.classes();
    (accuracy(p.view(), labels).value, log_loss(p.view(), labels))
}

/// RealNVP with `couplings` couplings, fitted at the mode of the net by full-batch training.
fn refitted(
    size: &Size,
    net: &Net,
    couplings: usize,
    test: impl Fn(&Array2<f64>) -> (f64, Vec<f64>),
) -> Result<Crossed> {
    let mode = ascend(&net.joint, &net.scales)?;
    let recipe = Recipe::of(FlowKind::Realnvp, couplings);
    let config = recipe.hypernet(FlowKind::Realnvp, couplings, size.hidden);
    let mut params = Params::<f64>::default();
    let rng = &mut stream(0, Purpose::Init, 0);
    let q = Hypernet::new(&mut params, "q", net.joint.dim(), &config, rng);
    q.recentre(&mut params, &mode.theta);
    let rate = if couplings == 0 { 2. } else { 1. } * size.training.rate;
    let training = recipe.training(size.training, rate, 1.);
    let trained = training.run(&q, &mut params, &net.joint, 0);
    trained.map_err(|Diverged(step)| {
        let advice = "Report it: these settings are fixed.";
        let found = format!("a loss that is not finite after {step} steps");
        Error::invalid("a posterior at fixed V and b", found, "a finite loss", advice)
    })?;
    let found = weigh(&q, &params, &net.joint, size.measured, 0);
    let elbo = Some(over_seeds(&found.log_weight));
    let (accuracy, nll) = test(&found.theta);
    Ok(Crossed { elbo, accuracy, nll, rhat: None })
}
