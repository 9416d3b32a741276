//! Scores and uncertainties against their definitions, term by term.
use super::faults;
use super::suite::{Finding, Property, Subject, Suite};
use crate::autodiff::gradcheck::randn;
use crate::metrics::{self, aupr, auroc, fpr_at_tpr};
use ndarray::{Array2, Array3, ArrayView2, Axis};

/// How rankings are judged: functions of the scores of positives and of negatives.
#[derive(Clone, Copy)]
pub struct Ranking {
    /// The area under the ROC curve.
    pub auroc: fn(&[f64], &[f64]) -> f64,
    /// The area under the precision-recall curve.
    pub aupr: fn(&[f64], &[f64]) -> f64,
    /// The false positives at 95 % true ones.
    pub fpr95: fn(&[f64], &[f64]) -> f64,
}

impl Ranking {
    pub(super) const SOUND: Self =
        Self { auroc: |p, n| auroc(p, n).value, aupr, fpr95: |p, n| fpr_at_tpr(p, n, 0.95) };
}

/// Whole scores with many ties, and of each kind another number.
fn ranked(seed: u64) -> [Vec<f64>; 2] {
    let of = |n: usize, shift: f64, seed| {
        randn(&[n], seed).iter().map(|x| (2. * x + shift).round()).collect::<Vec<_>>()
    };
    [of(31, 1., seed), of(47, 0., seed + 1)]
}

fn rankings_of(f: impl Fn(&[f64], &[f64]) -> [f64; 2]) -> Finding {
    Finding::worst((0..20).map(|seed| {
        let [positive, negative] = ranked(10 * seed + 1);
        let [found, expected] = f(&positive, &negative);
        Finding::new(
            (found - expected).abs(),
            1e-12,
            format!("sample {seed}: {found} and {expected}"),
        )
    }))
}

/// Rankings.
pub fn rankings() -> Suite<Ranking> {
    Suite {
        properties: vec![
            Property {
                name: "AUROC",
                proves: "it is the share of pairs in the right order, ties half, counted pair by pair",
                measure: |r| {
                    rankings_of(|p, n| {
                        let pair = |a: f64, b: f64| {
                            if a > b {
                                1.
                            } else if a == b {
                                0.5
                            } else {
                                0.
                            }
                        };
                        let pairs = p.iter().flat_map(|&a| n.iter().map(move |&b| pair(a, b)));
                        [(r.auroc)(p, n), pairs.sum::<f64>() / (p.len() * n.len()) as f64]
                    })
                },
            },
            Property {
                name: "AUPR",
                proves: "it is the precision at each score, weighed by the positives that have it",
                measure: |r| {
                    rankings_of(|p, n| {
                        let from = |v: &[f64], t: f64| v.iter().filter(|x| **x >= t).count() as f64;
                        let each = p.iter().map(|&t| from(p, t) / (from(p, t) + from(n, t)));
                        [(r.aupr)(p, n), each.sum::<f64>() / p.len() as f64]
                    })
                },
            },
            Property {
                name: "FPR95",
                proves: "it is the share of negatives at or above the highest score that 95 % of positives reach",
                measure: |r| {
                    rankings_of(|p, n| {
                        let share = |v: &[f64], t: f64| {
                            v.iter().filter(|x| **x >= t).count() as f64 / v.len() as f64
                        };
                        let enough = p.iter().copied().filter(|&t| share(p, t) >= 0.95);
                        let threshold = enough.fold(f64::NEG_INFINITY, f64::max);
                        [(r.fpr95)(p, n), share(n, threshold)]
                    })
                },
            },
        ],
        subjects: vec![Subject { name: "metrics".into(), it: Ranking::SOUND }],
        faults: faults::rankings(),
    }
}

