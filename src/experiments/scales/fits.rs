//! The approximate posteriors over the scales: how far their bounds are below the evidence, and
//! their moments and predictions from those of NUTS.
use super::exact::{Exact, Lazy};
use super::family::{Family, Fit, Recipe};
use super::source::{Settings, Source, Tested, mean_prediction};
use super::truth::{KEPT, divergence};
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{Estimator, FlowKind, Hessian, Hypernet, Mnf, MnfConfig, Moments, Posterior};
use crate::error::{Error, Result};
use crate::experiments::ascent::ascend_on_draws;
use crate::experiments::evidence::bridge;
use crate::experiments::fit::{Joint, Weighted, log_joint, weigh};
use crate::experiments::gaussian::{Gaussian, cholesky, inverse, moments};
use crate::experiments::{Cell, Lab};
use crate::nn::Params;
use crate::nn::optim::Schedule;
use crate::primary::{Block, BlockKind};
use crate::random::{Purpose, stream};
use crate::run::Trainer;
use crate::run::config::MethodKind;
use crate::stats::{Estimate, ess_bulk, importance_bound, k_hat, mean, over_seeds};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Instant;

/// Measurements of one approximate posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Learning rate; 0 without one.
    pub rate: f64,
    /// `E_q[ln p(g, D) − ln q(g)]`, nats.
    pub elbo: Estimate,
    /// Importance-weighted bound `L_K` with at least four groups of samples, and `K`.
    pub importance: (Estimate, usize),
    /// `ln p(D)` by bridge sampling between `q` and the draws of NUTS; `None` if the density of a
    /// given `g` is unknown.
    pub bridge: Option<Estimate>,
    /// `E_{p(g|D)}[ln p(g, D) − ln q(g)]` over the draws of NUTS: above the evidence by
    /// `KL(p ‖ q)`. `None` if the density of a given `g` is unknown.
    pub above: Option<Estimate>,
    /// Shape of the tail of the importance weights.
    pub k_hat: Option<f64>,
    /// Largest and root-mean-square `|mᵢ − m*ᵢ| / σ*ᵢ`.
    pub mean: [f64; 2],
    /// Smallest, geometric mean and largest `σᵢ / σ*ᵢ`.
    pub deviations: [f64; 3],
    /// Root-mean-square error of the correlations.
    pub correlations: f64,
    /// `KL` of the test predictions from those of NUTS, nats per digit.
    pub divergence: f64,
    pub tested: Tested,
    /// Seconds of one thread to fit the posterior.
    pub seconds: f64,
    /// Some samples of the two scales with the strongest correlation.
    pub pair: Vec<[f64; 2]>,
}

/// Most samples per group of the importance-weighted bound.
const GROUP: usize = 1000;
/// Learning rates of SWAG.
const SWAG_RATES: [f64; 3] = [1e-3, 1e-2, 5e-2];
/// Size of a minibatch, and steps on minibatches relative to those on all digits, which makes their
/// times about equal.
const BATCH: (usize, usize) = (100, 50);

/// A fitted posterior: samples with their weights, and `ln q` at the draws of NUTS.
struct Fitted {
    rate: f64,
    /// Seconds of the fit alone.
    seconds: f64,
    weighted: Weighted,
    log_q: Option<Vec<f64>>,
}

/// The fits of a family; `None` for a fit that diverged.
pub(super) struct Study {
    pub family: &'static Family,
    /// One per rate that has been computed.
    pub tried: Vec<Option<Found>>,
    /// At the best of these rates, with more time.
    pub longer: Option<Found>,
    /// By L-BFGS on fixed draws.
    pub fixed: Option<Found>,
}

impl Study {
    /// The best of the tried rates; `None` if all fits diverged.
    pub fn found(&self) -> Option<&Found> {
        highest(self.tried.iter().flatten())
    }

