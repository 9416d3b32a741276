//! 1. What is repeated forward is summed backward.

/// `zᵢⱼ = aᵢ bⱼ`: `z[i][j]` for `a` of length `m` and `b` of length `n`. This part is done.
pub fn outer(a: &[f64], b: &[f64]) -> Vec<Vec<f64>> {
    a.iter().map(|a| b.iter().map(|b| a * b).collect()).collect()
}

/// The backward rule: the gradients of a loss `L` with respect to `a` and `b`, as `(da, db)`, from
/// `dz[i][j] = ∂L/∂zᵢⱼ`.
///
/// `aᵢ` is repeated along row `i` of `z`, and `bⱼ` along column `j`. By the chain rule, the
/// gradient of `aᵢ` is the sum of `∂L/∂zᵢⱼ · ∂zᵢⱼ/∂aᵢ` over all entries of `z` in which it occurs.
pub fn outer_backward(a: &[f64], b: &[f64], dz: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    todo!("return one gradient for each entry of a, and one for each entry of b")
}
