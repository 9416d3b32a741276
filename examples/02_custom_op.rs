//! A custom operation: its value, its backward rule, and a gradient check.
//!
//! `cargo run --release --example 02_custom_op`
use bhn::autodiff::gradcheck::{gradcheck, randn};
use bhn::autodiff::{Tape, Var};
use ndarray::arr1;

/// `y = ln(eᵃ + eᵇ)`, broadcast and without overflow; `da = eᵃ⁻ʸ dy`, `db = eᵇ⁻ʸ dy`.
fn log_add_exp<'t>(a: Var<'t, f64>, b: Var<'t, f64>) -> Var<'t, f64> {
    // The value, by ndarray alone: b + ln(1 + eᵈ) with d = a − b, rewritten so that no exponent is
    // positive.
    let d = &a.value() - &b.value();
    let y = &b.value() + d.mapv(|d| d.max(0.) + (-d.abs()).exp().ln_1p());
    // The rule reads dy = `c.g`, y = `c.y` and the inputs `c.x(k)`, and adds a contribution for
    // each input to the sink. The sink sums it over the axes along which the input was broadcast,
    // and adds it to the contributions of other consumers. Contributions to constants are skipped.
    Var::record("log_add_exp", &[a, b], y, |c, sink| {
        sink.add(0, || (c.x(0) - c.y).mapv(f64::exp) * c.g);
        sink.add(1, || (c.x(1) - c.y).mapv(f64::exp) * c.g);
    })
}

fn main() {
    // Composed of existing operations, the same function overflows.
    let tape = Tape::default();
    let a = tape.leaf(arr1(&[0., 1000.]));
    let b = tape.leaf(arr1(&[0.]));
    let composed = (a.exp() + b.exp()).ln();
    let ours = log_add_exp(a, b);
    println!("composed: {:.4}", composed.value());
    println!("ours:     {:.4}", ours.value());
    assert!(composed.value()[1].is_infinite() && ours.value()[1] == 1000.);

    // The gradients are the weights of a softmax: 1/2 and 1/2 for the first pair, 1 and 0 for the
    // second. `b` was broadcast to both, so its gradient is the sum 1/2 + 0.
    let grads = ours.sum().backward();
    let (da, db) = (grads.wrt(a).expect("used"), grads.wrt(b).expect("used"));
    println!("da = {da}, db = {db}");
    assert_eq!((da[0], da[1], db[0]), (0.5, 1., 0.5));

    // Three correct values are little evidence. The gradient check compares the rule with finite
    // differences along random directions at a random point, here with `b` broadcast over rows.
    let report = gradcheck(&[randn(&[3, 4], 0), randn(&[4], 1)], |x| log_add_exp(x[0], x[1]));
    print!("{report}");
    report.assert();
}
