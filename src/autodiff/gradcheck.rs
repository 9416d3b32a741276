//! Gradient checks: the tape against finite differences, in `f64`, along random directions.
//!
//! Let `dₖ` be the tape's gradient of `⟨u, f(x)⟩` with respect to input `k`, for a random cotangent
//! `u`. Along random directions `v` of this input, the check compares `⟨dₖ, v⟩` with
//! `d/dt ⟨u, f(…, xₖ + t v, …)⟩`, estimated by finite differences. Every input has a second
//! consumer, to catch a rule that overwrites a gradient instead of adding to it. This consumer is
//! recorded last, so its rule runs first.
//!
//! The differences estimate their own error, independently of the rule under test. With `fₙ` for
//! the value of `⟨u, f⟩` at `t = n h`, the estimate is `D₄(h) = (8 (f₁ − f₋₁) − (f₂ − f₋₂)) / 12h`,
//! with an error of `h⁴f⁽⁵⁾/30`. A kink near `x` makes `D₄(h)` and `D₄(h/2)` differ; a kink at `x`
//! leaves a jump between the one-sided slopes. If the estimated error exceeds the tolerance, the
//! gradient is reported as not checkable.
use crate::autodiff::{Owned, Tape, Var};
use ndarray::Zip;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rand_distr::{Distribution, StandardNormal};
use std::fmt;

/// The tolerated error, relative to the norm of the input's gradient.
pub const TOLERANCE: f64 = 1e-7;
const STEP: f64 = 1e-4;
/// The number of random directions for each input.
const DIRECTIONS: u64 = 2;

/// The result for one input, along its worst direction.
///
/// ```
/// use bhn::autodiff::gradcheck::{Verdict, gradcheck};
/// use bhn::autodiff::Owned;
/// let at = |x: f64| gradcheck(&[Owned::from_elem(&[1][..], x)], |x| x[0].abs()).0[0];
/// assert!(matches!(at(1.), Verdict::Pass { .. }));
/// // A kink, where the rule's sign(0) = 0 agrees with central differences by symmetry alone.
/// assert!(matches!(at(0.), Verdict::NotCheckable { .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Tape and differences agree within [`TOLERANCE`], or both are exactly zero and there is no
    /// kink.
    Pass {
        /// How far the two differ, relative to the gradient's norm.
        error: f64,
    },
    /// Tape and differences disagree.
    Mismatch {
        /// The index of the random direction.
        direction: u64,
        /// The directional derivative by the tape.
        tape: f64,
        /// The directional derivative by differences.
        differences: f64,
        /// How far the two differ, relative to the gradient's norm.
        error: f64,
    },
    /// The differences are too inaccurate: there is a kink within the step, or the gradient is lost
    /// in the rounding of far larger values.
    NotCheckable {
        /// The differences' estimate of their error, relative to the gradient's norm.
        roughness: f64,
    },
}

impl Verdict {
    /// Orders verdicts from best to worst.
    fn severity(&self) -> (u8, f64) {
        match *self {
            Self::Pass { error } => (0, error),
            Self::NotCheckable { roughness } => (1, roughness),
            Self::Mismatch { error, .. } => (2, error),
        }
    }
}

/// A [`Verdict`] for each input. `{report}` prints one line for each.
///
/// ```should_panic
/// use bhn::autodiff::gradcheck::{gradcheck, randn};
/// use bhn::autodiff::Var;
/// /// `2x`; wrongly `dx = 3 dy`.
/// fn wrong(x: Var<'_, f64>) -> Var<'_, f64> {
///     Var::record("wrong", &[x], x.value().mapv(|x| 2. * x), |c, sink| sink.add(0, || c.g * 3.))
/// }
/// gradcheck(&[randn(&[4], 0)], |x| wrong(x[0])).assert();
/// ```
#[derive(Clone, Debug)]
#[must_use = "call `.assert()`, or read the verdicts"]
pub struct Report(pub Vec<Verdict>);

impl Report {
    /// Whether every input passed.
    pub fn passed(&self) -> bool {
        self.0.iter().all(|v| matches!(v, Verdict::Pass { .. }))
    }

    /// Panic with the report unless every input passed.
    ///
    /// # Panics
    /// Unless every input passed.
    pub fn assert(&self) {
        assert!(self.passed(), "gradient check failed\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, verdict) in self.0.iter().enumerate() {
            match verdict {
                Verdict::Pass { error } => {
                    writeln!(f, "input {k}: pass, relative error {error:.1e}")
                }
                Verdict::Mismatch { direction, tape, differences, error } => writeln!(
                    f,
                    "input {k}: MISMATCH along direction {direction}: tape {tape:e}, differences \
                     {differences:e}, relative error {error:.1e} > {TOLERANCE:.0e}"
                ),
                Verdict::NotCheckable { roughness } => writeln!(
                    f,
                    "input {k}: not checkable: the differences' own relative error is \
                     {roughness:.1e} (a kink within the step, or a gradient lost in rounding)"
                ),
            }?;
        }
        Ok(())
    }
}

/// Standard normal entries, seeded.
pub fn randn(shape: &[usize], seed: u64) -> Owned<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Owned::from_shape_simple_fn(shape, || StandardNormal.sample(&mut rng))
}

