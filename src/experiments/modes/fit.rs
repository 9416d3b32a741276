//! A hypernet fitted to a [`Target`], and its distance to the exact posterior.
use super::target::Target;
use crate::autodiff::Var;
use crate::bayes::{Base, Hypernet};
use crate::experiments::fit::{Diverged, Joint, Training, weigh};
use crate::flows::{Bijector, Chain, Conditioner, Coupling, Elementwise, Permutation, Stabiliser};
use crate::nn::{BoundParams, Init, Params};
use crate::random::{Purpose, stream};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Architecture and training of a hypernet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// `T`; 0 is the elementwise layer alone.
    pub couplings: usize,
    /// Hidden units of each coupling.
    pub hidden: usize,
    /// Stabiliser of the couplings' log-scales.
    pub stabiliser: Stabiliser,
    /// Distribution of `ε`.
    pub base: Base,
    /// The layer whose log-determinant the loss counts twice, an error of the authors' code: 0 for
    /// the elementwise layer, `t` for the `t`-th coupling. The loss is then no bound; measurements
    /// are of the density itself.
    pub counted_twice: Option<usize>,
    /// Training of the hypernet.
    pub training: Training,
}

/// Result of a fit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Fit {
    /// A loss, a gradient or the ELBO was not finite.
    Diverged {
        /// Number of steps until then.
        steps: u64,
    },
    /// The fit succeeded.
    Fitted(Measured),
}

/// Measurements of a trained hypernet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// `E_q[ln p(D|θ) + ln p(θ) − ln q(θ)]`, nats.
    pub elbo: f64,
    /// Monte-Carlo standard error of the ELBO.
    pub error: f64,
    /// Fraction of the samples with `a > 0`.
    pub positive: f64,
    /// `(a, b)` of the first samples.
    pub samples: Vec<(f64, f64)>,
}

/// Samples of a measurement: number of parts, samples per part.
const MEASURED: (u64, usize) = (20, 2_500);
/// Samples kept for the figures.
const KEPT: usize = 400;

impl Settings {
    /// The hypernet for `θ [d]`. If `is_loss`, its density is that of the loss, in which a
    /// log-determinant may be counted twice.
    fn hypernet(
        &self,
        params: &mut Params<f64>,
        d: usize,
        is_loss: bool,
        rng: &mut impl Rng,
    ) -> Hypernet<f64> {
        let is_twice = |layer| is_loss && self.counted_twice == Some(layer);
        // Initialised wide: w ~ N(0, 0.01²), a standard deviation of 1.
        let start = Init::Normal { mean: 0., std: 0.01 };
        let first = Elementwise::new(params, "elementwise", d, start, start, rng);
        let mut flow = then(Chain::default(), first, is_twice(0));
        for t in 0..self.couplings {
            if t > 0 {
                flow = flow.then(Permutation::reversal(d));
            }
            let name = format!("coupling.{t}");
            let Self { hidden, stabiliser, .. } = *self;
            let conditioner = Conditioner { hidden, stabiliser, ..Conditioner::default() };
            let coupling = Coupling::new(params, &name, d, conditioner, rng);
            flow = then(flow, coupling, is_twice(t + 1));
        }
        Hypernet::from_flow(d, self.base, flow)
    }
}

/// `flow` followed by `layer`, whose log-determinant counts twice if `is_twice`.
fn then(flow: Chain<f64>, layer: impl Bijector<f64> + 'static, is_twice: bool) -> Chain<f64> {
    if is_twice { flow.then(Twice(layer)) } else { flow.then(layer) }
}

/// The map of a bijector with twice its log-determinant.
struct Twice<B>(B);

impl<B: Bijector<f64>> Bijector<f64> for Twice<B> {
    fn forward<'t>(
        &self,
        p: &BoundParams<'t, f64>,
        x: Var<'t, f64>,
    ) -> (Var<'t, f64>, Var<'t, f64>) {
        let (y, ln_det) = self.0.forward(p, x);
        (y, ln_det * 2.)
    }

    fn inverse<'t>(
        &self,
        p: &BoundParams<'t, f64>,
        y: Var<'t, f64>,
    ) -> (Var<'t, f64>, Var<'t, f64>) {
        let (x, ln_det) = self.0.inverse(p, y);
        (x, ln_det * 2.)
    }
}

