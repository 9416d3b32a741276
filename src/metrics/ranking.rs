//! Measures of how well a score ranks examples. They depend only on the order of the scores, ties
//! included; a **higher score predicts "positive"**.
use super::Estimate;
use crate::stats::{assert_ordered, mean, mean_and_variance, searchsorted, sorted};
use serde::{Deserialize, Serialize};

/// Area under the ROC curve, from 0 to 1: `Pr(x > y) + ½ Pr(x = y)` for the score `x` of a random
/// positive and the score `y` of a random negative, given the scores of shape `[P]` and `[N]`.
///
/// Let `Vₓ` be the fraction of negatives below the positive `x`, and `V_y` the fraction of
/// positives below the negative `y`, where a tie counts as one half. The value is `mean Vₓ`, and
/// its standard error is `√(var Vₓ/P + var V_y/N)` with unbiased variances: DeLong, DeLong and
/// Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
/// characteristic curves", 1988. The error is NaN if there is a single positive or negative.
///
/// # Panics
/// If there is no positive or no negative, or a score is NaN.
pub fn auroc(positive: &[f64], negative: &[f64]) -> Estimate {
    let (p, n) = both("auroc", positive, negative);
    let (value, positives) = mean_and_variance(&shares_below(&p, &n));
    let (_, negatives) = mean_and_variance(&shares_below(&n, &p));
    Estimate { value, error: (positives / p.len() as f64 + negatives / n.len() as f64).sqrt() }
}

/// The fraction of `among`, which is ascending, below each of `of`; a tie counts as one half.
fn shares_below(of: &[f64], among: &[f64]) -> Vec<f64> {
    let share = |&x: &f64| {
        let (left, right) = searchsorted(among, x);
        0.5 * (left + right) as f64 / among.len() as f64
    };
    of.iter().map(share).collect()
}

/// The influence of each example on the [`auroc`] `A`: `Vₓ − A` of each positive `[P]` and
/// `A' − V_y` of each negative `[N]`, where `A' = 1 − A` is the mean of `V_y`. Their means are 0.
/// DeLong's variance is that of `Vₓ` divided by `P` plus that of `V_y` divided by `N`.
///
/// # Panics
/// As [`auroc`].
pub fn auroc_influence(positive: &[f64], negative: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (p, n) = both("auroc_influence", positive, negative);
    let centred = |of: &[f64], among: &[f64], sign: f64| -> Vec<f64> {
        let shares = shares_below(of, among);
        let center = mean(&shares);
        shares.iter().map(|share| sign * (share - center)).collect()
    };
    (centred(positive, &n, 1.0), centred(negative, &p, -1.0))
}

/// Area under the precision-recall curve `Σ_t (R_t − R_{t−1}) P_t`, from 0 to 1, given scores of
/// shape `[P]` and `[N]`: scikit-learn's average precision. The sum is over the distinct scores `t`
/// in descending order; `P_t` and `R_t` are the precision and the recall of the rule "positive if
/// the score is at least `t`". The area depends on the ratio `P/N`: for random scores it is about
/// `P/(P + N)`.
///
/// # Panics
/// If there is no positive or no negative, or a score is NaN.
pub fn aupr(positive: &[f64], negative: &[f64]) -> f64 {
    let (p, n) = both("aupr", positive, negative);
    let (mut area, mut found) = (0.0, 0);
    for (tp, fp) in counts(&p, &n) {
        area += (tp - found) as f64 * tp as f64 / (tp + fp) as f64;
        found = tp;
    }
    area / p.len() as f64
}

/// False positive rate at the highest threshold `t` where the rule "positive if the score is at
/// least `t`" has a true positive rate of at least `tpr`: from 0 to 1, given scores of shape `[P]`
/// and `[N]`.
///
/// # Panics
/// If there is no positive or no negative, a score is NaN, or `tpr` is not in `(0, 1]`.
pub fn fpr_at_tpr(positive: &[f64], negative: &[f64], tpr: f64) -> f64 {
    let (p, n) = both("fpr_at_tpr", positive, negative);
    assert!(tpr > 0.0 && tpr <= 1.0, "fpr_at_tpr: tpr {tpr} is not in (0, 1]");
    let enough = |&(tp, _): &(usize, usize)| tp as f64 / p.len() as f64 >= tpr;
    let (_, fp) = counts(&p, &n).find(enough).expect("the lowest threshold accepts all");
    fp as f64 / n.len() as f64
}