    /// How far apart the bounds of the two best rates, of the longer fit and of L-BFGS are, nats;
    /// `None` if they were not computed.
    pub fn spread(&self) -> Option<f64> {
        let longer = self.longer.as_ref()?.elbo.value;
        let mut tried: Vec<_> = self.tried.iter().flatten().map(|f| f.elbo.value).collect();
        tried.sort_by(|a, b| b.total_cmp(a));
        let [best, second, ..] = tried[..] else { return None };
        let fixed = self.fixed.as_ref().map(|f| f.elbo.value);
        let all = || [best, second, longer].into_iter().chain(fixed);
        Some(all().fold(best, f64::max) - all().fold(best, f64::min))
    }
}

/// How a family is fitted.
#[derive(Clone, Copy)]
enum Way {
    /// With a learning rate.
    Rate(f64),
    /// With a learning rate, and a processor time relative to the others.
    Longer(f64, f64),
    /// By L-BFGS on fixed draws.
    FixedDraws,
}

impl Way {
    fn key(self, family: &Family, net: &str) -> String {
        let way = match self {
            Self::Rate(rate) => rate.to_string(),
            Self::Longer(..) => "longer".into(),
            Self::FixedDraws => "fixed".into(),
        };
        format!("fit-{net}-{}-{way}", family.key)
    }
}

/// The families fitted to a net's posterior. If the lab does not compute, only those that are
/// cached.
pub(super) fn studies(
    lab: &Lab<'_>,
    lazy: &Lazy<'_>,
    families: &'static [Family],
) -> Result<Vec<Study>> {
    let &Lazy { settings, is_first, source: Source { key: net, .. }, .. } = lazy;
    let cell = |family: &'static Family, way| {
        let time = if let Way::Longer(_, time) = way { time } else { 1. };
        Cell { key: way.key(family, net), cost: time * family.cost(), input: (family, way) }
    };
    let mut found = HashMap::new();
    let compute = |mut cells: Vec<Cell<(&Family, Way)>>, found: &mut HashMap<_, _>| {
        if !lab.computes {
            cells.retain(|cell| lab.has(&cell.key));
        }
        let is_kept = cells.iter().all(|cell| lab.has(&cell.key));
        let exact = if is_kept { None } else { Some(lazy.get()?) };
        let results = lab.cells(&cells, |&(family, way)| {
            let exact = exact.expect("it is needed");
            let fitted = fit(lab, settings, exact, family, way)?;
            Ok(fitted.map(|fitted| Found::new(&fitted, settings, exact)))
        })?;
        found.extend(cells.into_iter().map(|cell| cell.key).zip(results));
        Ok(())
    };
    let here = families.iter().filter(|family| family.is_at(settings, is_first));
    let rates = |family: &'static Family| {
        family.rates(settings, is_first).into_iter().map(move |rate| cell(family, Way::Rate(rate)))
    };
    let (searched, others): (Vec<_>, Vec<_>) =
        here.clone().partition(|family| family.is_searched(settings, is_first));
    compute(searched.iter().copied().flat_map(rates).collect(), &mut found)?;
    let again = searched.iter().flat_map(|family| {
        let each = family.rates(settings, is_first).into_iter();
        let tried = each.filter_map(|rate| found.get(&Way::Rate(rate).key(family, net))?.as_ref());
        let longer = highest(tried).zip(family.longer(settings, is_first));
        let longer = longer.map(|(best, time)| cell(family, Way::Longer(best.rate, time)));
        let has_fixed = family.has_fixed_draws(settings, is_first);
        longer.into_iter().chain(has_fixed.then(|| cell(family, Way::FixedDraws)))
    });
    let again = again.collect();
    compute(again, &mut found)?;
    compute(others.iter().copied().flat_map(rates).collect(), &mut found)?;
    let mut of = |family, way: Way| found.remove(&way.key(family, net));
    let study = |family: &'static Family| Study {
        family,
        tried: family
            .rates(settings, is_first)
            .into_iter()
            .filter_map(|r| of(family, Way::Rate(r)))
            .collect(),
        longer: of(family, Way::Longer(0., 0.)).flatten(),
        fixed: of(family, Way::FixedDraws).flatten(),
    };
    Ok(here.map(study).filter(|study| !study.tried.is_empty()).collect())
}

