//! The definition of every kernel: safe, single-threaded, a few obvious lines.
//!
//! To learn what a kernel computes, read its definition here. Tests compare each fast kernel with
//! its definition; `bhn verify` does so for matrix products and convolutions. `gemm` takes the
//! arguments of [`gemm::gemm`](crate::kernels::gemm::gemm), `conv2d` those of
//! [`conv::forward`](crate::kernels::conv::forward) with weights that are not packed, and so on.
//! Lengths are not checked.
use super::affine::Affine;
use super::bf16::{self, Pair};
use super::conv::Sliding;
use super::gemm::packed::{DEPTH, balanced};
use super::scalar::Scalar;
use super::vector::{AdamStep, Combination};
use ndarray::{ArrayD, ArrayView2, ArrayViewMut2};

/// `yᵢ ← f(xᵢ)`.
pub fn map<T: Scalar>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
}

/// `zᵢ ← f(xᵢ, yᵢ)`.
pub fn zip<T: Scalar>(x: &[T], y: &[T], z: &mut [T], f: impl Fn(T, T) -> T) {
    z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| *z = f(x, y));
}

/// `zᵢ ← zᵢ + f(xᵢ, yᵢ)`.
pub fn zip_onto<T: Scalar>(x: &[T], y: &[T], z: &mut [T], f: impl Fn(T, T) -> T) {
    z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| *z += f(x, y));
}

/// `y[j, i] ← x[i, j]` for each of a batch of matrices `x [a, b]`.
pub fn transpose<T: Scalar>(x: &[T], y: &mut [T], [a, b]: [usize; 2]) {
    for (i, y) in y.iter_mut().enumerate() {
        let (matrix, row, column) = (i / (a * b), i / a % b, i % a);
        *y = x[matrix * a * b + column * b + row];
    }
}

/// `zᵢ ← xᵢ + c yᵢ`, or `c yᵢ` if there is no `x`.
pub fn scaled_sum<T: Scalar>(x: Option<&[T]>, c: T, y: &[T], z: &mut [T]) {
    for (i, z) in z.iter_mut().enumerate() {
        *z = c * y[i] + x.map_or(T::zero(), |x| x[i]);
    }
}

/// `y ← y + a x`.
pub fn axpy<T: Scalar>(a: T, x: &[T], y: &mut [T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
}

/// `y ← y + Σₛ aₛ zₛ` for the rows `zₛ` of `z [S, n]`.
pub fn add_rows<T: Scalar>(a: &[T], z: &[T], y: &mut [T]) {
    for (i, &z) in z.iter().enumerate() {
        y[i % y.len()] += a[i / y.len()] * z;
    }
}

/// `Σ xᵢ yᵢ` in the precision of `T`.
pub fn dot<T: Scalar>(x: &[T], y: &[T]) -> T {
    x.iter().zip(y).map(|(&x, &y)| x * y).sum()
}

/// `Σ xᵢ` in `f64`.
pub fn sum_f64<T: Scalar>(x: &[T]) -> f64 {
    x.iter().map(|x| x.f64()).sum()
}

/// `Σ xᵢ yᵢ` in `f64`.
pub fn dot_f64<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x.f64() * y.f64()).sum()
}

/// `zᵢ ← zᵢ + xᵢ` in `f64`.
pub fn add_f64<T: Scalar>(x: &[T], z: &mut [f64]) {
    z.iter_mut().zip(x).for_each(|(z, x)| *z += x.f64());
}

/// `zᵢ ← zᵢ + c xᵢ yᵢ` in `f64`.
pub fn add_products<T: Scalar>(c: f64, x: &[T], y: &[T], z: &mut [f64]) {
    z.iter_mut().zip(x).zip(y).for_each(|((z, x), y)| *z += c * x.f64() * y.f64());
}

/// `zᵢ ← zᵢ + xᵢ` for `x` in `f64`; the sum is rounded once.
pub fn add_rounded<T: Scalar>(x: &[f64], z: &mut [T]) {
    z.iter_mut().zip(x).for_each(|(z, &x)| *z = T::of(z.f64() + x));
}

