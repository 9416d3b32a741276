//! 10. The paper's layer, for several samples of its scales.
use bhn::autodiff::Var;

/// `g ⊙ (V x)/‖V‖ + b` for directions `v [n, k]`, biases `b [n]`, samples of scales `g [S, n]` and
/// inputs `x [B, k]`, giving `[S, B, n]`.
///
/// `x.matmul_t(v)` is `x Vᵀ`, `v.row_norms()` is `‖vⱼ‖`, `[n]`, and `a.reshape(&[…])` makes room for
/// an axis along which `a` is repeated.
pub fn layer<'t>(
    v: Var<'t, f64>,
    b: Var<'t, f64>,
    g: Var<'t, f64>,
    x: Var<'t, f64>,
) -> Var<'t, f64> {
    let _ = (v, b, g, x);
    todo!("compute x Vᵀ once, and scale it for each sample")
}
