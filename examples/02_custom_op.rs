//! A custom operation: its value, its backward rule, and a gradient check of the rule.
//!
//! `cargo run --release --example 02_custom_op`
use bhn::autodiff::gradcheck::{gradcheck, randn};
use bhn::autodiff::{Tape, Var};
use ndarray::arr1;

/// `y = ln(eᵃ + eᵇ)`, broadcast and without overflow; `da = eᵃ⁻ʸ dy`, `db = eᵇ⁻ʸ dy`.
fn log_add_exp<'t>(a: Var<'t, f64>, b: Var<'t, f64>) -> Var<'t, f64> {
    // The value, with ndarray: b + ln(1 + eᵈ), d = a − b, arranged so that exponents are negative.
    let d = &a.value() - &b.value();
    let y = &b.value() + d.mapv(|d| d.max(0.) + (-d.abs()).exp().ln_1p());
    // The rule reads dy = `c.g`, y = `c.y` and the inputs `c.x(k)`, and adds one contribution per
    // input to the sink. The sink sums over broadcast axes, accumulates over consumers, and skips
    // constants.
    Var::record("log_add_exp", &[a, b], y, |c, sink| {
        sink.add(0, || (c.x(0) - c.y).mapv(f64::exp) * c.g);
        sink.add(1, || (c.x(1) - c.y).mapv(f64::exp) * c.g);
    })
}

fn main() {
    // Composed from existing operations, it overflows.
    let tape = Tape::default();
    let a = tape.leaf(arr1(&[0., 1000.]).into_dyn());
    let b = tape.leaf(arr1(&[0.]).into_dyn());
    let composed = (a.exp() + b.exp()).ln();
    let ours = log_add_exp(a, b);
    println!("composed: {:.4}", composed.value());
    println!("ours:     {:.4}", ours.value());
    assert!(composed.value()[1].is_infinite() && ours.value()[1] == 1000.);

    // It is differentiable like any other operation. The gradients are softmax weights: 1/2 and 1/2
    // for the first pair, 1 and 0 for the second. `b` was broadcast over both, so its gradient is
    // the sum 1/2 + 0.
    let grads = ours.sum().backward();
    let (da, db) = (grads.wrt(a).expect("used"), grads.wrt(b).expect("used"));
    println!("da = {da}, db = {db}");
    assert_eq!((da[0], da[1], db[0]), (0.5, 1., 0.5));

    // Compare the rule with finite differences along random directions, at a random point, with `b`
    // broadcast over rows.
    let report = gradcheck(&[randn(&[3, 4], 0), randn(&[4], 1)], |x| log_add_exp(x[0], x[1]));
    print!("{report}");
    report.assert();
}
