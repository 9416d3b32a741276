//! Arithmetic, broadcast as in NumPy, between variables and with plain numbers.
use super::{broadcast, flat, map, of, zip};
use crate::autodiff::{Owned, Sink, Var};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector;
use std::ops::{Add, Div, Mul, Neg, Sub};

fn both<'t, T: Scalar>(
    name: &'static str,
    a: Var<'t, T>,
    b: Var<'t, T>,
    f: impl Fn(T, T) -> T + Sync,
) -> Owned<T> {
    broadcast(name, a.tape(), of(&a.value()), of(&b.value()), f)
}

/// Add `g`, summed over broadcast axes, to the gradient of input `k`.
fn pass<T: Scalar>(sink: &mut Sink<'_, T>, k: usize, g: &Owned<T>) {
    if sink.shape(k) != Some(g.shape()) {
        return sink.add(k, || g.clone());
    }
    sink.blend(k, |beta, dx| match beta == T::zero() {
        true => {
            dx.as_slice_mut().expect("row-major").copy_from_slice(g.as_slice().expect("row-major"))
        }
        false => *dx += g,
    });
}

impl<T: Scalar> Add for Var<'_, T> {
    type Output = Self;
    /// `a + b`; `da = dy`, `db = dy`.
    fn add(self, b: Self) -> Self {
        let y = both("add", self, b, |a, b| a + b);
        Self::record("add", &[self, b], y, |c, sink| {
            pass(sink, 0, c.g);
            pass(sink, 1, c.g);
        })
    }
}

impl<T: Scalar> Sub for Var<'_, T> {
    type Output = Self;
    /// `a − b`; `da = dy`, `db = −dy`.
    fn sub(self, b: Self) -> Self {
        let y = both("sub", self, b, |a, b| a - b);
        Self::record("sub", &[self, b], y, |c, sink| {
            pass(sink, 0, c.g);
            map(sink, 1, c.g, T::neg);
        })
    }
}

impl<T: Scalar> Mul for Var<'_, T> {
    type Output = Self;
    /// `a b`, entry by entry; `da = b dy`, `db = a dy`.
    fn mul(self, b: Self) -> Self {
        let y = both("mul", self, b, |a, b| a * b);
        Self::record("mul", &[self, b], y, |c, sink| {
            zip(sink, 0, c.g, c.x(1), |g, b| g * b);
            zip(sink, 1, c.g, c.x(0), |g, a| g * a);
        })
    }
}

impl<T: Scalar> Div for Var<'_, T> {
    type Output = Self;
    /// `a / b`, entry by entry; `da = dy / b`, `db = −y dy / b`.
    fn div(self, b: Self) -> Self {
        let y = both("div", self, b, |a, b| a / b);
        Self::record("div", &[self, b], y, |c, sink| {
            zip(sink, 0, c.g, c.x(1), |g, b| g / b);
            if sink.wants(1) {
                zip(sink, 1, &-(c.g * c.y), c.x(1), |gy, b| gy / b);
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
        let mut y = self.tape().space(x.shape());
        vector::map(flat(&x), y.as_slice_mut().expect("new"), |x| x / b);
        Self::record("div_by", &[self], y, move |c, sink| map(sink, 0, c.g, |g| g / b))
    }
}

impl<T: Scalar> Var<'_, T> {
    /// `a x + b` for numbers `a` and `b`; `dx = a dy`.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn scale_shift(self, a: T, b: T) -> Self {
        let x = self.value();
        let mut y = self.tape().space(x.shape());
        vector::map(flat(&x), y.as_slice_mut().expect("new"), |x| a * x + b);
        Self::record("scale_shift", &[self], y, move |c, sink| map(sink, 0, c.g, |g| a * g))
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
