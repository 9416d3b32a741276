//! 10. The paper's layer, for several samples of its scales.
use bhn::autodiff::Var;

/// `y[s][i][j] = g[s][j] (vⱼ · xᵢ)/‖vⱼ‖ + b[j]`, with shape `[S, B, n]`, for directions `v [n, k]`
/// (row `vⱼ` for each of `n` units), biases `b [n]`, `S` samples of the scales `g [S, n]`, and a
/// minibatch of inputs `x [B, k]`.
///
/// Operations on `Var` record their rules, so only the value has to be written, without loops:
/// `x.matmul_t(v)` is `X Vᵀ`, of shape `[B, n]`; `v.row_norms()` is `‖vⱼ‖`, of shape `[n]`;
/// `a.reshape(&[2, 1, 4])` has the entries of `a` in another shape; `g.shape()[0]` is `S`; and
/// `+ − * /` broadcast. The grader uses `S = 2`, `B = 5`, `n = 4` and `k = 3`.
pub fn layer<'t>(
    v: Var<'t, f64>,
    b: Var<'t, f64>,
    g: Var<'t, f64>,
    x: Var<'t, f64>,
) -> Var<'t, f64> {
    todo!("compute the product of x and v once, and scale it differently for each sample")
}
