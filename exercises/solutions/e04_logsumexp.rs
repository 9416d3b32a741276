//! 4. A sum of exponentials that does not overflow.
use bhn::autodiff::{Owned, Var};

/// `y = ln Σₖ exp(xₖ)` for `x [n]`; `dxₖ = exp(xₖ − y) dy`.
pub fn log_sum_exp(x: Var<'_, f64>) -> Var<'_, f64> {
    let value = x.value();
    let max = value.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let y = max + value.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    Var::record("log_sum_exp", &[x], Owned::from_elem(vec![], y), |c, sink| {
        sink.add(0, || c.x(0).mapv(|x| (x - c.y[[]]).exp() * c.g[[]]));
    })
}
