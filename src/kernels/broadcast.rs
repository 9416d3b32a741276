//! NumPy's broadcasting over row-major tensors: shapes are aligned at their last axes, and an axis
//! that has length 1 or is missing is repeated.
use super::parallel;
use super::scalar::Scalar;
use super::vector::{self, CHUNK};

// ANCHOR: shape
/// The shape to which `a` and `b` broadcast; `None` if they do not.
pub fn shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (m, n) if m == n => Some(m),
            (1, n) => Some(n),
            (m, 1) => Some(m),
            _ => None,
        })
        .collect()
}
// ANCHOR_END: shape

fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Whether shape `of` broadcasts to shape `to`.
fn broadcasts(of: &[usize], to: &[usize]) -> bool {
    let ends = of.iter().rev().zip(to.iter().rev());
    of.len() <= to.len() && ends.into_iter().all(|(&m, &n)| m == n || m == 1)
}

/// Strides of a row-major tensor of shape `of` when it is broadcast to shape `to`: 0 along a
/// repeated axis.
fn strides(of: &[usize], to: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; to.len()];
    let mut step = 1;
    for (stride, &n) in strides.iter_mut().rev().zip(of.iter().rev()) {
        *stride = if n == 1 { 0 } else { step };
        step *= n;
    }
    strides
}

/// Offset of the first element of row `row`; rows are counted over all axes but the last.
fn offset(mut row: usize, to: &[usize], strides: &[usize]) -> usize {
    let mut sum = 0;
    for (&n, &stride) in to.iter().zip(strides).rev().skip(1) {
        sum += row % n * stride;
        row /= n;
    }
    sum
}

/// `z ← f(x, y)` with `x` of shape `xs` and `y` of shape `ys`, broadcast to `zs`.
///
/// # Panics
/// Unless the lengths fit the shapes, and both shapes broadcast to `zs`.
pub fn zip<T: Scalar>(
    (x, xs): (&[T], &[usize]),
    (y, ys): (&[T], &[usize]),
    (z, zs): (&mut [T], &[usize]),
    f: impl Fn(T, T) -> T + Sync,
) {
    let fits = [x.len(), y.len(), z.len()] == [len(xs), len(ys), len(zs)];
    assert!(fits, "zip: lengths do not fit {xs:?}, {ys:?} and {zs:?}");
    assert!(broadcasts(xs, zs) && broadcasts(ys, zs), "zip: {xs:?} and {ys:?} to {zs:?}");
    if xs == ys && ys == zs {
        return vector::zip(x, y, z, f);
    }
    let width = zs.last().copied().unwrap_or(1);
    if z.is_empty() {
        return;
    }
    let (sx, sy) = (strides(xs, zs), strides(ys, zs));
    let unit = |s: &[usize]| s.last().is_some_and(|&s| s == 1);
    let run = |row: usize, z: &mut [T]| {
        let (x, y) = (&x[offset(row, zs, &sx)..], &y[offset(row, zs, &sy)..]);
        match (unit(&sx), unit(&sy)) {
            (true, true) => z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| *z = f(x, y)),
            (true, false) => z.iter_mut().zip(x).for_each(|(z, &x)| *z = f(x, y[0])),
            (false, true) => z.iter_mut().zip(y).for_each(|(z, &y)| *z = f(x[0], y)),
            (false, false) => z.fill(f(x[0], y[0])),
        }
    };
    let rows = (CHUNK / width).max(1);
    if z.len() <= CHUNK {
        z.chunks_exact_mut(width).enumerate().for_each(|(row, z)| run(row, z));
    } else {
        parallel::for_each(z.chunks_mut(rows * width).enumerate(), move |(i, z)| {
            z.chunks_exact_mut(width).enumerate().for_each(|(row, z)| run(i * rows + row, z));
        });
    }
}

/// `to ← to + Σ g`, the adjoint of broadcasting from `ts` to `gs`. The sum is over the repeated
/// axes, in `f64`.
///
/// # Panics
/// Unless the lengths fit the shapes, and `ts` broadcasts to `gs`.
pub fn sum_to<T: Scalar>((g, gs): (&[T], &[usize]), (to, ts): (&mut [T], &[usize])) {
    let fits = g.len() == len(gs) && to.len() == len(ts) && broadcasts(ts, gs);
    assert!(fits, "sum_to: {} entries of {gs:?} to {} of {ts:?}", g.len(), to.len());
    let width = gs.last().copied().unwrap_or(1);
    if g.is_empty() {
        return;
    }
    let st = strides(ts, gs);
    let unit = st.last().is_some_and(|&s| s == 1);
    let mut sums = vec![0.; to.len()];
    for (row, g) in g.chunks_exact(width).enumerate() {
        let sums = &mut sums[offset(row, gs, &st)..];
        if unit {
            vector::add_f64(g, &mut sums[..width]);
        } else {
            sums[0] += vector::sum_f64(g);
        }
    }
    vector::add_rounded(&sums, to);
}
