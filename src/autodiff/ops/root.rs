//! Roots of increasing scalar functions, differentiated by the implicit function theorem.
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;

impl<T: Scalar> Var<'_, T> {
    /// `y` with `f(y, p) = x`, entry by entry, for an `f` that increases in `y` from −∞ to ∞;
    /// `dx = dy / f_y`, `dp = −f_p dy / f_y`, by the implicit function theorem.
    ///
    /// The argument `f` returns the value `f(y, p)` and the derivatives `f_y` and `f_p`; the
    /// parameters `p` are broadcast to `x`. The equation is solved to the last bits of `y` by
    /// Newton's method, safeguarded by bisection.
    ///
    /// ```
    /// use bhn::autodiff::{Tape, Tensor};
    /// let tape = Tape::<f64>::default();
    /// let [x, a] = [10., 2.].map(|x| tape.leaf(Tensor::from_elem(&[1][..], x)));
    /// // y³ + a y = x
    /// let y = x.root([a], |y, [a]| (y * y * y + a * y, 3. * y * y + a, [y]));
    /// let f_y = 3. * y.item().powi(2) + 2.;
    /// let (dx, da) = (1. / f_y, -y.item() / f_y);
    /// let grads = y.backward();
    /// assert!((y.item().powi(3) + 2. * y.item() - 10.).abs() < 1e-14);
    /// assert!((grads.wrt(x).unwrap()[0] - dx).abs() < 1e-15);
    /// assert!((grads.wrt(a).unwrap()[0] - da).abs() < 1e-15);
    /// ```
    ///
    /// # Panics
    /// If a parameter does not broadcast to `x`.
    pub fn root<const N: usize>(
        self,
        p: [Self; N],
        f: impl Fn(T, [T; N]) -> (T, T, [T; N]) + 'static,
    ) -> Self {
        let x = self.value();
        let each: [Vec<T>; N] = p.map(|p| match p.value().broadcast(x.raw_dim()) {
            Some(p) => p.iter().copied().collect(),
            None => panic!("root: a parameter {:?} for {:?}", p.shape(), x.shape()),
        });
        let p_at = move |i: usize| each.each_ref().map(|p| p[i]);
        let mut y = self.tape().alloc(x.shape());
        for (i, (y, &x)) in y.as_slice_mut().iter_mut().zip(x.as_slice()).enumerate() {
            let p = p_at(i);
            *y = solve(x, |y| {
                let (f, slope, _) = f(y, p);
                (f, slope)
            });
        }
        let inputs: Vec<_> = [self].into_iter().chain(p).collect();
        Self::record("root", &inputs, y, move |c, sink| {
            let mut of = vec![Tensor::zeros(c.y.shape()); N + 1];
            for (i, (&y, &g)) in c.y.as_slice().iter().zip(c.g.as_slice()).enumerate() {
                let (_, slope, partials) = f(y, p_at(i));
                let all = [T::one()].into_iter().chain(partials.map(|f_p| -f_p));
                for (of, factor) in of.iter_mut().zip(all) {
                    of.as_slice_mut()[i] = factor * g / slope;
                }
            }
            of.into_iter().enumerate().for_each(|(k, g)| sink.add(k, || g));
        })
    }
}

/// `y` with `f(y) = x`, for an `f` that returns its value and its slope. A Newton step is taken if
/// it stays within the bracket and is at most half of the previous step; else the bracket is
/// bisected.
fn solve<T: Scalar>(x: T, f: impl Fn(T) -> (T, T)) -> T {
    let two = T::of(2.);
    let (mut low, mut high, mut width) = (x - T::one(), x + T::one(), T::one());
    while f(low).0 > x {
        width *= two;
        low -= width;
    }
    while f(high).0 < x {
        width *= two;
        high += width;
    }
    let (mut y, mut last) = (x, T::infinity());
    loop {
        let (value, slope) = f(y);
        match value.partial_cmp(&x) {
            Some(std::cmp::Ordering::Greater) => high = y,
            Some(std::cmp::Ordering::Less) => low = y,
            _ => return y,
        }
        let newton = y + (x - value) / slope;
        let step = (newton - y).abs();
        if step <= T::epsilon() * y.abs() {
            return newton;
        }
        let fits = newton >= low && newton <= high && two * step <= last;
        let next = if fits { newton } else { low + (high - low) / two };
        if next == y {
            return y;
        }
        (y, last) = (next, (next - y).abs());
    }
}