/// Check the gradients of `f` at `xs`. The output may have any shape.
///
/// ```
/// use bhn::autodiff::gradcheck::{gradcheck, randn};
/// let report = gradcheck(&[randn(&[3, 4], 0), randn(&[4], 1)], |x| (x[0] * x[1]).tanh());
/// assert!(report.passed(), "{report}");
/// ```
///
/// # Panics
/// If `f` panics, or its output changes shape between calls.
pub fn gradcheck(xs: &[Owned<f64>], f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>) -> Report {
    let run = |xs: &[Owned<f64>]| {
        let tape = Tape::default();
        let x: Vec<_> = xs.iter().map(|x| tape.leaf(x.clone())).collect();
        f(&x).value()
    };
    let y = run(xs);
    let u = randn(y.shape(), 99);
    let weighted = |y: &[f64]| y.iter().zip(&u).map(|(y, u)| y * u).sum::<f64>();
    let size: f64 = y.iter().zip(&u).map(|(y, u)| (y * u).abs()).sum();

    let tape = Tape::default();
    let x: Vec<_> = xs.iter().map(|x| tape.leaf(x.clone())).collect();
    let mut loss = (f(&x) * tape.constant(u.clone())).sum();
    // The second consumer's gradient is as large as that of `f`: neither is lost in their sum.
    let alone = loss.backward();
    let norm = |x| alone.wrt(x).map_or(0., |g| g.iter().map(|g| g * g).sum::<f64>().sqrt());
    let scale_of = |x| Some(norm(x)).filter(|n| n.is_normal()).unwrap_or(1.);
    let second: Vec<_> =
        (200..).zip(&x).map(|(k, &x)| randn(&x.shape(), k) * scale_of(x)).collect();
    for (&x, w) in x.iter().zip(&second) {
        loss = loss + (x * tape.constant(w.clone())).sum();
    }
    let grads = loss.backward();

    let verdict = |k: usize| {
        let added = grads.wrt(x[k]).expect("every input has a second consumer") - &second[k];
        // A rule writes the first contribution to a gradient and adds later ones: both are checked.
        let gradients = [Some(added.view()), alone.wrt(x[k]).map(|g| g.view())];
        let norm = added.iter().map(|g| g * g).sum::<f64>().sqrt();
        let along = |direction: u64| {
            let v = randn(xs[k].shape(), 300 + 10 * k as u64 + direction);
            let at = |t: f64| {
                let mut moved = xs.to_vec();
                Zip::from(&mut moved[k]).and(&v).for_each(|x, v| *x += t * STEP * v);
                weighted(run(&moved).as_slice())
            };
            let tapes = gradients.clone().map(|g| g.map_or(0., |g| (&g * &v).sum()));
            let [f0, fine, one, two] = [0., 0.5, 1., 2.].map(|t| [at(t), at(-t)]);
            let d4 =
                |a: [f64; 2], b: [f64; 2], h: f64| (8. * (a[0] - a[1]) - (b[0] - b[1])) / 12. / h;
            let differences = d4(one, two, STEP);
            let jump = |f: [f64; 2], h: f64| (f[0] - 2. * f0[0] + f[1]) / h;
            let kink = (differences - d4(fine, one, STEP / 2.)).abs()
                + (2. * jump(fine, STEP / 2.) - jump(one, STEP)).abs();
            let rounding = 16. * f64::EPSILON * size / STEP;
            let scale = norm.max(differences.abs());
            let [added, written] = tapes.map(|tape| (tape - differences).abs());
            let is_added = added.is_nan() || added >= written;
            let (tape, error) = if is_added { (tapes[0], added) } else { (tapes[1], written) };
            // At the kink of |x|, tape and differences are both 0 by symmetry.
            if scale == 0. && kink <= TOLERANCE {
                Verdict::Pass { error: 0. }
            } else if kink + rounding > TOLERANCE * scale {
                Verdict::NotCheckable { roughness: (kink + rounding) / scale }
            } else if error <= TOLERANCE * scale {
                Verdict::Pass { error: error / scale }
            } else {
                Verdict::Mismatch { direction, tape, differences, error: error / scale }
            }
        };
        let worst = |a: Verdict, b: Verdict| if b.severity() > a.severity() { b } else { a };
        (0..DIRECTIONS).map(along).reduce(worst).expect("at least one direction")
    };
    Report((0..xs.len()).map(verdict).collect())
}

/// A function to be checked at random inputs: one line of [`gradchecks!`](crate::gradchecks).
#[derive(Clone, Copy)]
pub struct Case {
    /// The name of the test.
    pub name: &'static str,
    /// The shapes of the inputs.
    pub shapes: &'static [&'static [usize]],
    /// The function.
    pub f: for<'t> fn(&[Var<'t, f64>]) -> Var<'t, f64>,
}

impl Case {
    /// Check the function at inputs `~ N(0, 1)`.
    pub fn check(&self) -> Report {
        let xs: Vec<_> = self.shapes.iter().zip(1..).map(|(s, seed)| randn(s, seed)).collect();
        gradcheck(&xs, self.f)
    }
}

/// A module `gradchecks` with one gradient check for each line
/// `name: [shapes of the inputs] => |[inputs]| output;`. Each check is a test, and a [`Case`] in
/// `ALL`.
#[macro_export]
macro_rules! gradchecks {
    ($($name:ident: [$($shape:expr),*] => |$x:pat_param| $y:expr;)*) => {
        #[allow(dead_code)]
        pub(crate) mod gradchecks {
            #[allow(unused_imports)]
            use super::*;
            use $crate::autodiff::gradcheck::Case;
            pub const ALL: &[Case] = &[$(Case {
                name: stringify!($name),
                shapes: &[$(&$shape),*],
                f: |x| {
                    let $x = *<&[_; [$(stringify!($shape)),*].len()]>::try_from(x).expect("fits");
                    $y
                },
            }),*];
            #[cfg(test)]
            mod tests {
                $(#[test]
                fn $name() {
                    let case = super::ALL.iter().find(|case| case.name == stringify!($name));
                    case.expect("listed above").check().assert();
                })*
            }
        }
    };
}
