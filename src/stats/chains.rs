//! Convergence of Markov chains and their effective sample size: Vehtari, Gelman, Simpson,
//! Carpenter and Bürkner, "Rank-normalization, folding, and localization: an improved R̂ for
//! assessing convergence of MCMC", Bayesian Analysis 2021.
use super::estimate::{mean, mean_and_variance};
use super::order::{searchsorted, sorted};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate, s};
use statrs::distribution::{ContinuousCDF, Normal};

/// Rank-normalised split `R̂ = √(var⁺/W)` of a scalar quantity, given its draws of shape
/// `[chains, draws]`. `W` is the mean variance within half-chains, and `var⁺` the pooled variance.
/// `R̂` tends to 1 as the chains converge; the paper recommends a value below 1.01.
///
/// The result is the larger of two values: the `R̂` of the draws, and the `R̂` of their absolute
/// deviations from the median, which detects chains that differ in scale. Both are computed from
/// the normal scores of ranks, and need no finite moments. The result is NaN if all draws are
/// equal.
///
/// # Panics
/// If there is no chain, a chain has fewer than four draws, or a draw is NaN.
pub fn rhat(draws: ArrayView2<'_, f64>) -> f64 {
    let (halves, ascending) = halves("rhat", draws);
    let middle = ascending.len() / 2;
    let median = 0.5 * (ascending[middle - 1] + ascending[middle]);
    let folded = halves.mapv(|x| (x - median).abs());
    let all: Vec<_> = folded.iter().copied().collect();
    let folded = normal_scores(&folded, &sorted("rhat: draws", &all));
    let ratio = |z: &Array2<f64>| {
        let (within, total) = variances(z);
        (total / within).sqrt()
    };
    ratio(&normal_scores(&halves, &ascending)).max(ratio(&folded))
}

/// Bulk effective sample size `S / (−1 + 2 Σ_k P_k)` of a scalar quantity, given its draws of shape
/// `[chains, draws]`: the number of independent draws whose mean has the same variance. It is
/// computed from the normal scores of ranks.
///
/// `S` is the number of all draws and `P_k = ρ_{2k} + ρ_{2k+1}` a sum of two autocorrelations. The
/// sum over `k` stops at the first `P_k` that is not positive, and its terms are replaced by their
/// running minimum (Geyer, "Practical Markov chain Monte Carlo", 1992). The result is at most
/// `S log₁₀ S`, and NaN if all draws are equal; the paper recommends at least 100 per chain.
///
/// # Panics
/// If there is no chain, a chain has fewer than four draws, or a draw is NaN.
pub fn ess_bulk(draws: ArrayView2<'_, f64>) -> f64 {
    let (halves, ascending) = halves("ess_bulk", draws);
    if ascending[0] == ascending[ascending.len() - 1] {
        return f64::NAN;
    }
    let z = normal_scores(&halves, &ascending);
    let (length, count) = (z.ncols(), z.len() as f64);
    let (within, total) = variances(&z);
    let means = z.mean_axis(Axis(1)).expect("a draw").insert_axis(Axis(1));
    let z = z - means;
    let rho = |lag: usize| {
        let product = &z.slice(s![.., ..length - lag]) * &z.slice(s![.., lag..]);
        1.0 - (within - product.sum() / count) / total
    };
    // `ρ₀` is 1 by definition; `rho(0)` is not, since `within` is an unbiased variance.
    let (mut even, mut pair) = (1.0, 1.0 + rho(1));
    let (mut tau, mut lag) = (-1.0, 2);
    while pair > 0.0 && lag + 2 < length {
        tau += 2.0 * pair;
        even = rho(lag);
        pair = (even + rho(lag + 1)).min(pair);
        lag += 2;
    }
    // The even autocorrelation of the last pair is added once, which reduces the variance of the
    // estimate. A negative one is added only if the sum of its pair is not negative: then the sum
    // ended because the chain did, not at a negative `P_k`.
    tau += if pair >= 0.0 { even } else { even.max(0.0) };
    count / tau.max(1.0 / count.log10())
}

/// The first and second halves of all chains, of shape `[2 chains, draws/2]`, and the draws in them
/// in ascending order. If the number of draws per chain is odd, the middle draw is left out.
fn halves(name: &str, draws: ArrayView2<'_, f64>) -> (Array2<f64>, Vec<f64>) {
    let (chains, n) = draws.dim();
    assert!(chains > 0 && n > 3, "{name}: draws [{chains}, {n}]: expected chains of 4 or more");
    let halves = [draws.slice(s![.., ..n / 2]), draws.slice(s![.., n - n / 2..])];
    let halves = concatenate(Axis(0), &halves).expect("halves of equal length");
    let all: Vec<_> = halves.iter().copied().collect();
    let ascending = sorted(&format!("{name}: draws"), &all);
    (halves, ascending)
}

/// Normal scores `Φ⁻¹((r − 3/8) / (S + 1/4))` of the ranks `r` (from 1) of `x` among all `S` draws.
/// Tied draws have their average rank.
fn normal_scores(x: &Array2<f64>, ascending: &[f64]) -> Array2<f64> {
    let normal = Normal::standard();
    x.mapv(|x| {
        let (left, right) = searchsorted(ascending, x);
        let rank = 0.5 * (left + 1 + right) as f64;
        normal.inverse_cdf((rank - 0.375) / (ascending.len() as f64 + 0.25))
    })
}

/// The mean variance `W` within the chains `z [C, N]`, and `var⁺ = (N − 1)/N W + B/N`, where `B/N`
/// is the variance of the means of the chains.
fn variances(z: &Array2<f64>) -> (f64, f64) {
    let of = |row: ArrayView1<'_, f64>| mean_and_variance(&row.to_vec());
    let (means, variances): (Vec<f64>, Vec<f64>) = z.outer_iter().map(of).unzip();
    let (within, n) = (mean(&variances), z.ncols() as f64);
    (within, (n - 1.0) / n * within + mean_and_variance(&means).1)
}
