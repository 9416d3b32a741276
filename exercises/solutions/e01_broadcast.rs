//! 1. What is repeated forward is summed backward.

/// `zᵢⱼ = aᵢ bⱼ`: `z[i][j]` for `a` of length `m` and `b` of length `n`.
pub fn outer(a: &[f64], b: &[f64]) -> Vec<Vec<f64>> {
    a.iter().map(|a| b.iter().map(|b| a * b).collect()).collect()
}

/// `daᵢ = Σⱼ dzᵢⱼ bⱼ`, `dbⱼ = Σᵢ dzᵢⱼ aᵢ`.
pub fn outer_backward(a: &[f64], b: &[f64], dz: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let da = |i: usize| (0..b.len()).map(|j| dz[i][j] * b[j]).sum();
    let db = |j: usize| (0..a.len()).map(|i| dz[i][j] * a[i]).sum();
    ((0..a.len()).map(da).collect(), (0..b.len()).map(db).collect())
}
