//! Gradient checks and their three verdicts: pass, mismatch, and not checkable.
//!
//! `cargo run --release --example 03_gradcheck`
use bhn::autodiff::Var;
use bhn::autodiff::gradcheck::{Verdict, gradcheck, randn};
use ndarray::arr1;

/// `y = x²`; `dx = factor · x dy`, which is correct for `factor = 2`.
fn square(x: Var<'_, f64>, factor: f64) -> Var<'_, f64> {
    let y = x.value().mapv(|x| x * x);
    Var::record("square", &[x], y, move |c, sink| sink.add(0, || c.x(0) * c.g * factor))
}

fn main() {
    // The check moves the input by ±t v along a random direction v, and compares the slope of the
    // output with the tape's gradient along v. In f64, finite differences are accurate to 10⁻¹⁰, so
    // a tolerance of 10⁻⁷ detects small errors.
    let x = [randn(&[3, 4], 0)];
    println!("1. d(x²) = 2x dy:");
    let report = gradcheck(&x, |x| square(x[0], 2.));
    print!("{report}");
    assert!(matches!(report.0[..], [Verdict::Pass { error }] if error < 1e-7));

    // A rule with a relative error of 10⁻⁵, which f32 could not distinguish from rounding.
    println!("\n2. d(x²) = 2.00002x dy:");
    let report = gradcheck(&x, |x| square(x[0], 2.00002));
    print!("{report}");
    let [Verdict::Mismatch { tape, differences, .. }] = report.0[..] else {
        panic!("the wrong rule passed")
    };
    assert!((tape / differences - 1.00001).abs() < 1e-7, "the ratio is that of the factors");

    // |x| has no derivative at 0: its slopes from the left and from the right differ, so finite
    // differences can neither confirm nor refute a rule. The check detects this from the
    // differences alone: the one-sided slopes disagree.
    println!("\n3. |x| at 0:");
    let report = gradcheck(&[arr1(&[1., 0., -2.]).into_dyn()], |x| x[0].abs());
    print!("{report}");
    assert!(matches!(report.0[..], [Verdict::NotCheckable { .. }]));

    // At another point the gradient can be checked.
    println!("\n4. |x| away from 0:");
    let report = gradcheck(&[arr1(&[1., 0.5, -2.]).into_dyn()], |x| x[0].abs());
    print!("{report}");
    report.assert();
}