/// Adam: `g ← clip(g)`, `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
/// `w ← w − rate·m / (√(unbias·v) + ε)`.
pub fn adam<T: Scalar>(k: AdamStep<T>, g: &[T], m: &mut [T], v: &mut [T], w: &mut [T]) {
    for i in 0..g.len() {
        let g = num_traits::clamp(k.shrink * g[i], -k.limit, k.limit);
        m[i] = k.beta1 * m[i] + (T::one() - k.beta1) * g;
        v[i] = k.beta2 * v[i] + (T::one() - k.beta2) * g * g;
        w[i] -= k.rate * m[i] / ((k.unbias * v[i]).sqrt() + k.epsilon);
    }
}

/// The gradient `gⱼ = c wⱼ + Σₛ aₛ zₛⱼ` of `w`.
pub fn combined<T: Scalar, const S: usize>(g: Combination<'_, T, S>, w: &[T]) -> Vec<T> {
    let terms = |j: usize| g.factors.into_iter().zip(g.rows).map(move |(a, z)| a * z[j]);
    w.iter().enumerate().map(|(j, &w)| terms(j).fold(g.along * w, |sum, x| sum + x)).collect()
}

// ANCHOR: gemm
/// `C ← α A B + β C` for `A [m, k]`, `B [k, n]`, `C [m, n]`; `C` is not read if `β = 0`.
pub fn gemm<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    for ((i, j), c) in c.indexed_iter_mut() {
        let sum: T = (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum();
        *c = alpha * sum + if beta == T::zero() { beta } else { beta * *c };
    }
}
// ANCHOR_END: gemm

/// `C ← A B + β C` with the elements of `A` and `B` rounded to bfloat16, for `β` 0 or 1: the
/// definition of this product, bit for bit. Elements of the inner dimension are taken in pairs,
/// with a 0 after the last if their number is odd. Sums begin at 0 and add one pair after another:
/// first the product of its second elements, then that of its first; each addition rounds once, and
/// a subnormal sum becomes 0. If there are more than 1024 pairs, the sums of equal blocks of them
/// are added in their order.
pub fn gemm_bf16(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    beta: f32,
    mut c: ArrayViewMut2<'_, f32>,
) {
    let k = a.ncols();
    let pairs = |x: &dyn Fn(usize) -> f32| -> Vec<Pair> {
        let second = |p| if p < k { x(p) } else { 0. };
        (0..k).step_by(2).map(|p| bf16::pair([x(p), second(p + 1)])).collect()
    };
    for ((i, j), c) in c.indexed_iter_mut() {
        let (x, y) = (pairs(&|p| a[[i, p]]), pairs(&|p| b[[p, j]]));
        let depth = balanced(x.len().max(1), DEPTH);
        let blocks = x.chunks(depth).zip(y.chunks(depth));
        let sums = blocks
            .map(|(x, y)| x.iter().zip(y).fold(0., |s, (&x, &y)| bf16::multiply_add(x, y, s)));
        let start = (beta != 0.).then_some(*c);
        *c = start.into_iter().chain(sums).reduce(|c, s| c + s).unwrap_or(0.);
    }
}

/// `‖vᵢ‖²` for the rows `vᵢ` of a matrix.
pub fn row_squares<T: Scalar>(v: ArrayView2<'_, T>, squares: &mut [T]) {
    for (square, v) in squares.iter_mut().zip(v.rows()) {
        *square = v.iter().map(|&v| v * v).sum();
    }
}

/// `y ← act(s ⊙ p + b)`: row `i` of `y` uses row `⌊i/B⌋` of `s`, and row `i` of `p`, or row
/// `i mod B` if the samples share `p`.
pub fn affine<T: Scalar>(map: Affine<'_, T>, shift: &[T], y: &mut [T]) {
    let Affine { p, scale, n, batch, relu } = map;
    for (i, y) in y.iter_mut().enumerate() {
        let (row, column) = (i / n, i % n);
        let x = scale[row / batch * n + column] * p[i % p.len()] + shift[column];
        *y = if relu && x < T::zero() { T::zero() } else { x };
    }
}

