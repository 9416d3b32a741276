//! The reference posterior: NUTS chains over all weights, and the network's outputs for each draw.
use super::curves::{Found, Functions, GRID, Places, Settings};
use crate::autodiff::{Tensor, Var};
use crate::bayes::{Model, Targets};
use crate::data::{Dataset, Task};
use crate::error::Result;
use crate::experiments::Lab;
use crate::experiments::nuts::{Chain, diagnose, worst};
use crate::predict::draw;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::run::train::fit;
use ndarray::{Array2, Axis, concatenate, s};
use rand::RngExt;
use rand_distr::StandardNormal;

/// At most this many draws of NUTS are compared with other posteriors.
const COMPARED: usize = 2000;

/// Chains of NUTS and their functions.
pub(super) struct Truth {
    pub chains: Vec<Chain>,
    functions: Vec<Functions>,
    /// Computing time of all chains together.
    pub seconds: f64,
}

impl Truth {
    /// Draws from `p(θ|D) ∝ p(θ) p(D|θ)` over all weights, with the prior and the noise of
    /// `config`.
    pub fn new(
        lab: &Lab<'_>,
        settings: &Settings,
        config: &Config,
        data: &Dataset,
        places: &Places,
    ) -> Result<Self> {
        let model = Config { method: MethodKind::FullBhn, ..config.clone() };
        let model = model.build::<f64>(1, &Task::Regression);
        let x = data.train.x.mapv(f64::from).into();
        let Targets::Values(y) = &data.train.y else { unreachable!("a regression") };
        let y = Targets::Values(y.iter().map(|&y| f64::from(y)).collect());
        let before = lab.seconds();
        let chains = lab.repeat("nuts", settings.chains, |chain| {
            let start = start(config, chain, data)?;
            let rng = &mut stream(chain, Purpose::Sample, 0);
            settings.nuts.chain(&start, |theta| log_joint(&model, theta, &x, &y), rng)
        })?;
        let functions =
            chains.iter().map(|chain| Functions::new(&model, &chain.draws().into(), places));
        let functions = functions.collect();
        Ok(Self { chains, functions, seconds: lab.seconds() - before })
    }

    /// Functions on the grid of the draws of all chains except the chain `except`, thinned to at
    /// most [`COMPARED`] draws.
    pub fn grid(&self, except: Option<usize>) -> Array2<f32> {
        let chosen = (0..self.functions.len()).filter(|c| Some(*c) != except);
        let views: Vec<_> = chosen.map(|c| self.functions[c].grid.view()).collect();
        let all = concatenate(Axis(0), &views).expect("one grid");
        let every = all.nrows().div_ceil(COMPARED);
        all.slice_move(s![..;every, ..])
    }

    /// Each chain compared with the others as if it were an approximate posterior: the remaining
    /// distance is due to the finite number of draws.
    pub fn found(&self, precision: f64, places: &Places) -> Vec<Found> {
        let of = |(c, functions): (usize, &Functions)| {
            Found::new(functions, self.grid(Some(c)).view(), precision, places)
        };
        self.functions.iter().enumerate().map(of).collect()
    }

    /// `R̂` and bulk-ESS: first the worst values of `f(x)` along the grid, then the values of
    /// `ln p(θ, D)`.
    pub fn diagnostics(&self) -> [(f64, f64); 2] {
        let grid = (0..GRID)
            .map(|g| diagnose(&self.chains, |c, draw| self.functions[c].grid[[draw, g]].into()));
        let joint = diagnose(&self.chains, |c, draw| self.chains[c].log_density[draw]);
        [worst(grid), joint]
    }
}

/// The start of a chain: the weights of a network trained by maximum likelihood for a quarter of
/// the epochs, plus noise. Chains therefore start apart, but where the data are likely. The noise
/// is needed because NUTS rejects a gradient with an entry of 0: the bias of a ReLU that was never
/// active is still 0 and has such an entry.
fn start(config: &Config, seed: u64, data: &Dataset) -> Result<Vec<f64>> {
    let mut config = Config { method: MethodKind::Ensemble, seed, ..config.clone() };
    config.ensemble.members = 1;
    config.train.epochs = config.train.epochs.div_ceil(4);
    let rng = &mut stream(seed, Purpose::Init, 1);
    let (theta, _) = draw(&fit(config, data)?, 1, rng);
    let mut noise = || 0.1 * rng.sample::<f64, _>(StandardNormal);
    Ok(theta.iter().map(|&theta| f64::from(theta) + noise()).collect())
}

/// `ln p(θ) + Σₙ ln p(yₙ|xₙ, θ)` for `theta [1, D]`.
fn log_joint<'t>(
    model: &Model<f64>,
    theta: Var<'t, f64>,
    x: &Tensor<f64>,
    y: &Targets<f64>,
) -> Var<'t, f64> {
    let tape = theta.tape();
    let p = model.params.freeze(tape);
    let f = model.primary.forward(&p, theta, tape.constant(x.clone()));
    (model.prior.log_prob(theta) + model.likelihood.log_prob(&p, f, y).sum_axis(1)).sum()
}
