//! Functions of one number, entry by entry.
use super::map;
use crate::autodiff::{Cotangent, Tensor, Var};
use crate::kernels::scalar::Scalar;

impl<'t, T: Scalar> Var<'t, T> {
    // ANCHOR: unary
    /// `y = f(x)`; `dx = rule(c)` for the cotangent `c`.
    fn unary(
        self,
        name: &'static str,
        f: impl Fn(T) -> T + Sync,
        rule: impl Fn(&Cotangent<'_, T>) -> Tensor<T> + 'static,
    ) -> Self {
        let y = map(self.tape().memory(), &self.value(), f);
        Self::record(name, &[self], y, move |c, sink| sink.add(0, || rule(c)))
    }
    // ANCHOR_END: unary

    /// `eˣ`; `dx = y dy`.
    pub fn exp(self) -> Self {
        self.unary("exp", T::exp, |c| c.zip(c.y, |dy, y| dy * y))
    }

    /// `ln x`; `dx = dy / x`.
    pub fn ln(self) -> Self {
        self.unary("ln", T::ln, |c| c.zip(c.x(0), |dy, x| dy / x))
    }

    /// `√x`; `dx = dy / 2y`.
    pub fn sqrt(self) -> Self {
        self.unary("sqrt", T::sqrt, |c| c.zip(c.y, |dy, y| dy / (y + y)))
    }

    /// `x²`; `dx = 2x dy`.
    pub fn square(self) -> Self {
        self.unary("square", |x| x * x, |c| c.zip(c.x(0), |dy, x| dy * (x + x)))
    }

    /// `xⁿ`; `dx = n xⁿ⁻¹ dy`.
    pub fn powi(self, n: i32) -> Self {
        let factor = T::of(n.into());
        let slope = move |x: T| if n == 0 { T::zero() } else { factor * x.powi(n - 1) };
        self.unary("powi", move |x| x.powi(n), move |c| c.zip(c.x(0), |dy, x| dy * slope(x)))
    }

    /// `xᵃ` for `x > 0`; `dx = a xᵃ⁻¹ dy`.
    pub fn powf(self, a: T) -> Self {
        let slope = move |x: T| a * x.powf(a - T::one());
        self.unary("powf", move |x| x.powf(a), move |c| c.zip(c.x(0), |dy, x| dy * slope(x)))
    }

    /// `|x|`; `dx = sign(x) dy`, with 0 at 0.
    pub fn abs(self) -> Self {
        let sign = |x: T| if x == T::zero() { x } else { x.signum() };
        self.unary("abs", T::abs, move |c| c.zip(c.x(0), |dy, x| dy * sign(x)))
    }

    /// `max(x, 0)`; `dx = dy` where `x > 0`, 0 elsewhere. A NaN stays NaN, with `dx = dy`.
    pub fn relu(self) -> Self {
        let positive = |x: T| if x < T::zero() { T::zero() } else { x };
        let step = |y: T| if y <= T::zero() { T::zero() } else { T::one() };
        self.unary("relu", positive, move |c| c.zip(c.y, |dy, y| dy * step(y)))
    }

    // ANCHOR: tanh
    /// `tanh x`; `dx = (1 − y²) dy`.
    pub fn tanh(self) -> Self {
        self.unary("tanh", T::tanh, |c| c.zip(c.y, |dy, y| dy * (T::one() - y * y)))
    }
    // ANCHOR_END: tanh

    /// `1 / (1 + e⁻ˣ)`; `dx = y (1 − y) dy`.
    pub fn sigmoid(self) -> Self {
        self.unary("sigmoid", sigmoid, |c| c.zip(c.y, |dy, y| dy * (y * (T::one() - y))))
    }

    /// `ln(1 + eˣ)`, without overflow; `dx = sigmoid(x) dy`.
    pub fn softplus(self) -> Self {
        self.unary("softplus", softplus, |c| c.zip(c.x(0), |dy, x| dy * sigmoid(x)))
    }

    /// `min(max(x, low), high)`; `dx = dy` strictly inside, 0 elsewhere. A NaN stays NaN.
    pub fn clamp(self, low: T, high: T) -> Self {
        let inside = move |x: T| if x > low && x < high { T::one() } else { T::zero() };
        let clamp = move |x: T| {
            if x < low {
                low
            } else if x > high {
                high
            } else {
                x
            }
        };
        self.unary("clamp", clamp, move |c| c.zip(c.x(0), |dy, x| dy * inside(x)))
    }
}

/// `ln(1 + eˣ)`, without overflow.
pub fn softplus<T: Scalar>(x: T) -> T {
    x.max(T::zero()) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e⁻ˣ)`, without overflow.
pub fn sigmoid<T: Scalar>(x: T) -> T {
    let e = (-x.abs()).exp();
    if x < T::zero() { e / (T::one() + e) } else { (T::one() + e).recip() }
}

crate::gradchecks! {
    exp: [[3, 4]] => |[x]| x.exp();
    ln: [[3, 4]] => |[x]| (x * x + 0.5).ln();
    sqrt: [[3, 4]] => |[x]| (x * x + 0.5).sqrt();
    square: [[3, 4]] => |[x]| x.square();
    powi: [[3, 4]] => |[x]| x.powi(3) + (x * x + 0.5).powi(-2);
    powf: [[3, 4]] => |[x]| (x * x + 0.5).powf(1.7);
    abs: [[3, 4]] => |[x]| x.abs();
    // ANCHOR: checks
    relu: [[3, 4]] => |[x]| x.relu();
    tanh: [[3, 4]] => |[x]| x.tanh();
    // ANCHOR_END: checks
    sigmoid: [[3, 4]] => |[x]| (x * 3.).sigmoid();
    softplus: [[3, 4]] => |[x]| (x * 3.).softplus();
    clamp: [[3, 4]] => |[x]| x.clamp(-0.5, 0.7);
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Tape, Tensor, Var};

    /// Values and derivatives at overflows, at kinks and at NaN.
    #[test]
    fn values_and_slopes_at_overflow_kinks_and_nan() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let of = |f: for<'t> fn(Var<'t, f64>) -> Var<'t, f64>, x: f64| {
            let tape = Tape::default();
            let x = tape.leaf(Tensor::from_elem(vec![1], x));
            let y = f(x);
            (y.item(), y.backward().wrt(x).unwrap()[0])
        };
        assert_eq!(of(|x| x.softplus(), 1e3), (1e3, 1.));
        assert_eq!(of(|x| x.softplus(), -1e3), (0., 0.));
        assert_eq!((of(|x| x.sigmoid(), 1e3), of(|x| x.sigmoid(), -1e3)), ((1., 0.), (0., 0.)));
        assert_eq!((of(|x| x.abs(), 0.), of(|x| x.relu(), 0.)), ((0., 0.), (0., 0.)));
        assert_eq!((of(|x| x.powi(0), 0.), of(|x| x.powi(1), 0.)), ((1., 0.), (0., 1.)));
        assert_eq!(of(|x| x.clamp(-1., 1.), 1.), (1., 0.));
        assert_eq!(of(|x| x.clamp(-1., 1.), -1.), (-1., 0.));
        assert_eq!(of(|x| x.clamp(-1., 1.), -inf), (-1., 0.));
        let all: [for<'t> fn(Var<'t, f64>) -> Var<'t, f64>; 6] = [
            |x| x.relu(),
            |x| x.abs(),
            |x| x.tanh(),
            |x| x.sigmoid(),
            |x| x.softplus(),
            |x| x.clamp(-1., 1.),
        ];
        assert!(all.into_iter().all(|f| of(f, nan).0.is_nan()), "a NaN is lost");
    }
}