/// How well an uncertainty separates out-of-distribution examples from in-distribution ones, by the
/// scores of Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution
/// examples in neural networks", ICLR 2017.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Probability that an outside example has a higher uncertainty than an inside one, see
    /// [`auroc`]. It would be the same with the inside examples as positives and their certainty as
    /// the score.
    pub auroc: Estimate,
    /// [`aupr`] with inside examples as positives: AUPR+ of the paper.
    pub aupr_in: f64,
    /// [`aupr`] with outside examples as positives: AUPR− of the paper.
    pub aupr_out: f64,
    /// Fraction of outside examples accepted at the strictest threshold that accepts at least 95 %
    /// of the inside examples.
    pub fpr95: f64,
}

impl Detection {
    /// The scores for the uncertainties of `I` examples inside the distribution and `O` examples
    /// outside.
    ///
    /// # Panics
    /// If there is no example inside or none outside, or an uncertainty is NaN.
    pub fn of(inside: &[f64], outside: &[f64]) -> Self {
        let certainty = |v: &[f64]| v.iter().map(|u| -u).collect::<Vec<_>>();
        let (certain_inside, certain_outside) = (certainty(inside), certainty(outside));
        Self {
            auroc: auroc(outside, inside),
            aupr_in: aupr(&certain_inside, &certain_outside),
            aupr_out: aupr(outside, inside),
            fpr95: fpr_at_tpr(&certain_inside, &certain_outside, 0.95),
        }
    }
}

/// Risk-coverage curve `[N]` of `uncertainty [N]` and `loss [N]`: entry `k`, from 1, is the mean
/// loss of the `k` most certain examples, the risk at coverage `k/N`. If the loss is 1 for a
/// mistake and 0 otherwise, the last entry is the error rate. Tied examples each count with their
/// mean loss, which gives the expectation over all orders of the ties. Geifman and El-Yaniv,
/// "Selective classification for deep neural networks", NeurIPS 2017.
///
/// # Panics
/// If there is no example, the lengths differ, or an uncertainty is NaN.
pub fn risk_coverage(uncertainty: &[f64], loss: &[f64]) -> Vec<f64> {
    let n = uncertainty.len();
    assert!(n == loss.len(), "risk_coverage: uncertainty [{n}], loss [{}]", loss.len());
    assert_ordered("risk_coverage: uncertainty", uncertainty);
    let mut order: Vec<_> = uncertainty.iter().zip(loss).collect();
    order.sort_by(|a, b| a.0.total_cmp(b.0));
    let (mut sum, mut curve) = (0.0, Vec::with_capacity(n));
    for tied in order.chunk_by(|a, b| a.0 == b.0) {
        let loss = tied.iter().map(|(_, loss)| *loss).sum::<f64>() / tied.len() as f64;
        for _ in tied {
            sum += loss;
            curve.push(sum / (curve.len() + 1) as f64);
        }
    }
    curve
}

/// Area under the [`risk_coverage`] curve, computed as the mean of its entries, in the unit of the
/// loss. The area is lower if the model errs less, or if its uncertainty ranks its errors higher.
///
/// # Panics
/// If there is no example, the lengths differ, or an uncertainty is NaN.
pub fn aurc(uncertainty: &[f64], loss: &[f64]) -> f64 {
    mean(&risk_coverage(uncertainty, loss))
}

/// Sorted copies of both inputs.
fn both(name: &str, positive: &[f64], negative: &[f64]) -> (Vec<f64>, Vec<f64>) {
    assert!(!positive.is_empty(), "{name}: no positive example");
    assert!(!negative.is_empty(), "{name}: no negative example");
    (sorted(&format!("{name}: positive"), positive), sorted(&format!("{name}: negative"), negative))
}

/// Numbers of positives and of negatives with a score of at least `t`, for each distinct score `t`
/// in descending order. Both inputs are ascending.
fn counts(positive: &[f64], negative: &[f64]) -> impl Iterator<Item = (usize, usize)> {
    let mut thresholds = [positive, negative].concat();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let from = |v: &[f64], t| v.len() - searchsorted(v, t).0;
    thresholds.into_iter().rev().map(move |t| (from(positive, t), from(negative, t)))
}