/// The fit with the highest bound.
fn highest<'a>(found: impl Iterator<Item = &'a Found>) -> Option<&'a Found> {
    found.max_by(|a, b| a.elbo.value.total_cmp(&b.elbo.value))
}

/// A posterior fitted in a way; `None` if the fit diverged.
fn fit(
    lab: &Lab<'_>,
    settings: &Settings,
    exact: &Exact,
    family: &Family,
    way: Way,
) -> Result<Option<Fitted>> {
    let (rate, time) = match way {
        Way::Rate(rate) => (rate, 1.),
        Way::Longer(rate, time) => (rate, time),
        Way::FixedDraws => return on_fixed_draws(settings, exact).map(Some),
    };
    let net = &exact.net;
    let (d, rng, start) = (net.joint.dim(), &mut stream(0, Purpose::Init, 0), Instant::now());
    let mut params = Params::<f64>::default();
    let (q, training): (Box<dyn Posterior<f64>>, _) = match family.fit {
        Fit::Laplace(kind) => {
            let covariance = match kind {
                Hessian::Exact => exact.peak.covariance(),
                Hessian::Ggn => {
                    inverse(&cholesky(&net.joint.ggn(&exact.peak.theta, &net.data.train)))
                }
            };
            let mean = Array1::from(exact.peak.theta.clone());
            return Ok(Some(gaussian(mean, &covariance, start, settings, exact)));
        }
        Fit::Swag => return swag(lab, settings, exact),
        Fit::Minibatch(recipe) => return on_batches(settings, exact, &recipe),
        Fit::Flow(kind, depth, recipe) => {
            let config = recipe.hypernet(kind, depth, settings.hidden);
            let q = Hypernet::new(&mut params, "q", d, &config, rng);
            (Box::new(q), recipe.training(settings.training, rate, time))
        }
        Fit::Mnf => {
            // A multiplier for each scale.
            let block = Block { offset: 0, outputs: 1, inputs: d, kind: BlockKind::Dense };
            let config = MnfConfig { hidden: settings.hidden, ..MnfConfig::default() };
            let q = Mnf::new(&mut params, "q", &exact.peak.theta, &[block], &config, rng);
            let total = Recipe { gradient: Estimator::Total, ..Recipe::OURS };
            (Box::new(q), total.training(settings.training, rate, time))
        }
    };
    q.recentre(&mut params, &exact.peak.theta);
    let trained = training.run(&*q, &mut params, &net.joint, 0);
    Ok(trained.is_ok().then(|| fitted(&*q, &params, (rate, start), settings, exact)))
}

/// Samples of `q` with their weights, and its density at the draws of NUTS.
fn fitted(
    q: &dyn Posterior<f64>,
    params: &Params<f64>,
    (rate, start): (f64, Instant),
    settings: &Settings,
    exact: &Exact,
) -> Fitted {
    let seconds = start.elapsed().as_secs_f64();
    // A few draws at a time: the tape of IAF's inverse holds D evaluations of its networks.
    let parts = exact.draws.axis_chunks_iter(Axis(0), 500);
    let log_q = parts.map(|draws| {
        let tape = Tape::default();
        let log_q = q.density(&params.freeze(&tape), tape.constant(draws.to_owned()))?;
        Some(log_q.value().iter().copied().collect::<Vec<_>>())
    });
    let log_q = log_q.collect::<Option<Vec<_>>>().map(|parts| parts.concat());
    let weighted = weigh(q, params, &exact.net.joint, settings.measured, 0);
    Fitted { rate, seconds, weighted, log_q }
}

