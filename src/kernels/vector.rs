//! Element-wise loops, sums and Adam's update, over slices.
use super::parallel;
use super::path::multiversion;
use super::scalar::Scalar;

/// The number of elements in one task; slices that are not longer stay on the caller's thread.
pub const CHUNK: usize = 1 << 15;

/// `yᵢ ← f(xᵢ)`.
///
/// # Panics
/// Unless the lengths agree.
pub fn map<T: Scalar>(x: &[T], y: &mut [T], f: impl Fn(T) -> T + Sync) {
    assert_eq!(x.len(), y.len(), "map: lengths differ");
    let run = |x: &[T], y: &mut [T]| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
    if x.len() <= CHUNK {
        run(x, y);
    } else {
        parallel::for_each(y.chunks_mut(CHUNK).zip(x.chunks(CHUNK)), |(y, x)| run(x, y));
    }
}

/// `y[j, i] ← x[i, j]` for each of a batch of matrices `x [a, b]`.
///
/// # Panics
/// Unless the lengths agree.
pub fn transpose<T: Scalar>(x: &[T], y: &mut [T], [a, b]: [usize; 2]) {
    let len = a.checked_mul(b).expect("transpose: the size overflows");
    assert!(x.len() == y.len() && x.len().is_multiple_of(len), "transpose: lengths differ");
    if len == 0 {
        return;
    }
    parallel::for_each(y.chunks_mut(len).zip(x.chunks(len)), |(y, x)| {
        for (i, x) in x.chunks_exact(b).enumerate() {
            y[i..].iter_mut().step_by(a).zip(x).for_each(|(y, &x)| *y = x);
        }
    });
}

/// `zᵢ ← f(xᵢ, yᵢ)`.
///
/// # Panics
/// Unless the lengths agree.
pub fn zip<T: Scalar, U: Copy + Sync>(x: &[T], y: &[U], z: &mut [T], f: impl Fn(T, U) -> T + Sync) {
    zip_with(x, y, z, |z, x, y| *z = f(x, y));
}

/// `zᵢ ← zᵢ + f(xᵢ, yᵢ)`.
///
/// # Panics
/// Unless the lengths agree.
pub fn zip_onto<T: Scalar, U: Copy + Sync>(
    x: &[T],
    y: &[U],
    z: &mut [T],
    f: impl Fn(T, U) -> T + Sync,
) {
    zip_with(x, y, z, |z, x, y| *z += f(x, y));
}

fn zip_with<T: Scalar, U: Copy + Sync>(
    x: &[T],
    y: &[U],
    z: &mut [T],
    f: impl Fn(&mut T, T, U) + Sync,
) {
    assert!(x.len() == y.len() && y.len() == z.len(), "zip: lengths differ");
    let run = |x: &[T], y: &[U], z: &mut [T]| {
        z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| f(z, x, y));
    };
    if x.len() <= CHUNK {
        run(x, y, z);
    } else {
        let inputs = x.chunks(CHUNK).zip(y.chunks(CHUNK));
        parallel::for_each(z.chunks_mut(CHUNK).zip(inputs), |(z, (x, y))| run(x, y, z));
    }
}

multiversion! {
    /// `zᵢ ← xᵢ + c yᵢ`, or `c yᵢ` if there is no `x`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn scaled_sum[T: Scalar](x: Option<&[T]>, c: T, y: &[T], z: &mut [T]) {
        let fits = x.is_none_or(|x| x.len() == z.len()) && y.len() == z.len();
        assert!(fits, "scaled_sum: lengths differ");
        match x {
            Some(x) => z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| *z = x + c * y),
            None => z.iter_mut().zip(y).for_each(|(z, &y)| *z = c * y),
        }
    }

    /// `y ← y + Σₛ aₛ zₛ` for the rows `zₛ` of `z [S, n]`, added in order of `s`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn add_rows[T: Scalar](a: &[T], z: &[T], y: &mut [T]) {
        assert_eq!(z.len(), a.len() * y.len(), "add_rows: lengths differ");
        let n = y.len().max(1);
        let (fours, rest) = a.as_chunks::<4>();
        let mut rows = z.chunks_exact(n);
        for a in fours {
            let mut row = || rows.next().expect("a row a factor");
            let [s, t, u, v] = [row(), row(), row(), row()];
            for ((((y, &s), &t), &u), &v) in y.iter_mut().zip(s).zip(t).zip(u).zip(v) {
                *y = *y + a[0] * s + a[1] * t + a[2] * u + a[3] * v;
            }
        }
        for (&a, z) in rest.iter().zip(rows) {
            y.iter_mut().zip(z).for_each(|(y, &z)| *y += a * z);
        }
    }

    /// `y ← y + a x`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn axpy[T: Scalar](a: T, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), y.len(), "axpy: lengths differ");
        for (y, &x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    }

    /// `Σ xᵢ yᵢ` in the precision of `T`, in 32 partial sums that are added as a tree.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn dot[T: Scalar](x: &[T], y: &[T]) -> T {
        assert_eq!(x.len(), y.len(), "dot: lengths differ");
        let mut lanes = [T::zero(); 32];
        let (x, y) = (x.chunks_exact(lanes.len()), y.chunks_exact(lanes.len()));
        let tail: T = x.remainder().iter().zip(y.remainder()).map(|(&x, &y)| x * y).sum();
        for (x, y) in x.zip(y) {
            for ((sum, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        }
        for half in [16, 8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0] + tail
    }
}

/// The number of partial sums of a reduction in `f64`. It is the same for every instruction set,
/// and so are the results.
const LANES: usize = 16;

