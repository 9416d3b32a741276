//! 3. An elementwise function with its rule.
use bhn::autodiff::Var;

/// `y = x / (1 + |x|)`; `dx = (1 − |y|)² dy`.
pub fn softsign(x: Var<'_, f64>) -> Var<'_, f64> {
    let y = x.value().mapv(|x| x / (1. + x.abs()));
    Var::record("softsign", &[x], y, |c, sink| {
        sink.add(0, || c.g * c.y.mapv(|y| (1. - y.abs()).powi(2)));
    })
}