fn gaussian(
    mean: Array1<f64>,
    covariance: &Array2<f64>,
    start: Instant,
    settings: &Settings,
    exact: &Exact,
) -> Fitted {
    let q = Gaussian { mean, factor: cholesky(covariance) };
    let seconds = start.elapsed().as_secs_f64();
    let (parts, samples) = settings.measured;
    let theta = q.sample(parts as usize * samples, &mut stream(0, Purpose::Evaluation, 0));
    let log_joint = log_joint(&exact.net.joint, theta.view()).into_iter();
    let log_weight = log_joint.zip(q.log_density(theta.view())).map(|(p, q)| p - q).collect();
    let log_q = Some(q.log_density(exact.draws.view()));
    Fitted { rate: 0., seconds, weighted: Weighted { theta, log_weight }, log_q }
}

/// Independent Gaussians from the mode and the diagonal of its curvature.
fn on_fixed_draws(settings: &Settings, exact: &Exact) -> Result<Fitted> {
    let start = Instant::now();
    let std = exact.peak.covariance().diag().mapv(f64::sqrt);
    let rng = &mut stream(0, Purpose::Noise, 0);
    let (mean, std) = ascend_on_draws(
        &exact.net.joint,
        &exact.peak.theta,
        &std.to_vec(),
        settings.fixed_draws,
        rng,
    )?;
    let variance = Array1::from(std).mapv(|s| s * s);
    Ok(gaussian(mean.into(), &Array2::from_diag(&variance), start, settings, exact))
}

/// The Gaussian of SWAG, with the learning rate of the lowest validation NLL.
fn swag(lab: &Lab<'_>, settings: &Settings, exact: &Exact) -> Result<Option<Fitted>> {
    let net = &exact.net;
    let (start, mut seconds) = (Instant::now(), 0.);
    let mut best: Option<(f64, f64, Moments)> = None;
    for rate in SWAG_RATES {
        let mut config = net.frozen(MethodKind::Swag);
        config.train.epochs = settings.swag_epochs;
        config.swag.rate = rate;
        let key = format!("swag-{}-{rate}", net.key);
        let (run, trained) = match lab.run(&key, &config, net.data.clone()) {
            Err(Error::Diverged { .. }) => continue,
            found => found?,
        };
        seconds += run.seconds();
        let nll = run.best().map_or(f64::INFINITY, |(_, scores)| scores.nll);
        let moments = trained.model.posterior.moments(&trained.model.params);
        if let Some(moments) = moments.filter(|_| best.as_ref().is_none_or(|best| nll < best.0)) {
            best = Some((nll, rate, moments));
        }
    }
    Ok(best.map(|(_, rate, Moments { mean, covariance })| Fitted {
        rate,
        seconds,
        ..gaussian(mean, &covariance, start, settings, exact)
    }))
}

/// RealNVP with `T = 8`, trained on minibatches in single precision.
fn on_batches(settings: &Settings, exact: &Exact, recipe: &Recipe) -> Result<Option<Fitted>> {
    let start = Instant::now();
    let net = &exact.net;
    let mut config = net.frozen(MethodKind::Bhn);
    config.flow = recipe.hypernet(FlowKind::Realnvp, 8, settings.hidden);
    let (batch, more) = BATCH;
    let train = &mut config.train;
    train.batch = batch.min(settings.examples);
    train.epochs = settings.training.steps as usize * more * train.batch / settings.examples;
    train.learning_rate = settings.training.rate;
    train.schedule = Schedule::Cosine;
    train.gradient = recipe.gradient;
    let data = &net.data;
    let mut trainer = Trainer::new(&config, data.shape(), &data.task, data.train.len());
    let model = &mut trainer.model;
    let frozen = model.params.iter_mut().filter(|(name, _)| config.train.freezes(name));
    for (name, w) in frozen {
        let found = net.model.params.iter().find(|(other, _)| *other == name);
        *w = found.expect("the same network").1.clone();
    }
    model.posterior.recentre(&mut model.params, &exact.peak.theta);
    trainer.cache_first_product(&data.train);
    for _ in 0..config.train.epochs {
        match trainer.epoch(&data.train, |_, _| ()) {
            Err(Error::Diverged { .. }) => return Ok(None),
            done => done?,
        }
    }
    let model = config.precise(&trainer.model, data.shape(), &data.task);
    let (q, rate) = (&*model.posterior, config.train.learning_rate);
    Ok(Some(fitted(q, &model.params, (rate, start), settings, exact)))
}