/// Train a hypernet from `seed` and measure it.
pub fn fit(target: &Target, settings: &Settings, seed: u64) -> Fit {
    let mut params = Params::default();
    let hypernet = |params: &mut Params<f64>, is_loss| {
        settings.hypernet(params, target.dim(), is_loss, &mut stream(seed, Purpose::Init, 0))
    };
    let q = hypernet(&mut params, true);
    let training = &settings.training;
    if let Err(Diverged(steps)) = training.run(&q, &mut params, target, seed) {
        return Fit::Diverged { steps };
    }
    // The same layers in the same order have the same parameters.
    let q = hypernet(&mut Params::default(), false);
    measure(target, &q, &params, seed).map_or(Fit::Diverged { steps: training.steps }, Fit::Fitted)
}

/// The ELBO over fresh samples, if it is finite.
fn measure(
    target: &Target,
    q: &Hypernet<f64>,
    params: &Params<f64>,
    seed: u64,
) -> Option<Measured> {
    let weighted = weigh(q, params, target, MEASURED, seed);
    let (bounds, n) = (weighted.log_weight, weighted.theta.nrows() as f64);
    let elbo = bounds.iter().sum::<f64>() / n;
    let variance = bounds.iter().map(|b| (b - elbo).powi(2)).sum::<f64>() / (n - 1.);
    let error = (variance / n).sqrt();
    let rows = || weighted.theta.rows().into_iter();
    let positive = rows().filter(|row| row[0] > 0.).count() as f64 / n;
    let samples = rows().take(KEPT).map(|row| (row[0], row[1])).collect();
    (elbo.is_finite() && error.is_finite()).then_some(Measured { elbo, error, positive, samples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::Tape;
    use crate::bayes::{Axes, Estimator, Posterior};

    fn training(steps: u64, samples: usize) -> Training {
        let gradient = Estimator::Total;
        Training { steps, samples, rate: 1e-2, decay: 10., anneal: 0., gradient }
    }

    /// `E_q[p(θ)/q(θ)] = 1` for the prior `p`, within five standard errors: `ln q` is the density
    /// of the samples.
    #[test]
    fn log_q_is_the_density_of_the_samples() {
        let (target, n) = (Target::Ridge { kappa: 0. }, 20_000);
        let mixture = Base::Mixture { components: 2, distance: 1., axes: Axes::First };
        for (couplings, base) in [(0, Base::Normal), (0, mixture), (3, mixture)] {
            let settings = Settings {
                couplings,
                hidden: 10,
                stabiliser: Stabiliser::Tanh,
                base,
                counted_twice: None,
                training: Training { rate: 0., decay: 1., ..training(0, 1) },
            };
            let (mut params, tape) = (Params::default(), Tape::default());
            let q = settings.hypernet(&mut params, 2, true, &mut stream(1, Purpose::Init, 0));
            // Away from the initialisation, where couplings are the identity.
            for (_, w) in params.iter_mut().filter(|(name, _)| name.ends_with(".r")) {
                w.view_mut().iter_mut().for_each(|r| *r = 0.5 * r.signum());
            }
            let p = params.freeze(&tape);
            let draw = q.draw(&p, n, &mut stream(2, Purpose::Noise, 0));
            let ratio = target.prior().log_prob(draw.theta) - draw.log_q().unwrap();
            let ratios: Vec<_> = ratio.value().iter().map(|r| r.exp()).collect();
            let mean = ratios.iter().sum::<f64>() / n as f64;
            let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n as f64;
            let error = (variance / n as f64).sqrt();
            assert!((mean - 1.).abs() < 5. * error, "{couplings} {base:?}: {mean} ± {error}");
            assert!(error < 0.1, "the test is too weak: {couplings} {base:?}: ± {error}");
        }
    }

    /// The ELBO is below the evidence, and three hundred steps raise it.
    #[test]
    fn fitting_raises_the_bound() {
        let target = Target::Ridge { kappa: 5. };
        let evidence = target.log_evidence().value;
        let kl = |steps| {
            let settings = Settings {
                couplings: 2,
                hidden: 20,
                stabiliser: Stabiliser::Tanh,
                base: Base::Normal,
                counted_twice: None,
                training: Training { anneal: 0.5, ..training(steps, 8) },
            };
            let Fit::Fitted(fit) = fit(&target, &settings, 0) else { panic!("diverged") };
            assert!(fit.elbo < evidence + 5. * fit.error, "above the evidence: {fit:?}");
            evidence - fit.elbo
        };
        let (before, after) = (kl(0), kl(300));
        assert!(before > 2. && after < 1.5, "{before} {after}");
    }

    /// For the target `N(0, I)` with `D = 2`, a Gaussian of standard deviation `s` has the loss
    /// `D (s²/2 − c ln s)` up to a constant if log-determinants count `c` times. Its minimum is at
    /// `s² = c`, where the KL divergence is `D/2 (c − 1 − ln c)`.
    #[test]
    fn a_log_determinant_counted_twice_widens_the_fit() {
        let target = Target::Ridge { kappa: 0. };
        for (counted_twice, c) in [(None, 1_f64), (Some(0), 2.)] {
            let settings = Settings {
                couplings: 0,
                hidden: 1,
                stabiliser: Stabiliser::Tanh,
                base: Base::Normal,
                counted_twice,
                training: Training { decay: 100., ..training(2000, 32) },
            };
            let Fit::Fitted(fit) = fit(&target, &settings, 0) else { panic!("diverged") };
            let expected = c - 1. - c.ln();
            // The last steps move s by 1e-4 each and average over some hundred: 0.01 is ample for
            // their noise, by which the KL changes with a slope of 2 (s − 1/s) = 1.4.
            let tolerance = 5. * fit.error + 0.014;
            assert!((-fit.elbo - expected).abs() < tolerance, "{counted_twice:?}: {fit:?}");
        }
    }

    /// A layer counted twice has the map of the layer, and twice its log-determinant both ways.
    #[test]
    fn only_the_chosen_layer_counts_twice() {
        for layer in [0, 1, 2] {
            let settings = Settings {
                couplings: 2,
                hidden: 5,
                stabiliser: Stabiliser::Tanh,
                base: Base::Normal,
                counted_twice: Some(layer),
                training: training(0, 1),
            };
            let tape = Tape::default();
            let [[theta, loss], [same, density]] = [true, false].map(|is_loss| {
                let mut params = Params::default();
                let rng = &mut stream(1, Purpose::Init, 0);
                let q = settings.hypernet(&mut params, 3, is_loss, rng);
                // The layers scale by e^0.5, or by a constant of the stabiliser for each coupling.
                for (name, w) in params.iter_mut() {
                    let at = if name.starts_with("elementwise") { 0.5 } else { 0.3 };
                    w.view_mut().iter_mut().for_each(|x| *x = at);
                }
                let draw = q.draw(&params.freeze(&tape), 4, &mut stream(2, Purpose::Noise, 0));
                [draw.theta, draw.log_q().unwrap()]
            });
            assert_eq!(theta.value(), same.value());
            let bonus = (density - loss).value();
            if layer == 0 {
                let expected = 3. * (0.5_f64.exp() + 0.001).ln();
                assert!(bonus.iter().all(|b| (b - expected).abs() < 1e-12), "{bonus:?}");
            } else {
                assert!(bonus.iter().all(|b| *b > 0.1), "{layer}: {bonus:?}");
            }
        }
    }

    #[test]
    fn a_diverged_fit_is_reported() {
        let settings = Settings {
            couplings: 2,
            hidden: 20,
            stabiliser: Stabiliser::Exp,
            base: Base::Normal,
            counted_twice: None,
            training: Training { rate: 1e3, decay: 1., ..training(50, 2) },
        };
        let fit = fit(&Target::net(), &settings, 0);
        assert!(matches!(fit, Fit::Diverged { steps: 1.. }), "{fit:?}");
    }
}
