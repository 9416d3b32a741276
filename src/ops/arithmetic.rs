//! Arithmetic, broadcast as in NumPy, between variables and with plain numbers.
use super::filled;
use crate::kernels::{broadcast, vector};
use crate::scalar::Scalar;
use crate::tape::{Owned, Tensor, Var};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `f(a, b)`, broadcast.
fn broadcast<T: Scalar>(
    name: &str,
    (a, xs): (&[T], &[usize]),
    (b, ys): (&[T], &[usize]),
    f: impl Fn(T, T) -> T + Sync,
) -> Owned<T> {
    let zs = broadcast::shape(xs, ys)
        .unwrap_or_else(|| panic!("{name}: {xs:?} and {ys:?} do not broadcast"));
    let mut z = filled(&zs, T::zero());
    broadcast::zip((a, xs), (b, ys), (z.as_slice_mut().expect("new"), &zs), f);
    z
}

fn of<T: Scalar>(x: &Tensor<T>) -> (&[T], &[usize]) {
    (super::flat(x), x.shape())
}

fn by<T: Scalar>(g: &Owned<T>, x: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) -> Owned<T> {
    broadcast("gradient", (g.as_slice().expect("row-major"), g.shape()), of(x), f)
}

impl<T: Scalar> Add for Var<'_, T> {
    type Output = Self;
    /// `a + b`; `da = dy`, `db = dy`.
    fn add(self, b: Self) -> Self {
        let y = broadcast("add", of(&self.value()), of(&b.value()), |a, b| a + b);
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
        let y = broadcast("sub", of(&self.value()), of(&b.value()), |a, b| a - b);
        Self::record("sub", &[self, b], y, |c, sink| {
            sink.add(0, || c.g.clone());
            sink.add(1, || c.g.mapv(T::neg));
        })
    }
}

impl<T: Scalar> Mul for Var<'_, T> {
    type Output = Self;
    /// `a b`, entry by entry; `da = b dy`, `db = a dy`.
    fn mul(self, b: Self) -> Self {
        let y = broadcast("mul", of(&self.value()), of(&b.value()), |a, b| a * b);
        Self::record("mul", &[self, b], y, |c, sink| {
            sink.add(0, || by(c.g, c.x(1), |g, b| g * b));
            sink.add(1, || by(c.g, c.x(0), |g, a| g * a));
        })
    }
}

impl<T: Scalar> Div for Var<'_, T> {
    type Output = Self;
    /// `a / b`, entry by entry; `da = dy / b`, `db = −y dy / b`.
    fn div(self, b: Self) -> Self {
        let y = broadcast("div", of(&self.value()), of(&b.value()), |a, b| a / b);
        Self::record("div", &[self, b], y, |c, sink| {
            sink.add(0, || by(c.g, c.x(1), |g, b| g / b));
            sink.add(1, || by(&-(c.g * c.y), c.x(1), |gy, b| gy / b));
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
    fn div(self, b: T) -> Self {
        self.scale_shift(b.recip(), T::zero())
    }
}

impl<T: Scalar> Var<'_, T> {
    /// `a x + b` for numbers `a` and `b`; `dx = a dy`.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn scale_shift(self, a: T, b: T) -> Self {
        let x = self.value();
        let mut y = self.tape().space(x.shape());
        vector::map(super::flat(&x), y.as_slice_mut().expect("new"), |x| a * x + b);
        Self::record("scale_shift", &[self], y, move |c, sink| sink.add(0, || c.g * a))
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
