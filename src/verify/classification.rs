//! Scores of class probabilities against their definitions, example by example.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::randn;
use crate::metrics::{self, BINS};
use ndarray::{Array2, ArrayView2};
use std::f64::consts::LN_2;

/// A score of probabilities `p [N, K]`, given labels `[N]`.
pub type Score = fn(ArrayView2<'_, f32>, &[usize]) -> f64;

/// The scores of a classification.
#[derive(Clone, Copy)]
pub struct Scores {
    /// The negative log-likelihood, in nats per example.
    pub nll: Score,
    /// The Brier score.
    pub brier: Score,
    /// The expected calibration error over [`BINS`] bins.
    pub ece: Score,
    /// The fraction of correct predictions.
    pub accuracy: Score,
}

const ENGINE: Scores = Scores {
    nll: |p, y| metrics::nll(p, y).value,
    brier: |p, y| metrics::brier(p, y).value,
    ece: |p, y| metrics::ece(p, y, BINS),
    accuracy: |p, y| metrics::accuracy(p, y).value,
};

/// The suite of classification in [`metrics`].
pub fn suite() -> Suite<Scores> {
    Suite {
        properties: vec![
            Property::new("NLL", "it is the mean of −ln p of the true class", |scores| {
                against(scores.nll, |p, y| mean(N, |n| -p[[n, y[n]]].ln()))
            }),
            Property::new("Brier score", "it is the mean of Σ_c (p_c − 1[c = y])²", |scores| {
                against(scores.brier, |p, y| {
                    let square = |n, c| (p[[n, c]] - f64::from(c == y[n])).powi(2);
                    mean(N, |n| (0..K).map(|c| square(n, c)).sum())
                })
            }),
            Property::new(
                "ECE",
                "it is Σ_b N_b/N |accuracy − confidence| over 15 equal bins",
                |scores| {
                    against(scores.ece, |p, y| {
                        let mut gaps = [0.; BINS];
                        for (n, &label) in y.iter().enumerate() {
                            let class = top(p, n);
                            let right = f64::from(class == label);
                            let bin = (BINS as f64 * p[[n, class]]) as usize;
                            gaps[bin.min(BINS - 1)] += right - p[[n, class]];
                        }
                        gaps.iter().map(|gap| gap.abs()).sum::<f64>() / N as f64
                    })
                },
            ),
            Property::new(
                "accuracy",
                "it is the share of examples whose likeliest class is theirs",
                |scores| against(scores.accuracy, |p, y| mean(N, |n| f64::from(top(p, n) == y[n]))),
            ),
        ],
        instances: vec![Instance::new("metrics", ENGINE)],
        faults: faults(),
    }
}

const N: usize = 200;
const K: usize = 3;

fn mean(count: usize, f: impl Fn(usize) -> f64) -> f64 {
    (0..count).map(f).sum::<f64>() / count as f64
}

/// The likeliest class of example `n`.
fn top(p: &Array2<f64>, n: usize) -> usize {
    (0..K).fold(0, |best, c| if p[[n, c]] > p[[n, best]] { c } else { best })
}

/// `score` against `definition` on random probabilities, where at least two thirds of the examples
/// have their likeliest class as the label.
fn against(score: Score, definition: fn(&Array2<f64>, &[usize]) -> f64) -> Measurement {
    let mut p: Array2<f32> =
        randn(&[N, K], 4).mapv(|x| (1.5 * x).exp() as f32).into_dimensionality().expect("[N, K]");
    p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
    let precise = p.mapv(f64::from);
    let label = |n: usize| if n.is_multiple_of(3) { n / 3 % K } else { top(&precise, n) };
    let labels: Vec<_> = (0..N).map(label).collect();
    // The tolerance allows for the rounding of probabilities to f32.
    Measurement::close(score(p.view(), &labels), definition(&precise, &labels), 1e-6)
}

fn faults() -> Vec<Instance<Scores>> {
    let nll = |name, nll| Instance::new(name, Scores { nll, ..ENGINE });
    let brier = |name, brier| Instance::new(name, Scores { brier, ..ENGINE });
    let ece = |name, ece| Instance::new(name, Scores { ece, ..ENGINE });
    let accuracy = |name, accuracy| Instance::new(name, Scores { accuracy, ..ENGINE });
    vec![
        nll("NLL in bits", |p, y| metrics::nll(p, y).value / LN_2),
        nll("NLL: of the likeliest class", |p, _| metrics::nll(p, &metrics::predictions(p)).value),
        brier("Brier score: the mean over classes", |p, y| metrics::brier(p, y).value / K as f64),
        ece("ECE: bins that all count as much", |p, y| {
            let bins = metrics::reliability(p, y, BINS);
            let gaps = bins.iter().filter(|bin| bin.count > 0);
            gaps.map(|bin| (bin.accuracy - bin.confidence).abs()).sum::<f64>() / BINS as f64
        }),
        ece("ECE: gaps of either sign cancel", |p, y| {
            let bins = metrics::reliability(p, y, BINS);
            let gaps = bins.iter().map(|b| b.count as f64 * (b.accuracy - b.confidence));
            (gaps.sum::<f64>() / y.len() as f64).abs()
        }),
        accuracy("accuracy: labels off by one", |p, y| {
            let moved: Vec<_> = y.iter().map(|y| (y + 1) % K).collect();
            metrics::accuracy(p, &moved).value
        }),
    ]
}
