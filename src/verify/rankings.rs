//! Scores of rankings against counts of pairs and of thresholds.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::randn;
use crate::metrics::{self, fpr_at_tpr};

/// A score of a ranking, from the scores of positives and of negatives.
pub type Score = fn(&[f64], &[f64]) -> f64;

/// The scores of a ranking.
#[derive(Clone, Copy)]
pub struct Ranking {
    /// The area under the ROC curve.
    pub auroc: Score,
    /// The area under the precision-recall curve.
    pub aupr: Score,
    /// The false-positive rate at a true-positive rate of 95 %.
    pub fpr95: Score,
}

const ENGINE: Ranking =
    Ranking { auroc, aupr: metrics::aupr, fpr95: |p, n| fpr_at_tpr(p, n, 0.95) };

fn auroc(positives: &[f64], negatives: &[f64]) -> f64 {
    metrics::auroc(positives, negatives).value
}

/// The suite of rankings in [`metrics`].
pub fn suite() -> Suite<Ranking> {
    Suite {
        properties: vec![
            Property {
                name: "AUROC",
                statement: "it is the share of pairs in the right order, ties half, counted pair by pair",
                measure: |r| {
                    against(r.auroc, |p, n| {
                        let won = |&a: &f64, &b: &f64| (share(a > b) + share(a >= b)) / 2.;
                        pairs(p, n, won)
                    })
                },
            },
            Property {
                name: "AUPR",
                statement: "it is the precision at each score, weighed by the positives that have it",
                measure: |r| {
                    against(r.aupr, |p, n| {
                        let each = p.iter().map(|&t| reach(p, t) / (reach(p, t) + reach(n, t)));
                        each.sum::<f64>() / p.len() as f64
                    })
                },
            },
            Property {
                name: "FPR95",
                statement: "it is the share of negatives at or above the highest score that 95 % of positives reach",
                measure: |r| {
                    against(r.fpr95, |p, n| {
                        let rate = |v: &[f64], t: f64| reach(v, t) / v.len() as f64;
                        let enough = p.iter().copied().filter(|&t| rate(p, t) >= 0.95);
                        rate(n, enough.fold(f64::NEG_INFINITY, f64::max))
                    })
                },
            },
        ],
        instances: vec![Instance::new("metrics", ENGINE)],
        faults: faults(),
    }
}

fn share(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The mean of `f` over all pairs of a positive and a negative.
fn pairs(positives: &[f64], negatives: &[f64], f: impl Fn(&f64, &f64) -> f64) -> f64 {
    let sum: f64 = positives.iter().map(|a| negatives.iter().map(|b| f(a, b)).sum::<f64>()).sum();
    sum / (positives.len() * negatives.len()) as f64
}

/// The number of scores of at least `threshold`.
fn reach(scores: &[f64], threshold: f64) -> f64 {
    scores.iter().filter(|x| **x >= threshold).count() as f64
}

/// `score` against `definition` on 20 rankings of integer scores with many ties.
fn against(score: Score, definition: Score) -> Measurement {
    let scores = |n: usize, shift: f64, seed| {
        randn(&[n], seed).iter().map(|x| (2. * x + shift).round()).collect::<Vec<_>>()
    };
    Measurement::worst((0..20).map(|sample| {
        let seed = 10 * sample + 1;
        let (positives, negatives) = (scores(31, 1., seed), scores(47, 0., seed + 1));
        let found = score(&positives, &negatives);
        let close = Measurement::close(found, definition(&positives, &negatives), 1e-12);
        Measurement { at: format!("sample {sample}: {}", close.at), ..close }
    }))
}

fn faults() -> Vec<Instance<Ranking>> {
    let fault = |name, ranking| Instance::new(name, ranking);
    vec![
        fault(
            "AUPR: positives and negatives swapped",
            Ranking { aupr: |p, n| metrics::aupr(n, p), ..ENGINE },
        ),
        fault(
            "AUPR: scores that point the other way",
            Ranking {
                aupr: |p, n| {
                    let negated = |v: &[f64]| v.iter().map(|x| -x).collect::<Vec<_>>();
                    metrics::aupr(&negated(p), &negated(n))
                },
                ..ENGINE
            },
        ),
        fault("AUROC: swapped", Ranking { auroc: |p, n| auroc(n, p), ..ENGINE }),
        fault(
            "AUROC: ties count as won",
            Ranking { auroc: |p, n| pairs(p, n, |a, b| share(a >= b)), ..ENGINE },
        ),
        fault("FPR95: swapped", Ranking { fpr95: |p, n| fpr_at_tpr(n, p, 0.95), ..ENGINE }),
        fault("FPR95: at 90 %", Ranking { fpr95: |p, n| fpr_at_tpr(p, n, 0.9), ..ENGINE }),
    ]
}