/// How probabilities `p [N, K]` of classes are judged by labels `[N]`.
#[derive(Clone, Copy)]
pub struct Judge {
    /// Nats an example.
    pub nll: fn(ArrayView2<'_, f32>, &[usize]) -> f64,
    /// The Brier score.
    pub brier: fn(ArrayView2<'_, f32>, &[usize]) -> f64,
    /// The expected calibration error over ten bins.
    pub ece: fn(ArrayView2<'_, f32>, &[usize]) -> f64,
    /// The share of right answers.
    pub accuracy: fn(ArrayView2<'_, f32>, &[usize]) -> f64,
}

impl Judge {
    pub(super) const SOUND: Self = Self {
        nll: |p, y| metrics::nll(p, y).value,
        brier: |p, y| metrics::brier(p, y).value,
        ece: |p, y| metrics::ece(p, y, 10),
        accuracy: |p, y| metrics::accuracy(p, y).value,
    };
}

/// Probabilities of three classes for 200 examples, and labels that often agree.
pub(super) fn judged() -> (Array2<f32>, Vec<usize>) {
    let mut p: Array2<f32> =
        randn(&[200, 3], 4).mapv(|x| (1.5 * x).exp() as f32).into_dimensionality().expect("[N, K]");
    p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
    let labels = (0..200).map(|n| if n % 3 == 0 { n / 3 % 3 } else { top(&p, n) }).collect();
    (p, labels)
}

fn top(p: &Array2<f32>, n: usize) -> usize {
    (0..3).fold(0, |best, c| if p[[n, c]] > p[[n, best]] { c } else { best })
}

fn judgement(f: impl Fn(&Array2<f32>, &[usize]) -> [f64; 2]) -> Finding {
    let (p, labels) = judged();
    let [found, expected] = f(&p, &labels);
    // Probabilities in f32.
    Finding::new((found - expected).abs(), 1e-6, format!("{found} and {expected}"))
}

/// Scores of classifications.
pub fn judges() -> Suite<Judge> {
    Suite {
        properties: vec![
            Property {
                name: "NLL",
                proves: "it is the mean of −ln p of the true class",
                measure: |j| {
                    judgement(|p, y| {
                        let each = y.iter().enumerate().map(|(n, &c)| -f64::from(p[[n, c]]).ln());
                        [(j.nll)(p.view(), y), each.sum::<f64>() / 200.]
                    })
                },
            },
            Property {
                name: "Brier score",
                proves: "it is the mean of Σ_c (p_c − 1[c = y])²",
                measure: |j| {
                    judgement(|p, y| {
                        let term = |n: usize, c: usize| {
                            (f64::from(p[[n, c]]) - f64::from(u8::from(c == y[n]))).powi(2)
                        };
                        let all = (0..200).flat_map(|n| (0..3).map(move |c| (n, c)));
                        [(j.brier)(p.view(), y), all.map(|(n, c)| term(n, c)).sum::<f64>() / 200.]
                    })
                },
            },
            Property {
                name: "ECE",
                proves: "it is Σ_b N_b/N |accuracy − confidence| over ten equal bins",
                measure: |j| {
                    judgement(|p, y| {
                        let mut bins = [[0.; 2]; 10];
                        for (n, &label) in y.iter().enumerate() {
                            let class = top(p, n);
                            let confidence = f64::from(p[[n, class]]);
                            let bin = &mut bins[((10. * confidence) as usize).min(9)];
                            bin[0] += f64::from(u8::from(class == label));
                            bin[1] += confidence;
                        }
                        [
                            (j.ece)(p.view(), y),
                            bins.iter().map(|[a, c]| (a - c).abs()).sum::<f64>() / 200.,
                        ]
                    })
                },
            },
            Property {
                name: "accuracy",
                proves: "it is the share of examples whose likeliest class is theirs",
                measure: |j| {
                    judgement(|p, y| {
                        let right = (0..200).filter(|&n| top(p, n) == y[n]).count();
                        [(j.accuracy)(p.view(), y), right as f64 / 200.]
                    })
                },
            },
        ],
        subjects: vec![Subject { name: "metrics".into(), it: Judge::SOUND }],
        faults: faults::judges(),
    }
}

/// What is said of an input from the probabilities that samples give it.
#[derive(Clone, Copy, Debug)]
pub struct Uncertain {
    /// `p̄` of the first class.
    pub p: f64,
    /// `H[p̄]`.
    pub entropy: f64,
    /// `H[p̄] − mean_s H[p_s]`.
    pub bald: f64,
    /// `mean_c std_s p_{s,c}`.
    pub mean_std: f64,
}

/// How logits `[S, N, K]` become [`Uncertain`]ties.
#[derive(Clone, Copy)]
pub struct Doubt(pub fn(&Array3<f32>) -> Vec<Uncertain>);

/// Logits of eight samples for 50 inputs and 4 classes.
fn logits() -> Array3<f32> {
    randn(&[8, 50, 4], 6).mapv(|x| 2. * x as f32).into_dimensionality().expect("[S, N, K]")
}

fn doubts(doubt: &Doubt, of: fn(&Uncertain) -> f64, expected: fn(&Array2<f64>) -> f64) -> Finding {
    let x = logits();
    let found = (doubt.0)(&x);
    Finding::worst(found.iter().enumerate().map(|(n, found)| {
        let mut p = x.index_axis(Axis(1), n).mapv(|x| f64::from(x).exp());
        p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
        let (found, expected) = (of(found), expected(&p));
        // A handful of operations in f32.
        Finding::new((found - expected).abs(), 2e-6, format!("input {n}: {found} and {expected}"))
    }))
}

fn nats<'a>(p: impl IntoIterator<Item = &'a f64>) -> f64 {
    p.into_iter().map(|p| -p * p.ln()).sum()
}

/// Uncertainties of predictions.
#[expect(clippy::missing_panics_doc, reason = "there are samples")]
pub fn uncertainties() -> Suite<Doubt> {
    Suite {
        properties: vec![
            Property {
                name: "prediction",
                proves: "it is the mean of the samples' probabilities, not of their logits",
                measure: |d| doubts(d, |u| u.p, |p| p.column(0).mean().expect("a sample")),
            },
            Property {
                name: "entropy",
                proves: "it is −Σ p̄ ln p̄, in nats",
                measure: |d| {
                    doubts(d, |u| u.entropy, |p| nats(&p.mean_axis(Axis(0)).expect("a sample")))
                },
            },
            Property {
                name: "BALD",
                proves: "it is that less the mean of the samples' entropies",
                measure: |d| {
                    doubts(
                        d,
                        |u| u.bald,
                        |p| {
                            let each =
                                p.rows().into_iter().map(nats).sum::<f64>() / p.nrows() as f64;
                            nats(&p.mean_axis(Axis(0)).expect("a sample")) - each
                        },
                    )
                },
            },
            Property {
                name: "mean deviation",
                proves: "it is the mean over classes of the standard deviation over samples",
                measure: |d| {
                    doubts(d, |u| u.mean_std, |p| p.std_axis(Axis(0), 0.).mean().expect("a class"))
                },
            },
        ],
        subjects: vec![Subject { name: "predict".into(), it: Doubt(super::machine::uncertain) }],
        faults: faults::doubts(),
    }
}