/// `dp ← β dp + Σ s ⊙ δ`, `ds ← Σ_B δ ⊙ p`, `db ← Σ δ` for `δ = dy act'`, with sums in `f64`.
pub fn affine_backward<T: Scalar>(
    map: Affine<'_, T>,
    (dy, y): (&[T], &[T]),
    (beta, dp): (T, &mut [T]),
    mut ds: ArrayViewMut2<'_, T>,
    mut db: ArrayViewMut2<'_, T>,
) {
    let Affine { p, scale, n, batch, relu } = map;
    let sums = [p.len(), scale.len(), n].map(|n| vec![0_f64; n]);
    let [mut by_p, mut by_scale, mut by_shift] = sums;
    for (i, (&dy, &y)) in dy.iter().zip(y).enumerate() {
        let delta = if relu && y <= T::zero() { 0. } else { dy.f64() };
        let (k, s) = (i % p.len(), i / n / batch * n + i % n);
        by_p[k] += scale[s].f64() * delta;
        by_scale[s] += delta * p[k].f64();
        by_shift[i % n] += delta;
    }
    for (to, x) in dp.iter_mut().zip(by_p) {
        *to = T::of(x + if beta == T::zero() { 0. } else { (beta * *to).f64() });
    }
    ds.iter_mut().zip(by_scale).for_each(|(to, x)| *to = T::of(x));
    db.iter_mut().zip(by_shift).for_each(|(to, x)| *to = T::of(x));
}

/// `z ← f(x, y)` with `x` of shape `xs` and `y` of shape `ys`, broadcast to `zs`.
///
/// # Panics
/// Unless both shapes broadcast to `zs`.
pub fn broadcast_zip<T: Scalar>(
    (x, xs): (&[T], &[usize]),
    (y, ys): (&[T], &[usize]),
    (z, zs): (&mut [T], &[usize]),
    f: impl Fn(T, T) -> T,
) {
    for ((z, &i), &j) in z.iter_mut().zip(&repeated(xs, zs)).zip(&repeated(ys, zs)) {
        *z = f(x[i], y[j]);
    }
}

/// `to ← to + Σ g`, the adjoint of broadcasting from `ts` to `gs`; the sum is in `f64`.
///
/// # Panics
/// Unless `ts` broadcasts to `gs`.
pub fn sum_to<T: Scalar>((g, gs): (&[T], &[usize]), (to, ts): (&mut [T], &[usize])) {
    let mut sums = vec![0.; to.len()];
    g.iter().zip(&repeated(ts, gs)).for_each(|(g, &i)| sums[i] += g.f64());
    add_rounded(&sums, to);
}

/// For each element of a tensor of shape `to`, the index of the element that it repeats in a tensor
/// of shape `of`.
fn repeated(of: &[usize], to: &[usize]) -> ArrayD<usize> {
    let indices = (0..of.iter().product()).collect();
    let indices = ArrayD::from_shape_vec(of, indices).expect("an index for each element");
    indices.broadcast(to).expect("shapes that broadcast").to_owned()
}

/// Calls `f(p, k, q)` for each position `p` of the window in the images and each place `k` within
/// the window. Places over padding are left out; the others cover a pixel, `q`.
fn pixels(over: &Sliding, images: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (window, [height, width, _], [rows, columns]) = (over.window, over.image, over.positions);
    for p in 0..images * rows * columns {
        let (image, row, column) = (p / (rows * columns), p / columns % rows, p % columns);
        for k in 0..window.size[0] * window.size[1] {
            let (down, across) = (k / window.size[1], k % window.size[1]);
            // Above or to the left of the image, this wraps to an index beyond any image.
            let y = (row * window.stride[0] + down).wrapping_sub(window.padding[0]);
            let x = (column * window.stride[1] + across).wrapping_sub(window.padding[1]);
            if y < height && x < width {
                f(p, k, (image * height + y) * width + x);
            }
        }
    }
}

/// Calls `f(i, [n, k], j)` for each term `y[i] += w[n, k] x[j]` of a convolution; `i` and `j` are
/// indices into the flattened `y` and `x`. Images `x [B, H, W, C]` and weights `w [N, h·w·C]` give
/// `y [B, H', W', N]`. The arguments `units` and `images` are `N` and `B`.
pub fn conv2d_terms(
    over: &Sliding,
    units: usize,
    images: usize,
    mut f: impl FnMut(usize, [usize; 2], usize),
) {
    let channels = over.image[2];
    pixels(over, images, |p, k, q| {
        for n in 0..units {
            for c in 0..channels {
                f(p * units + n, [n, k * channels + c], q * channels + c);
            }
        }
    });
}

