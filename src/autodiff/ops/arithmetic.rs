//! Arithmetic between variables, broadcast as in NumPy, and with plain numbers.
use super::{map, zip};
use crate::autodiff::{Op, Tensor, Var};
use crate::kernels::scalar::Scalar;
use std::ops::{Add, Div, Mul, Neg, Sub};

impl<T: Scalar> Var<'_, T> {
    /// `f(a, b)`, entry by entry and broadcast.
    fn zip(self, name: &str, b: Self, f: impl Fn(T, T) -> T + Sync) -> Tensor<T> {
        zip(name, self.tape().memory(), (&self.value(), &b.value()), f)
    }

    /// `a x + b` for numbers `a` and `b`; `dx = a dy`.
    pub fn scale_shift(self, a: T, b: T) -> Self {
        let y = map(self.tape().memory(), &self.value(), |x| a * x + b);
        Self::record(Op::linear("scale_shift"), &[self], y, move |c, sink| {
            sink.add(0, || c.map(|g| a * g));
        })
    }
}

impl<T: Scalar> Add for Var<'_, T> {
    type Output = Self;
    /// `a + b`; `da = dy`, `db = dy`.
    fn add(self, b: Self) -> Self {
        let y = self.zip("add", b, |a, b| a + b);
        Self::record(Op::linear("add"), &[self, b], y, |c, sink| {
            sink.add(0, || c.g.clone());
            sink.add(1, || c.g.clone());
        })
    }
}

impl<T: Scalar> Sub for Var<'_, T> {
    type Output = Self;
    /// `a − b`; `da = dy`, `db = −dy`.
    fn sub(self, b: Self) -> Self {
        let y = self.zip("sub", b, |a, b| a - b);
        Self::record(Op::linear("sub"), &[self, b], y, |c, sink| {
            sink.add(0, || c.g.clone());
            sink.add(1, || c.map(T::neg));
        })
    }
}

impl<T: Scalar> Mul for Var<'_, T> {
    type Output = Self;
    /// `a b`, entry by entry; `da = b dy`, `db = a dy`.
    fn mul(self, b: Self) -> Self {
        let y = self.zip("mul", b, |a, b| a * b);
        Self::record(Op::bilinear("mul"), &[self, b], y, |c, sink| {
            sink.add(0, || c.zip(c.x(1), |g, b| g * b));
            sink.add(1, || c.zip(c.x(0), |g, a| g * a));
        })
    }
}

impl<T: Scalar> Div for Var<'_, T> {
    type Output = Self;
    /// `a / b`, entry by entry; `da = dy / b`, `db = −y dy / b`.
    fn div(self, b: Self) -> Self {
        let y = self.zip("div", b, |a, b| a / b);
        Self::record("div", &[self, b], y, |c, sink| {
            sink.add(0, || c.zip(c.x(1), |g, b| g / b));
            sink.add(1, || {
                let gy = c.zip(c.y, |g, y| -(g * y));
                zip("gradient", c.memory, (&gy, c.x(1)), |gy, b| gy / b)
            });
        })
    }
}

impl<T: Scalar> Neg for Var<'_, T> {
    type Output = Self;
    /// `−x`; `dx = −dy`.
    fn neg(self) -> Self {
        self * -T::one()
    }
}

impl<T: Scalar> Add<T> for Var<'_, T> {
    type Output = Self;
    /// `x + b` for a number `b`; `dx = dy`.
    fn add(self, b: T) -> Self {
        self.scale_shift(T::one(), b)
    }
}

impl<T: Scalar> Sub<T> for Var<'_, T> {
    type Output = Self;
    /// `x − b` for a number `b`; `dx = dy`.
    fn sub(self, b: T) -> Self {
        self.scale_shift(T::one(), -b)
    }
}

impl<T: Scalar> Mul<T> for Var<'_, T> {
    type Output = Self;
    /// `b x` for a number `b`; `dx = b dy`.
    fn mul(self, b: T) -> Self {
        self.scale_shift(b, T::zero())
    }
}

impl<T: Scalar> Div<T> for Var<'_, T> {
    type Output = Self;
    /// `x / b` for a number `b`, rounded once; `dx = dy / b`.
    fn div(self, b: T) -> Self {
        let y = map(self.tape().memory(), &self.value(), |x| x / b);
        Self::record(Op::linear("div_by"), &[self], y, move |c, sink| {
            sink.add(0, || c.map(|g| g / b));
        })
    }
}

crate::gradchecks! {
    add: [[3, 4], [4]] => |[a, b]| a + b;
    sub: [[2, 1, 4], [3, 1]] => |[a, b]| a - b;
    mul: [[3, 4], [3, 1], [1]] => |[a, b, c]| a * b * c;
    div: [[3, 4], [4]] => |[a, b]| a / (b.exp() + 0.5);
    neg: [[3, 4]] => |[x]| -x;
    scale_shift: [[3, 4]] => |[x]| (x * 2. - 1.) / 3. + 0.5;
    square_of_itself: [[3, 4]] => |[x]| x * x;
}
