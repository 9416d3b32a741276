//! Is a gradient right? Three answers: yes, no, and "this cannot be told here".
//!
//! `cargo run --release --example 03_gradcheck`
use bhn::autodiff::Var;
use bhn::autodiff::gradcheck::{Verdict, gradcheck, randn};
use ndarray::arr1;

/// `y = x²`; `dx = factor · x dy`, which is right for `factor = 2`.
fn square(x: Var<'_, f64>, factor: f64) -> Var<'_, f64> {
    let y = x.value().mapv(|x| x * x);
    Var::record("square", &[x], y, move |c, sink| sink.add(0, || c.x(0) * c.g * factor))
}

fn main() {
    // The check moves the input by ±t v along a random direction v, and compares the slope of what
    // comes out with what the tape says. It works in f64, where differences are good to 10⁻¹⁰, so
    // a tolerance of 10⁻⁷ leaves no room for a rule that is only nearly right.
    let x = [randn(&[3, 4], 0)];
    println!("1. d(x²) = 2x dy:");
    let report = gradcheck(&x, |x| square(x[0], 2.));
    print!("{report}");
    assert!(matches!(report.0[..], [Verdict::Pass { error }] if error < 1e-7));

    // A rule wrong by one part in a hundred thousand, which f32 could not tell from rounding.
    println!("\n2. d(x²) = 2.00002x dy:");
    let report = gradcheck(&x, |x| square(x[0], 2.00002));
    print!("{report}");
    let [Verdict::Mismatch { tape, differences, .. }] = report.0[..] else {
        panic!("a wrong rule went unnoticed")
    };
    assert!((tape / differences - 1.00001).abs() < 1e-7, "the ratio even tells the wrong factor");

    // |x| at 0 has no derivative. The slopes to the left and to the right differ, so differences
    // are worth nothing there, and it would be wrong to pass or to blame the rule. The differences
    // notice by themselves: their one-sided slopes disagree, whatever the rule says.
    println!("\n3. |x| at 0:");
    let report = gradcheck(&[arr1(&[1., 0., -2.]).into_dyn()], |x| x[0].abs());
    print!("{report}");
    assert!(matches!(report.0[..], [Verdict::NotCheckable { .. }]));

    // The remedy is another point.
    println!("\n4. |x| away from 0:");
    let report = gradcheck(&[arr1(&[1., 0.5, -2.]).into_dyn()], |x| x[0].abs());
    print!("{report}");
    report.assert();
}
