//! Scores of rankings against definitions that count pairs, or examples at or above a threshold.
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

const ENGINE: Ranking = Ranking {
    auroc: |p, n| metrics::auroc(p, n).value,
    aupr: metrics::aupr,
    fpr95: |p, n| fpr_at_tpr(p, n, 0.95),
};

/// The suite of rankings in [`metrics`].
pub fn suite() -> Suite<Ranking> {
    Suite {
        properties: vec![
            Property::new(
                "AUROC",
                "it is the share of pairs in the right order, ties half, counted pair by pair",
                |r| {
                    against(r.auroc, |p, n| {
                        let won = |&a: &f64, &b: &f64| (f64::from(a > b) + f64::from(a >= b)) / 2.;
                        pairs(p, n, won)
                    })
                },
            ),
            Property::new(
                "AUPR",
                "it is the precision at each score, weighed by the positives that have it",
                |r| {
                    against(r.aupr, |p, n| {
                        let each = p.iter().map(|&t| reach(p, t) / (reach(p, t) + reach(n, t)));
                        each.sum::<f64>() / p.len() as f64
                    })
                },
            ),
            Property::new(
                "FPR95",
                "it is the share of negatives at or above the highest score that 95 % of positives reach",
                |r| {
                    against(r.fpr95, |p, n| {
                        let rate = |v: &[f64], t: f64| reach(v, t) / v.len() as f64;
                        let enough = p.iter().copied().filter(|&t| rate(p, t) >= 0.95);
                        rate(n, enough.fold(f64::NEG_INFINITY, f64::max))
                    })
                },
            ),
        ],
        instances: vec![Instance::new("metrics", ENGINE)],
        faults: faults(),
    }
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
    let aupr = |name, aupr| Instance::new(name, Ranking { aupr, ..ENGINE });
    let auroc = |name, auroc| Instance::new(name, Ranking { auroc, ..ENGINE });
    let fpr95 = |name, fpr95| Instance::new(name, Ranking { fpr95, ..ENGINE });
    vec![
        aupr("AUPR: positives and negatives swapped", |p, n| metrics::aupr(n, p)),
        aupr("AUPR: scores that point the other way", |p, n| {
            let negated = |v: &[f64]| v.iter().map(|x| -x).collect::<Vec<_>>();
            metrics::aupr(&negated(p), &negated(n))
        }),
        auroc("AUROC: swapped", |p, n| metrics::auroc(n, p).value),
        auroc("AUROC: ties count as won", |p, n| pairs(p, n, |a, b| f64::from(a >= b))),
        fpr95("FPR95: swapped", |p, n| fpr_at_tpr(n, p, 0.95)),
        fpr95("FPR95: at 90 %", |p, n| fpr_at_tpr(p, n, 0.9)),
    ]
}
