//! Does a score put examples into the right order? Only the order of scores counts, and ties count as
//! what they are. Everywhere a **higher score says "positive"**.
use super::Estimate;
use crate::stats::{below_and_upto, check_order, mean, mean_and_variance, sorted};
use serde::{Deserialize, Serialize};

/// `P(x > y) + ½ P(x = y)` for a positive `x` and a negative `y`: the area under the ROC curve, for
/// scores `[P]`, `[N]` of which a higher one says "positive".
///
/// With `Vₓ` the share of negatives below the positive `x`, and `V_y` the share of positives below the
/// negative `y`, ties half, the value is `mean Vₓ` and the error `√(var Vₓ/P + var V_y/N)`, variances
/// unbiased (DeLong, DeLong and Clarke-Pearson 1988); it is NaN if there is but one of a kind.
///
/// # Panics
/// If there is no positive or no negative, or a score is NaN.
pub fn auroc(positive: &[f64], negative: &[f64]) -> Estimate {
    let (p, n) = both("auroc", positive, negative);
    let shares_below = |of: &[f64], among: &[f64]| -> Vec<f64> {
        let share = |&x: &f64| {
            let (below, upto) = below_and_upto(among, x);
            0.5 * (below + upto) as f64 / among.len() as f64
        };
        of.iter().map(share).collect()
    };
    let (value, positives) = mean_and_variance(&shares_below(&p, &n));
    let (_, negatives) = mean_and_variance(&shares_below(&n, &p));
    Estimate { value, error: (positives / p.len() as f64 + negatives / n.len() as f64).sqrt() }
}

/// `Σ_t (R_t − R_{t−1}) P_t` with precision `P_t` and recall `R_t` of "positive if the score is `t` or
/// more", over the distinct scores `t` from the highest: the area under the precision-recall curve in
/// steps, which scikit-learn calls average precision. For scores `[P]`, `[N]` of which a higher one
/// says "positive". It depends on `P/N`: a score that says nothing has `P/(P + N)`.
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

/// The share of negatives taken for positives at the highest threshold `t` at which "positive if the
/// score is `t` or more" finds at least the share `tpr` of the positives. For scores `[P]`, `[N]` of
/// which a higher one says "positive".
///
/// # Panics
/// If there is no positive or no negative, a score is NaN, or `tpr` is not in `(0, 1]`.
pub fn fpr_at_tpr(positive: &[f64], negative: &[f64], tpr: f64) -> f64 {
    let (p, n) = both("fpr_at_tpr", positive, negative);
    assert!(tpr > 0.0 && tpr <= 1.0, "fpr_at_tpr: tpr {tpr} is not in (0, 1]");
    let enough = |&(tp, _): &(usize, usize)| tp as f64 / p.len() as f64 >= tpr;
    let (_, fp) = counts(&p, &n).find(enough).expect("the lowest threshold finds all");
    fp as f64 / n.len() as f64
}

/// How well an uncertainty tells examples outside of the distribution from those in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The chance that an outside example has the higher uncertainty; [`auroc`] either way round.
    pub auroc: Estimate,
    /// [`aupr`] with inside examples as positives: AUPR+ of the paper.
    pub aupr_in: f64,
    /// [`aupr`] with outside examples as positives: AUPR− of the paper.
    pub aupr_out: f64,
    /// The share of outside examples taken in where 95 % of the inside ones are.
    pub fpr95: f64,
}

impl Detection {
    /// From uncertainties `inside [I]` and `outside [O]` of the distribution, higher ones of examples
    /// that are less certain.
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

/// `(1/k) Σ` of the losses of the `k` most certain examples, for `k` from 1 to `N`: the risk at coverage
/// `k/N` (Geifman and El-Yaniv 2017), for `uncertainty [N]` and a `loss [N]`, 1 for a mistake and 0
/// otherwise or any other. The last entry is the risk of all. Examples of one uncertainty count with
/// their mean loss, the expectation over their orders.
///
/// # Panics
/// If there is no example, the lengths differ, or an uncertainty is NaN.
pub fn risk_coverage(uncertainty: &[f64], loss: &[f64]) -> Vec<f64> {
    let n = uncertainty.len();
    assert!(n == loss.len(), "risk_coverage: uncertainty [{n}], loss [{}]", loss.len());
    check_order("risk_coverage: uncertainty", uncertainty);
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

/// The mean of the [`risk_coverage`] curve, which is the area under it: a model is better that knows
/// on which examples it errs, as well as one that errs less.
///
/// # Panics
/// As [`risk_coverage`].
pub fn aurc(uncertainty: &[f64], loss: &[f64]) -> f64 {
    mean(&risk_coverage(uncertainty, loss))
}

/// Both in ascending order.
fn both(name: &str, positive: &[f64], negative: &[f64]) -> (Vec<f64>, Vec<f64>) {
    assert!(!positive.is_empty(), "{name}: no positive example");
    assert!(!negative.is_empty(), "{name}: no negative example");
    (sorted(&format!("{name}: positive"), positive), sorted(&format!("{name}: negative"), negative))
}

/// How many positives and how many negatives have a score of `t` or more, for each distinct `t` from
/// the highest; both ascending.
fn counts(positive: &[f64], negative: &[f64]) -> impl Iterator<Item = (usize, usize)> {
    let mut thresholds = [positive, negative].concat();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let from = |v: &[f64], t| v.len() - below_and_upto(v, t).0;
    thresholds.into_iter().rev().map(move |t| (from(positive, t), from(negative, t)))
}
