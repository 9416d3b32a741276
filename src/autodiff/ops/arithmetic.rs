//! Arithmetic, broadcast as in NumPy, between variables and with plain numbers.
use super::{add_map, add_zip, broadcast};
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `f(a, b)`, broadcast.
fn zip<T: Scalar>(
    name: &str,
    a: Var<'_, T>,
    b: Var<'_, T>,
    f: impl Fn(T, T) -> T + Sync,
) -> Tensor<T> {
    broadcast(name, a.tape().memory(), (&a.value(), &b.value()), f)
}

impl<T: Scalar> Add for Var<'_, T> {
    type Output = Self;
    /// `a + b`; `da = dy`, `db = dy`.
    fn add(self, b: Self) -> Self {
        let y = zip("add", self, b, |a, b| a + b);
        Self::record("add", &[self, b], y, |c, sink| {
            sink.add(0, || c.g.clone());
            sink.add(1, || c.g.clone());
        })
    }
}

impl<T: Scalar> Sub for Var<'_, T> {
    type Output = Self;
    /// `a − b`; `da = dy`, `db = −dy`.
    fn sub(self, b: Self) -> Self {
        let y = zip("sub", self, b, |a, b| a - b);
        Self::record("sub", &[self, b], y, |c, sink| {
            sink.add(0, || c.g.clone());
            add_map(sink, 1, c.g, T::neg);
        })
    }
}

impl<T: Scalar> Mul for Var<'_, T> {
    type Output = Self;
    /// `a b`, entry by entry; `da = b dy`, `db = a dy`.
    fn mul(self, b: Self) -> Self {
        let y = zip("mul", self, b, |a, b| a * b);
        Self::record("mul", &[self, b], y, |c, sink| {
            add_zip(sink, 0, (c.g, c.x(1)), |g, b| g * b);
            add_zip(sink, 1, (c.g, c.x(0)), |g, a| g * a);
        })
    }
}

impl<T: Scalar> Div for Var<'_, T> {
    type Output = Self;
    /// `a / b`, entry by entry; `da = dy / b`, `db = −y dy / b`.
    fn div(self, b: Self) -> Self {
        let y = zip("div", self, b, |a, b| a / b);
        Self::record("div", &[self, b], y, |c, sink| {
            add_zip(sink, 0, (c.g, c.x(1)), |g, b| g / b);
            if sink.wants(1) {
                add_zip(sink, 1, (&Tensor::from(-(c.g * c.y)), c.x(1)), |gy, b| gy / b);
            }
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
    fn add(self, b: T) -> Self {
        self.scale_shift(T::one(), b)
    }
}

impl<T: Scalar> Sub<T> for Var<'_, T> {
    type Output = Self;
    fn sub(self, b: T) -> Self {
        self.scale_shift(T::one(), -b)
    }
}

impl<T: Scalar> Mul<T> for Var<'_, T> {
    type Output = Self;
    fn mul(self, b: T) -> Self {
        self.scale_shift(b, T::zero())
    }
}

impl<T: Scalar> Div<T> for Var<'_, T> {
    type Output = Self;
    /// `x / b` for a number `b`, rounded once; `dx = dy / b`.
    fn div(self, b: T) -> Self {
        let x = self.value();
        let mut y = self.tape().alloc(x.shape());
        vector::map(x.as_slice(), y.as_slice_mut(), |x| x / b);
        Self::record("div_by", &[self], y, move |c, sink| add_map(sink, 0, c.g, |g| g / b))
    }
}

impl<T: Scalar> Var<'_, T> {
    /// `a x + b` for numbers `a` and `b`; `dx = a dy`.
    pub fn scale_shift(self, a: T, b: T) -> Self {
        let x = self.value();
        let mut y = self.tape().alloc(x.shape());
        vector::map(x.as_slice(), y.as_slice_mut(), |x| a * x + b);
        Self::record("scale_shift", &[self], y, move |c, sink| add_map(sink, 0, c.g, |g| a * g))
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
