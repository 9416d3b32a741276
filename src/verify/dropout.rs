//! Dropout masks against their distribution.
use super::suite::{Instance, Measurement, Property, Suite, largest};
use crate::autodiff::Tape;
use crate::bayes::{Dropout, Posterior, Rates};
use crate::nn::Params;
use ndarray::{Array2, s};
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// Draws dropout masks `[S, 8]` at rate `P`, given the number of samples `S`.
pub type Masks = fn(usize) -> Array2<f64>;

const P: f64 = 0.3;
const SAMPLES: usize = 20_000;

fn masks(samples: usize) -> Array2<f64> {
    let (mut params, tape) = (Params::<f64>::default(), Tape::default());
    let q = Dropout::new(&mut params, "q", &[1.; 12], &[(4..12, P)], Rates::Fixed, false);
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let theta = q.draw(&params.freeze(&tape), samples, rng).theta.value();
    theta.slice(s![.., 4..]).to_owned().into_dimensionality().expect("[S, D]")
}

/// The suite of [`Dropout`].
pub fn suite() -> Suite<Masks> {
    Suite {
        properties: vec![
            Property::new(
                "mean",
                "a mask is 1 in the mean, within four standard errors, so that one pass without it is its mean",
                |masks| {
                    let found = masks(SAMPLES);
                    let n = found.len() as f64;
                    // An entry of a mask has the variance p/(1 − p).
                    within_errors(found.sum() / n, 1., (P / (1. - P) / n).sqrt())
                },
            ),
            Property::new(
                "rate",
                "it is 0 with probability p, within four standard errors, and else 1/(1 − p)",
                |masks| {
                    let found = masks(SAMPLES);
                    let n = found.len() as f64;
                    let zeros = found.iter().filter(|x| **x == 0.).count() as f64;
                    let others = found.iter().filter(|x| **x != 0.);
                    let error = largest(others.map(|x| (x - 1. / (1. - P)).abs()));
                    Measurement::worst([
                        within_errors(zeros / n, P, (P * (1. - P) / n).sqrt()),
                        Measurement::new(error, 1e-12, "the others"),
                    ])
                },
            ),
        ],
        instances: vec![Instance::new("Dropout", masks as Masks)],
        faults: faults(),
    }
}

/// `found` within four standard errors of `expected`, where `error` is the standard error.
fn within_errors(found: f64, expected: f64, error: f64) -> Measurement {
    Measurement::new((found - expected).abs(), 4. * error, format!("{found:.5} ± {error:.5}"))
}

fn faults() -> Vec<Instance<Masks>> {
    let fault = |name, masks: Masks| Instance::new(name, masks);
    vec![
        fault("masks that are not scaled", |n| masks(n) * (1. - P)),
        fault("the rate taken for its complement", |n| {
            masks(n).mapv(|m| if m == 0. { 1. / P } else { 0. })
        }),
        fault("scaled by 1/p for 1/(1 − p)", |n| {
            masks(n).mapv(|m| if m == 0. { 0. } else { 1. / P })
        }),
    ]
}
