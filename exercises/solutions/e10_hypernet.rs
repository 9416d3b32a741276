//! 10. The paper's layer, for several samples of its scales.
use bhn::autodiff::Var;

/// `g ⊙ (V x)/‖V‖ + b`: the product `V x` is shared across samples.
pub fn layer<'t>(
    v: Var<'t, f64>,
    b: Var<'t, f64>,
    g: Var<'t, f64>,
    x: Var<'t, f64>,
) -> Var<'t, f64> {
    let (samples, units) = (g.shape()[0], g.shape()[1]);
    x.matmul_t(v) * (g / v.row_norms()).reshape(&[samples, 1, units]) + b
}
