//! A gradient check has three verdicts: pass, mismatch, and not checkable at this point.
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
    // The check compares the directional derivative from the tape with finite differences along a
    // random direction. In f64 these are accurate to 10⁻¹⁰; the relative tolerance is 10⁻⁷.
    let x = [randn(&[3, 4], 0)];
    println!("1. d(x²) = 2x dy:");
    let report = gradcheck(&x, |x| square(x[0], 2.));
    print!("{report}");
    assert!(matches!(report.0[..], [Verdict::Pass { error }] if error < 1e-7));

    // A rule that is wrong by 10⁻⁵, which f32 could not distinguish from rounding.
    println!("\n2. d(x²) = 2.00002x dy:");
    let report = gradcheck(&x, |x| square(x[0], 2.00002));
    print!("{report}");
    let [Verdict::Mismatch { tape, differences, .. }] = report.0[..] else {
        panic!("a wrong rule went unnoticed")
    };
    assert!((tape / differences - 1.00001).abs() < 1e-7, "the ratio even tells the wrong factor");

    // |x| has no derivative at 0, so neither a pass nor a mismatch would be justified. The check
    // detects the kink from the differences alone: their one-sided slopes disagree.
    println!("\n3. |x| at 0:");
    let report = gradcheck(&[arr1(&[1., 0., -2.]).into_dyn()], |x| x[0].abs());
    print!("{report}");
    assert!(matches!(report.0[..], [Verdict::NotCheckable { .. }]));

    // Check at another point instead.
    println!("\n4. |x| away from 0:");
    let report = gradcheck(&[arr1(&[1., 0.5, -2.]).into_dyn()], |x| x[0].abs());
    print!("{report}");
    report.assert();
}
