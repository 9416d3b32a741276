//! Have Markov chains met, and how much do their draws tell? Vehtari, Gelman, Simpson, Carpenter and
//! Bürkner, "Rank-normalization, folding, and localization: an improved R̂", Bayesian Analysis 2021.
use super::{below_and_upto, mean, mean_and_variance, sorted};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate, s};
use statrs::distribution::{ContinuousCDF, Normal};

/// Rank-normalised split `R̂` of one quantity's `draws [chains, draws]`: `√(var⁺/W)`, with `W` the
/// mean variance within the chains' halves and `var⁺` that of all draws together, is 1 once the chains
/// have met; the paper asks for less than 1.01. It is the larger of that of the draws and that of
/// their distances from the median, which sees chains that differ in width alone. Each is taken of
/// normal scores of ranks and so exists without moments too.
///
/// NaN if all draws are equal.
///
/// # Panics
/// If there is no chain, a chain has fewer than four draws, or one is NaN.
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

/// How many independent draws would give the mean of `draws [chains, draws]` as well, judged by
/// normal scores of ranks (bulk-ESS): `S / (−1 + 2 Σ_k P_k)` over all `S` draws, with
/// `P_k = ρ_{2k} + ρ_{2k+1}` sums of two autocorrelations, up to the first that is not positive and
/// each no more than the one before (Geyer 1992). At most `S log₁₀ S`. The paper asks for 100 a chain.
///
/// NaN if all draws are equal.
///
/// # Panics
/// If there is no chain, a chain has fewer than four draws, or one is NaN.
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
    // `ρ₀` is 1, though `within` is by the unbiased variance.
    let (mut even, mut pair) = (1.0, 1.0 + rho(1));
    let (mut tau, mut lag) = (-1.0, 2);
    while pair > 0.0 && lag + 2 < length {
        tau += 2.0 * pair;
        even = rho(lag);
        pair = (even + rho(lag + 1)).min(pair);
        lag += 2;
    }
    // Of the pair that ends the sum the even one counts once, which lessens the variance. If it is
    // negative, only in a pair that is not: then the chain ended, and not the positive pairs.
    tau += if pair >= 0.0 { even } else { even.max(0.0) };
    count / tau.max(1.0 / count.log10())
}

/// Both halves of each chain as chains, `[2 chains, draws/2]`, without the middle draw of an odd
/// number; and all these draws in ascending order.
fn halves(name: &str, draws: ArrayView2<'_, f64>) -> (Array2<f64>, Vec<f64>) {
    let (chains, n) = draws.dim();
    assert!(chains > 0 && n > 3, "{name}: draws [{chains}, {n}]: a chain of 4 or more expected");
    let halves = [draws.slice(s![.., ..n / 2]), draws.slice(s![.., n - n / 2..])];
    let halves = concatenate(Axis(0), &halves).expect("two halves of one length");
    let all: Vec<_> = halves.iter().copied().collect();
    let ascending = sorted(&format!("{name}: draws"), &all);
    (halves, ascending)
}

/// `Φ⁻¹((r − 3/8) / (S + 1/4))` for the ranks `r` of `x` among all `S`, 1 the lowest; those of ties
/// are averaged.
fn normal_scores(x: &Array2<f64>, ascending: &[f64]) -> Array2<f64> {
    let normal = Normal::standard();
    x.mapv(|x| {
        let (below, upto) = below_and_upto(ascending, x);
        let rank = 0.5 * (below + 1 + upto) as f64;
        normal.inverse_cdf((rank - 0.375) / (ascending.len() as f64 + 0.25))
    })
}

/// `W`, the mean variance within the chains `z [C, N]`, and `var⁺ = (N − 1)/N W + var of their means`.
fn variances(z: &Array2<f64>) -> (f64, f64) {
    let of = |row: ArrayView1<'_, f64>| mean_and_variance(&row.to_vec());
    let (means, variances): (Vec<f64>, Vec<f64>) = z.outer_iter().map(of).unzip();
    let (within, n) = (mean(&variances), z.ncols() as f64);
    (within, (n - 1.0) / n * within + mean_and_variance(&means).1)
}
