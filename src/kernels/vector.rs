//! Element-wise loops and sums over slices.
#![allow(unsafe_code)]
use crate::scalar::Scalar;
use multiversion::multiversion;
use rayon::prelude::*;

/// Elements a thread takes at a time; shorter slices stay on the caller's thread.
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
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| run(x, y));
    }
}

/// `zᵢ ← f(xᵢ, yᵢ)`.
///
/// # Panics
/// Unless the lengths agree.
pub fn zip<T: Scalar>(x: &[T], y: &[T], z: &mut [T], f: impl Fn(T, T) -> T + Sync) {
    assert!(x.len() == y.len() && y.len() == z.len(), "zip: lengths differ");
    let run = |x: &[T], y: &[T], z: &mut [T]| {
        z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| *z = f(x, y));
    };
    if x.len() <= CHUNK {
        run(x, y, z);
    } else {
        let inputs = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK));
        z.par_chunks_mut(CHUNK).zip(inputs).for_each(|(z, (x, y))| run(x, y, z));
    }
}

/// `Σ xᵢ²` in `f64`, summed by fixed chunks in order.
pub fn sum_of_squares<T: Scalar>(x: &[T]) -> f64 {
    let parts: Vec<f64> = x.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn squares<T: Scalar>(x: &[T]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let chunks = x.chunks_exact(LANES);
    let tail: f64 = chunks.remainder().iter().map(|x| x.f64() * x.f64()).sum();
    for x in chunks {
        for (sum, x) in lanes.iter_mut().zip(x) {
            *sum += x.f64() * x.f64();
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// What Adam does to every element, its corrections for the first steps worked into `rate`.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<T> {
    /// Multiplies the gradient: clipping by its global norm.
    pub shrink: T,
    /// Bounds every element of it after that.
    pub limit: T,
    /// Decay rate of the first moment.
    pub beta1: T,
    /// Decay rate of the second moment.
    pub beta2: T,
    /// `η / (1 − β₁ᵗ)`.
    pub rate: T,
    /// `1 / (1 − β₂ᵗ)`.
    pub unbias: T,
    /// Added to the root.
    pub epsilon: T,
}

/// `g ← clip(g)`, `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `w ← w − rate·m / (√(unbias·v) + ε)`.
///
/// # Panics
/// Unless the lengths agree.
pub fn adam<T: Scalar>(k: AdamStep<T>, g: &[T], m: &mut [T], v: &mut [T], w: &mut [T]) {
    assert!([m.len(), v.len(), w.len()] == [g.len(); 3], "adam: lengths differ");
    let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    w.par_chunks_mut(CHUNK)
        .zip(g.par_chunks(CHUNK))
        .zip(moments)
        .for_each(|((w, g), (m, v))| adam_chunk(k, g, m, v, w));
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn adam_chunk<T: Scalar>(k: AdamStep<T>, g: &[T], m: &mut [T], v: &mut [T], w: &mut [T]) {
    let (one, limit) = (T::one(), k.limit);
    for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m.iter_mut()).zip(v.iter_mut()) {
        let g = k.shrink * g;
        let g = if g > limit { limit } else { g };
        let g = if g < -limit { -limit } else { g };
        *m = k.beta1 * *m + (one - k.beta1) * g;
        *v = k.beta2 * *v + (one - k.beta2) * g * g;
        *w -= k.rate * *m / ((k.unbias * *v).sqrt() + k.epsilon);
    }
}