/// `Σ xᵢ`, accumulated in `f64`: a running sum of a million elements in `f32` may be off by 1 %.
pub fn sum_f64<T: Scalar>(x: &[T]) -> f64 {
    match x.len() {
        ..=CHUNK => sum_chunk(x),
        _ => parallel::map(x.chunks(CHUNK), sum_chunk).iter().sum(),
    }
}

/// `zᵢ ← zᵢ + xᵢ` for `x` in `f64`; the sum is rounded once.
///
/// # Panics
/// Unless the lengths agree.
pub fn add_rounded<T: Scalar>(x: &[f64], z: &mut [T]) {
    assert_eq!(x.len(), z.len(), "add_rounded: lengths differ");
    z.iter_mut().zip(x).for_each(|(z, &x)| *z = T::of(z.f64() + x));
}

multiversion! {
    fn sum_chunk[T: Scalar](x: &[T]) -> f64 {
        let (x, tail) = x.as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for x in x {
            lanes.iter_mut().zip(x).for_each(|(sum, x)| *sum += x.f64());
        }
        lanes.iter().sum::<f64>() + tail.iter().map(|x| x.f64()).sum::<f64>()
    }

    /// `Σ xᵢ yᵢ` in `f64`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn dot_f64[T: Scalar](x: &[T], y: &[T]) -> f64 {
        assert_eq!(x.len(), y.len(), "dot_f64: lengths differ");
        let mut lanes = [0.0; LANES];
        let (x, y) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
        let tail = x.remainder().iter().zip(y.remainder());
        let tail: f64 = tail.map(|(x, y)| x.f64() * y.f64()).sum();
        for (x, y) in x.zip(y) {
            for ((sum, x), y) in lanes.iter_mut().zip(x).zip(y) {
                *sum += x.f64() * y.f64();
            }
        }
        lanes.iter().sum::<f64>() + tail
    }

    /// `zᵢ ← zᵢ + xᵢ` in `f64`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn add_f64[T: Scalar](x: &[T], z: &mut [f64]) {
        assert_eq!(x.len(), z.len(), "add_f64: lengths differ");
        z.iter_mut().zip(x).for_each(|(z, x)| *z += x.f64());
    }

    /// `zᵢ ← zᵢ + c xᵢ yᵢ` in `f64`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn add_products[T: Scalar](c: f64, x: &[T], y: &[T], z: &mut [f64]) {
        assert!([x.len(), y.len()] == [z.len(); 2], "add_products: lengths differ");
        for ((z, x), y) in z.iter_mut().zip(x).zip(y) {
            *z += c * x.f64() * y.f64();
        }
    }
}

/// The coefficients of one Adam update; the bias corrections are in `rate` and `unbias`.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<T> {
    /// The factor that clips the gradient by its global norm.
    pub shrink: T,
    /// Bound on the absolute value of each element of the gradient, applied after `shrink`.
    pub limit: T,
    /// Decay rate of the first moment.
    pub beta1: T,
    /// Decay rate of the second moment.
    pub beta2: T,
    /// `η / (1 − β₁ᵗ)`.
    pub rate: T,
    /// `1 / (1 − β₂ᵗ)`.
    pub unbias: T,
    /// Added to the square root.
    pub epsilon: T,
}

impl<T: Scalar> AdamStep<T> {
    /// One element of [`adam`].
    #[inline(always)]
    fn update(&self, g: T, m: &mut T, v: &mut T, w: &mut T) {
        let (one, limit) = (T::one(), self.limit);
        let g = self.shrink * g;
        let g = if g > limit { limit } else { g };
        let g = if g < -limit { -limit } else { g };
        *m = self.beta1 * *m + (one - self.beta1) * g;
        *v = self.beta2 * *v + (one - self.beta2) * g * g;
        *w -= self.rate * *m / ((self.unbias * *v).sqrt() + self.epsilon);
    }
}

/// A gradient of `w [n]` as a sum, `gⱼ = c wⱼ + Σₛ aₛ zₛⱼ`, in order of `s`.
#[derive(Clone, Copy, Debug)]
pub struct Combination<'a, T, const S: usize> {
    /// `c`.
    pub along: T,
    /// `a [S]`.
    pub factors: [T; S],
    /// `z [S, n]`.
    pub rows: [&'a [T]; S],
}

multiversion! {
    /// `g ← clip(g)`, `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
    /// `w ← w − rate·m / (√(unbias·v) + ε)`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn adam[T: Scalar](k: AdamStep<T>, g: &[T], m: &mut [T], v: &mut [T], w: &mut [T]) {
        assert!([m.len(), v.len(), w.len()] == [g.len(); 3], "adam: lengths differ");
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            k.update(g, m, v, w);
        }
    }

    /// [`adam`] for a gradient that is not stored: it is computed while the moments are read.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn adam_combined[T: Scalar, const S: usize](
        k: AdamStep<T>,
        g: Combination<'_, T, S>,
        m: &mut [T],
        v: &mut [T],
        w: &mut [T],
    ) {
        let fits = [m.len(), v.len()] == [w.len(); 2] && g.rows.iter().all(|z| z.len() == w.len());
        assert!(fits, "adam_combined: lengths differ");
        for (j, ((w, m), v)) in w.iter_mut().zip(m).zip(v).enumerate() {
            let mut sum = g.along * *w;
            for (a, z) in g.factors.iter().zip(g.rows) {
                sum += *a * z[j];
            }
            k.update(sum, m, v, w);
        }
    }
}