/// `y[i] = Σ w[n, k] x[j]` over the terms of the convolution.
pub fn conv2d<T: Scalar>(over: &Sliding, x: &[T], w: ArrayView2<'_, T>, y: &mut [T]) {
    y.fill(T::zero());
    conv2d_terms(over, w.nrows(), images(over, x), |i, k, j| y[i] += w[k] * x[j]);
}

/// `dx[j] ← β dx[j] + Σ w[n, k] dy[i]` over the terms of the convolution, for `β` 0 or 1.
pub fn conv2d_backward_input<T: Scalar>(
    over: &Sliding,
    dy: &[T],
    w: ArrayView2<'_, T>,
    beta: T,
    dx: &mut [T],
) {
    if beta == T::zero() {
        dx.fill(beta);
    }
    conv2d_terms(over, w.nrows(), images(over, dx), |i, k, j| dx[j] += w[k] * dy[i]);
}

/// `dw[n, k] ← β dw[n, k] + Σ dy[i] x[j]` over the terms of the convolution, for `β` 0 or 1.
pub fn conv2d_backward_weight<T: Scalar>(
    over: &Sliding,
    x: &[T],
    dy: &[T],
    beta: T,
    mut dw: ArrayViewMut2<'_, T>,
) {
    if beta == T::zero() {
        dw.fill(beta);
    }
    conv2d_terms(over, dw.nrows(), images(over, x), |i, k, j| dw[k] += dy[i] * x[j]);
}

/// `y[p, c] = max x[q, c]` over the pixels `q` that the window covers at `p`; NaN if an entry is.
pub fn max_pool<T: Scalar>(over: &Sliding, x: &[T], y: &mut [T]) {
    let channels = over.image[2];
    y.fill(T::neg_infinity());
    pixels(over, images(over, x), |p, _, q| {
        for c in 0..channels {
            let (x, y) = (x[q * channels + c], &mut y[p * channels + c]);
            *y = if x > *y || x.is_nan() { x } else { *y };
        }
    });
}

/// `dx[q, c] += dy[p, c]` for the first pixel `q` at which `x` is the maximum or is NaN.
pub fn max_pool_backward<T: Scalar>(over: &Sliding, x: &[T], y: &[T], dy: &[T], dx: &mut [T]) {
    let (channels, mut left) = (over.image[2], dy.to_vec());
    pixels(over, images(over, x), |p, _, q| {
        for c in 0..channels {
            let (p, q) = (p * channels + c, q * channels + c);
            if x[q] == y[p] || x[q].is_nan() {
                dx[q] += std::mem::replace(&mut left[p], T::zero());
            }
        }
    });
}

/// `y[p, c] = mean x[q, c]` over the pixels `q` that the window covers, summed in `f64`.
pub fn avg_pool<T: Scalar>(over: &Sliding, x: &[T], y: &mut [T]) {
    let (channels, [h, w]) = (over.image[2], over.window.size);
    let mut sums = vec![0.; y.len()];
    pixels(over, images(over, x), |p, _, q| {
        (0..channels).for_each(|c| sums[p * channels + c] += x[q * channels + c].f64());
    });
    y.iter_mut().zip(sums).for_each(|(y, sum)| *y = T::of(sum / (h * w) as f64));
}

/// `dx[q, c] += dy[p, c] / (h·w)` for each pixel `q` that the window covers.
pub fn avg_pool_backward<T: Scalar>(over: &Sliding, dy: &[T], dx: &mut [T]) {
    let (channels, [h, w]) = (over.image[2], over.window.size);
    pixels(over, images(over, dx), |p, _, q| {
        for c in 0..channels {
            dx[q * channels + c] += dy[p * channels + c] / T::of((h * w) as f64);
        }
    });
}

/// The number of images in `x [B, H, W, C]`.
fn images<T>(over: &Sliding, x: &[T]) -> usize {
    x.len() / over.image.iter().product::<usize>()
}
