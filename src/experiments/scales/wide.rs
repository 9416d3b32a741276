//! The paper's network 784-800-800-10, where NUTS costs too much: at one `V` and `b`, differences
//! of bounds are differences of `KL(q ‖ p)`.
use super::family::Recipe;
use super::source::{self, Net, Settings, Source, Tested, mean_prediction};
use crate::bayes::FlowKind;
use crate::error::{Error, Result};
use crate::experiments::fit::{Weighted, weigh};
use crate::experiments::{Cell, Lab};
use crate::nn::optim::Schedule;
use crate::primary::Layer;
use crate::run::Header;
use crate::run::config::MethodKind;
use crate::stats::{Estimate, importance_bound, k_hat, over_seeds};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The networks.
static SOURCES: [Source; 2] =
    [Source::mle("wide-mle", "maximum likelihood", 60), Source::bhn("wide-t8", "T = 8", 8, 60)];

/// The posteriors: key, name, flow and depth.
pub(super) const POSTERIORS: [(&str, &str, FlowKind, usize); 4] = [
    ("t0", "independent Gaussians (T = 0)", FlowKind::Realnvp, 0),
    ("low-rank", "low-rank Gaussian (rank 10)", FlowKind::LowRank, 0),
    ("full", "full Gaussian", FlowKind::Cholesky, 0),
    ("t8", "RealNVP, T = 8", FlowKind::Realnvp, 8),
];

/// Learning rates of Adam on minibatches of 128; the best is kept.
pub(super) const RATES: [f64; 2] = [1e-3, 3e-3];

/// Measurements of one posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bound {
    pub rate: f64,
    /// `E_q[ln p(g, D) − ln q(g)]`, nats.
    pub elbo: Estimate,
    /// Importance-weighted bound `L_K`, and `K`.
    pub importance: (Estimate, usize),
    /// Shape of the tail of the importance weights.
    pub k_hat: Option<f64>,
    pub tested: Tested,
    /// Seconds of one thread.
    pub seconds: f64,
}

/// What was found at one network, in the order of [`POSTERIORS`]; `None` if all fits diverged.
pub(super) struct Wide {
    pub net: &'static str,
    pub found: Vec<Option<Bound>>,
}

/// The size, and the epochs of a posterior.
fn settings(lab: &Lab<'_>) -> (Settings, usize) {
    let units = lab.tier.pick([8, 800, 800]);
    let layers = Layer::mlp(&[units, units], 10);
    let measured = lab.tier.pick([(1, 20), (50, 4), (50, 4)]);
    (Settings { layers, measured, ..Settings::new(lab.tier) }, lab.tier.pick([2, 300, 300]))
}

/// The posteriors at the directions of each network.
pub(super) fn wide(lab: &Lab<'_>) -> Result<Vec<Wide>> {
    let (settings, epochs) = &settings(lab);
    let mut cells = vec![];
    for (i, source) in SOURCES.iter().enumerate() {
        for (key, _, kind, depth) in POSTERIORS {
            for rate in RATES {
                let key = format!("fit-{}-{key}-{rate}", source.key);
                cells.push(Cell { key: key.clone(), cost: 1., input: (i, key, kind, depth, rate) });
            }
        }
    }
    if !lab.computes && !lab.has(&cells[0].key) {
        return Ok(vec![]);
    }
    let is_kept = cells.iter().all(|cell| lab.has(&cell.key));
    let needed = SOURCES.iter().take(if is_kept { 0 } else { SOURCES.len() });
    let nets = needed.map(|source| source::net(lab, settings, source));
    let nets: Vec<_> = nets.collect::<Result<_>>()?;
    let found = lab.cells(&cells, |(i, key, kind, depth, rate)| {
        let net = &nets[*i];
        let flow = Recipe::of(*kind, *depth).hypernet(*kind, *depth, settings.hidden);
        let mut config = net.frozen(MethodKind::Bhn);
        config.flow = flow;
        config.train.batch = 128.min(settings.examples);
        (config.train.epochs, config.train.validate_every) = (*epochs, *epochs);
        (config.train.learning_rate, config.train.schedule) = (*rate, Schedule::Cosine);
        config.train.gradient = Recipe::OURS.gradient;
        let start = Instant::now();
        let (_, trained) = match lab.run(key, &config, net.data.clone()) {
            Err(Error::Diverged { .. }) => return Ok(None),
            found => found?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let Header { config, task, .. } = &trained.header;
        let model = config.precise(&trained.model, net.data.shape(), task);
        let weighted = weigh(&*model.posterior, &model.params, &net.joint, settings.measured, 0);
        Ok(Some(Bound::new(*rate, &weighted, net, seconds)))
    })?;
    let mut found = found.chunks(RATES.len()).map(|each| {
        let order = |a: &&Bound, b: &&Bound| a.elbo.value.total_cmp(&b.elbo.value);
        each.iter().flatten().max_by(order).cloned()
    });
    let of = |source: &Source| {
        let found = found.by_ref().take(POSTERIORS.len()).collect();
        Wide { net: source.name, found }
    };
    Ok(SOURCES.iter().map(of).collect())
}

impl Bound {
    fn new(rate: f64, weighted: &Weighted, net: &Net, seconds: f64) -> Self {
        let Weighted { theta, log_weight } = weighted;
        let k = log_weight.len() / 4;
        let theta = theta.mapv(|g| g as f32).into_dyn().into();
        let p = mean_prediction(&net.model, &theta, &net.data);
        Self {
            rate,
            elbo: over_seeds(log_weight),
            importance: (importance_bound(log_weight, k), k),
            k_hat: Some(k_hat(log_weight)).filter(|k| k.is_finite()),
            tested: Tested::new(p.view(), &net.data),
            seconds,
        }
    }
}