crate::gradchecks! {
    root: [[3, 4], [4], [1]] =>
        |[x, a, b]| x.root([a.exp(), b], |y, [a, b]| {
            (y * y * y + a * y + b, 3. * y * y + a, [y, 1.])
        });
}

#[cfg(test)]
mod tests {
    use super::solve;
    use rstest::rstest;
    use std::cell::Cell;

    type Function = fn(f64) -> (f64, f64);

    /// The root, and the number of evaluations of `f`.
    fn counted(x: f64, f: impl Fn(f64) -> (f64, f64)) -> (f64, usize) {
        let count = Cell::new(0);
        let y = solve(x, |y| {
            count.set(count.get() + 1);
            f(y)
        });
        (y, count.get())
    }

    /// `f` is evaluated at both ends of the bracket, at the start, and at the root, which is one
    /// Newton step away.
    #[rstest]
    fn linear_function_takes_four_evaluations(#[values(-1., -0.5, 0.5, 1.)] away: f64) {
        assert_eq!(counted(2., |y| (y - away, 1.)), (2. + away, 4));
    }

    /// `f(y) = x` to rounding, in at most 55 evaluations of `f`: bisection takes 53, and the ends
    /// of the bracket 2.
    #[rstest]
    #[case::slope_of_a_millionth(|y: f64| (1e-6 * y, 1e-6))]
    #[case::steep(|y: f64| (1e9 * y, 1e9))]
    #[case::cube(|y: f64| (y * y * y, 3. * y * y))]
    #[case::nearly_flat_at_zero(|y: f64| {
        let t = y.tanh();
        (y - 0.999_999 * t, 1e-6 + 0.999_999 * t * t)
    })]
    #[case::overflowing(|y: f64| (y.sinh(), y.cosh()))]
    #[case::step(|y: f64| (y + 50. * (1e3 * y).tanh(), 1. + 5e4 / (1e3 * y).cosh().powi(2)))]
    fn roots_are_accurate_within_55_evaluations(
        #[case] f: Function,
        #[values(-1e6, -3., -1e-3, 0., 0.1, 7., 1e5)] x: f64,
    ) {
        let (y, count) = counted(x, f);
        assert!(count <= 55, "{count} evaluations");
        let (value, slope) = f(y);
        // The change of `f` from `y` to the next float, and the rounding of `f` itself.
        let rounding = 4. * f64::EPSILON * (slope * y.abs() + x.abs() + 50.);
        assert!((value - x).abs() <= rounding, "f({y}) = {value}, not {x}");
    }

    /// At a slope of 0 the Newton step is infinite and is rejected.
    #[test]
    fn zero_slope_at_the_start_converges() {
        let (y, _) = counted(7., |y| ((y - 7.).powi(3), 3. * (y - 7.).powi(2)));
        assert!((y - 7. - 7_f64.cbrt()).abs() <= 4. * f64::EPSILON * 9.);
    }

    /// `y + (q − 1) tanh(y) = x`, of slope `q` at 0, solved to the last bits of `y`.
    #[test]
    fn steep_function_is_solved_in_single_precision() {
        for q in [1e3_f32, 1e5, 1e6] {
            for target in [-0.7_f32, -1e-3, 1e-6, 0.3, 0.9] {
                let f = |y: f32| (y + (q - 1.) * y.tanh(), 1. + (q - 1.) * y.cosh().powi(-2));
                let y = solve(f(target).0, f);
                assert!(
                    (y - target).abs() <= 4. * f32::EPSILON * target.abs(),
                    "{q}: {y} {target}"
                );
            }
        }
    }

    #[test]
    fn root_of_nan_is_nan() {
        assert!(solve(f64::NAN, |y| (y, 1.)).is_nan());
    }
}
