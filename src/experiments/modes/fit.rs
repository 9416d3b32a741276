//! A hypernet fitted to a [`Target`], and its distance to the exact posterior.
use super::target::Target;
use crate::bayes::{Base, Hypernet};
use crate::experiments::fit::{Diverged, Joint, Training, weigh};
use crate::flows::{Chain, Conditioner, Coupling, Elementwise, Permutation, Stabiliser};
use crate::nn::{Init, Params};
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
    fn hypernet(&self, params: &mut Params<f64>, d: usize, rng: &mut impl Rng) -> Hypernet<f64> {
        // Initialised wide: w ~ N(0, 0.01²), a standard deviation of 1.
        let start = Init::Normal { mean: 0., std: 0.01 };
        let first = Elementwise::new(params, "elementwise", d, start, start, rng);
        let mut flow = Chain::default().then(first);
        for t in 0..self.couplings {
            if t > 0 {
                flow = flow.then(Permutation::reversal(d));
            }
            let name = format!("coupling.{t}");
            let Self { hidden, stabiliser, .. } = *self;
            let conditioner = Conditioner { hidden, stabiliser, ..Conditioner::default() };
            flow = flow.then(Coupling::new(params, &name, d, conditioner, rng));
        }
        Hypernet::from_flow(d, self.base, flow)
    }
}

/// Train a hypernet from `seed` and measure it.
pub fn fit(target: &Target, settings: &Settings, seed: u64) -> Fit {
    let mut params = Params::default();
    let q = settings.hypernet(&mut params, target.dim(), &mut stream(seed, Purpose::Init, 0));
    let training = &settings.training;
    if let Err(Diverged(steps)) = training.run(&q, &mut params, target, seed) {
        return Fit::Diverged { steps };
    }
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
                training: Training { rate: 0., decay: 1., ..training(0, 1) },
            };
            let (mut params, tape) = (Params::default(), Tape::default());
            let q = settings.hypernet(&mut params, 2, &mut stream(1, Purpose::Init, 0));
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
                training: Training { anneal: 0.5, ..training(steps, 8) },
            };
            let Fit::Fitted(fit) = fit(&target, &settings, 0) else { panic!("diverged") };
            assert!(fit.elbo < evidence + 5. * fit.error, "above the evidence: {fit:?}");
            evidence - fit.elbo
        };
        let (before, after) = (kl(0), kl(300));
        assert!(before > 2. && after < 1.5, "{before} {after}");
    }

    #[test]
    fn a_diverged_fit_is_reported() {
        let settings = Settings {
            couplings: 2,
            hidden: 20,
            stabiliser: Stabiliser::Exp,
            base: Base::Normal,
            training: Training { rate: 1e3, decay: 1., ..training(50, 2) },
        };
        let fit = fit(&Target::net(), &settings, 0);
        assert!(matches!(fit, Fit::Diverged { steps: 1.. }), "{fit:?}");
    }
}