impl Found {
    fn new(fitted: &Fitted, settings: &Settings, exact: &Exact) -> Self {
        let net = &exact.net;
        let Weighted { theta, log_weight } = &fitted.weighted;
        let (m, covariance) = moments(theta.view());
        let (exact_m, exact_c) = (&exact.mean, &exact.covariance);
        let deviation = |covariance: &Array2<f64>| covariance.diag().mapv(f64::sqrt);
        let (own, exact_std) = (deviation(&covariance), deviation(exact_c));
        let shifts = (&m - exact_m) / &exact_std;
        let ratios = &own / &exact_std;
        let extreme = |f: fn(f64, f64) -> f64, start| ratios.iter().copied().fold(start, f);
        let d = m.len();
        let pairs = (0..d).flat_map(|i| (0..i).map(move |j| (i, j)));
        let errors = pairs.map(|(i, j)| {
            let own = covariance[[i, j]] / (own[i] * own[j]);
            own - exact_c[[i, j]] / (exact_std[i] * exact_std[j])
        });
        let errors: Vec<f64> = errors.collect();
        let rms = |x: &[f64]| mean(&x.iter().map(|x| x * x).collect::<Vec<_>>()).sqrt();
        let every = theta.nrows().div_ceil(settings.predicted);
        let kept = theta.slice(ndarray::s![..;every, ..]).mapv(|g| g as f32);
        let p = mean_prediction(&net.model, &Tensor::from(kept.into_dyn()), &net.data);
        let k = GROUP.min(log_weight.len() / 4);
        let strongest = exact.strongest();
        // ln p(g, D) − ln q(g) at the draws of NUTS.
        let above = fitted.log_q.as_ref().map(|log_q| -> Vec<f64> {
            exact.log_joint.iter().zip(log_q).map(|(p, q)| p - q).collect()
        });
        let shape = (exact.chains.len(), exact.draws.nrows() / exact.chains.len());
        let above = above.as_ref().map(|above| {
            let by_chain = ArrayView2::from_shape(shape, above).expect("chains of one length");
            let Estimate { value, error } = over_seeds(above);
            // The draws of a chain are dependent.
            let error = error * (above.len() as f64 / ess_bulk(by_chain)).sqrt();
            (Estimate { value, error }, bridge(by_chain, log_weight))
        });
        let above = above.filter(|(above, _)| above.error.is_finite());
        Self {
            rate: fitted.rate,
            elbo: over_seeds(log_weight),
            importance: (importance_bound(log_weight, k), k),
            bridge: above.map(|(_, bridge)| bridge).filter(|found| found.error.is_finite()),
            above: above.map(|(above, _)| above),
            k_hat: Some(k_hat(log_weight)).filter(|k| k.is_finite()),
            mean: [shifts.iter().fold(0., |most: f64, x| most.max(x.abs())), rms(&shifts.to_vec())],
            deviations: [
                extreme(f64::min, f64::INFINITY),
                mean(&ratios.mapv(f64::ln).to_vec()).exp(),
                extreme(f64::max, 0.),
            ],
            correlations: rms(&errors),
            divergence: divergence(&exact.p, &p),
            tested: Tested::new(p.view(), &net.data),
            seconds: fitted.seconds,
            pair: theta.outer_iter().take(KEPT).map(|g| strongest.map(|i| g[i])).collect(),
        }
    }
}
