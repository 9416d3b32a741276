//! Convolutions with windows of 3 × 3 by Winograd's `F(4×4, 3×3)` (Lavin & Gray 2016, arXiv
//! 1509.09308): 16 outputs take 36 multiplications, where the definition takes 144.
//!
//! The outputs `Y [4, 4]` of inputs `d [6, 6]` and weights `g [3, 3]` are
//! `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`. This multiplies polynomials by their values at five points and
//! at infinity. The matrices have a row or column for each of these. For `x` among the five
//! `points`, where `others` are the other four:
//!
//! ```text
//! column of Aᵀ   1, x, x², x³                          at infinity   0, 0, 0, 1
//! row of G       (1, x, x²) / Π (x - others)                         0, 0, 1
//! row of Bᵀ      the coefficients of Π (z - others)                  those of Π (z - points)
//! ```
//!
//! The points are 0, ±P and ±Q. With P = 1 and Q = 2, as in Lavin & Gray, rounding errors are 4.5
//! times those of a running sum. With P = ⅝ and Q = 1½, as here, they are twice those of a running
//! sum (root mean squares, 64 and 128 channels, normal weights). An input that is not finite makes
//! all outputs of its tiles NaN.
//!
//! The sum over channels makes `⊙` 36 matrix products, one for each element of a transformed tile.
//! The gradient with respect to the input is the same convolution of `dY` with weights rotated by
//! 180°; the gradient with respect to the weights is the transpose,
//! `dg = Gᵀ [Σ (A dY Aᵀ) ⊙ (Bᵀ d B)] G`.
use super::window::{Sliding, Window};
use crate::kernels::gemm::micro::Micro;
use crate::kernels::gemm::packed::{balanced, panel_product};
use crate::kernels::gemm::prefetch;
use crate::kernels::parallel;
use crate::kernels::path::multiversion;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::with_workspace;
use std::array::from_fn;
use std::ops::Range;

/// The number of channels that are transformed together.
const LANES: usize = 64;
/// If the input or the output has fewer channels, the algorithm does not pay off.
const MIN_CHANNELS: usize = 16;
/// Outputs of a tile along height and width.
const SIDE: usize = 4;
/// Inputs of a tile along height and width.
const WIDE: usize = SIDE + 2;
/// Elements of a transformed tile.
const PLACES: usize = WIDE * WIDE;
/// The maximum number of tiles in a strip; once transformed, they stay in the cache.
const STRIP: usize = 36;
/// The maximum for [`backward_weight`]. Longer strips pay off there, because each strip adds once
/// to all sums.
const LONG_STRIP: usize = 72;
/// The points are 0, ±P and ±Q. P and Q have few binary digits, so P², Q² and P²Q² are exact.
const P: f64 = 0.625;
const Q: f64 = 1.5;

/// Whether this algorithm applies, and pays off, for `n` output channels.
pub fn suits(over: &Sliding, n: usize) -> bool {
    let Window { size, stride, padding } = over.window;
    let shape = size == [3, 3] && stride == [1, 1] && padding[0] <= 2 && padding[1] <= 2;
    let enough = over.channels() >= MIN_CHANNELS && n >= MIN_CHANNELS;
    shape && enough && PLACES * tiles(over) < 9 * over.count()
}

/// `y [B, H', W', N]` for `x [B, H, W, C]` and panels of `wᵀ [9 C, N]`.
pub fn forward<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    (panels, n): (&[T], usize),
    y: &mut [T],
) {
    let (c, panel) = (over.channels(), over.covered() * micro.cols);
    let len = PLACES * c * micro.cols;
    with_workspace(n.div_ceil(micro.cols) * len, |u| {
        let tasks = u.chunks_mut(len).zip(panels.chunks(panel));
        parallel::for_each(tasks, |(u, g)| {
            transform_weights(g, |[i, j]| (3 * i + j) * panel / 9, u);
        });
        convolve(micro, over, x, u, T::zero(), (y, n));
    });
}

/// `dx ← β dx + …` for `dy [B, H', W', N]`, given panels of the weights `[N, C]` of each place in
/// the window.
pub fn backward_input<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    dy: &[T],
    (panels, n): (&[T], usize),
    beta: T,
    dx: &mut [T],
) {
    let (c, panel, len) = (over.channels(), panels.len() / 9, PLACES * n * micro.cols);
    let ([h, w], padding) = (over.positions, over.window.padding.map(|side| 2 - side));
    let window = Window { padding, ..over.window };
    let over = window.over([h, w, n]).expect("a position for each pixel of dx");
    with_workspace(c.div_ceil(micro.cols) * len, |u| {
        parallel::for_each(u.chunks_mut(len).enumerate(), |(j, u)| {
            let rotated = |[y, x]: [usize; 2]| (8 - 3 * y - x) * panel + j * n * micro.cols;
            transform_weights(panels, rotated, u);
        });
        convolve(micro, &over, dy, u, beta, (dx, c));
    });
}

/// `dw [N, 9 C] ← Gᵀ [Σ (A dY Aᵀ) ⊙ (Bᵀ d B)] G`, summed over these images on one thread.
pub fn backward_weight<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    (dy, n): (&[T], usize),
    dw: &mut [T],
) {
    let (c, scratch) = (over.channels(), &mut Scratch::new());
    with_workspace(PLACES * n * c, |sum| {
        for strip in strips(over, x, LONG_STRIP) {
            let [x_len, y_len] = [c, n].map(|n| plane_len(strip.len(), n));
            let beta = if strip.start > 0 { T::one() } else { T::zero() };
            with_workspace(PLACES * (x_len + y_len) + micro.cols, |room| {
                let (d, v) = room.split_at_mut(PLACES * y_len);
                transform_input(over, x, &strip, v, scratch);
                for (i, tile) in strip.clone().enumerate() {
                    let to = (&mut *d, grid(i * n, y_len));
                    transform(A, scratch, (dy, outputs(over, n, tile)), to, n, false);
                }
                for (place, sum) in sum.chunks_exact_mut(n * c).enumerate() {
                    for j in (0..c).step_by(micro.cols) {
                        let d = (&d[place * y_len..], [1, n]);
                        let v = (&v[place * x_len + j..], c);
                        let size = [n, strip.len(), c - j];
                        panel_product(micro, d, v, beta, (&mut sum[j..], c), size);
                    }
                }
            });
        }
        for (unit, dw) in dw.chunks_exact_mut(9 * c).enumerate() {
            transform(Gt, scratch, (sum, grid(unit * c, n * c)), (dw, grid(0, c)), c, false);
        }
    });
}

/// `G g Gᵀ` for a panel of weights `g`, in which the weights of place `[i, j]` begin at
/// `at([i, j])`.
fn transform_weights<T: Scalar>(g: &[T], at: impl Fn([usize; 2]) -> usize, u: &mut [T]) {
    let n = u.len() / PLACES;
    let from = from_fn(|i| from_fn(|j| Some(at([i, j]))));
    transform(G, &mut Scratch::new(), (g, from), (u, grid(0, n)), n, false);
}

/// `y[b, p, n] ← β y + Σ w x` in parallel over images, given `u` from [`transform_weights`], for
/// `β` 0 or 1.
fn convolve<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    u: &[T],
    beta: T,
    (y, n): (&mut [T], usize),
) {
    // As many images in a task as fill a strip.
    let (c, images) = (over.channels(), STRIP.div_ceil(tiles(over)));
    let tasks = y.chunks_mut(images * over.count() * n);
    parallel::for_each(tasks.zip(x.chunks(images * over.image_len())), |(y, x)| {
        let scratch = &mut Scratch::new();
        for strip in strips(over, x, STRIP) {
            let [from, to] = [c, n].map(|n| plane_len(strip.len(), n));
            with_workspace(PLACES * (from + to), |room| {
                let (v, m) = room.split_at_mut(PLACES * from);
                transform_input(over, x, &strip, v, scratch);
                let places = v.chunks_exact(from).zip(m.chunks_exact_mut(to));
                for (place, (v, m)) in places.enumerate() {
                    let panels = u.chunks_exact(c * micro.cols).skip(place).step_by(PLACES);
                    for (j, panel) in (0..n).step_by(micro.cols).zip(panels) {
                        let (panel, to) = ((panel, micro.cols), (&mut m[j..], n));
                        let size = [strip.len(), c, n - j];
                        panel_product(micro, (v, [c, 1]), panel, T::zero(), to, size);
                    }
                }
                for (i, tile) in strip.clone().enumerate() {
                    let (m, to) = ((&*m, grid(i * n, to)), (&mut *y, outputs(over, n, tile)));
                    transform(At, scratch, m, to, n, beta != T::zero());
                }
            });
        }
    });
}

/// `Bᵀ d B` of a strip of tiles.
fn transform_input<T: Scalar>(
    over: &Sliding,
    x: &[T],
    strip: &Range<usize>,
    v: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let c = over.channels();
    for (i, tile) in strip.clone().enumerate() {
        for ahead in inputs(over, tile + 1).iter().flat_map(|row| &row[2..]).flatten() {
            (*ahead..ahead + c)
                .step_by(64 / size_of::<T>())
                .for_each(|at| prefetch(x.as_ptr().wrapping_add(at)));
        }
        let to = (&mut *v, grid(i * c, plane_len(strip.len(), c)));
        transform(Bt, scratch, (x, inputs(over, tile)), to, c, false);
    }
}

/// The number of tiles along height and width.
fn tiling(over: &Sliding) -> [usize; 2] {
    over.positions.map(|n| n.div_ceil(SIDE))
}

/// The number of tiles of an image.
fn tiles(over: &Sliding) -> usize {
    tiling(over).iter().product()
}

/// All tiles of these images in order, in strips of at most `max`.
fn strips<T>(over: &Sliding, x: &[T], max: usize) -> impl Iterator<Item = Range<usize>> {
    let all = x.len() / over.image_len() * tiles(over);
    let len = balanced(all, max);
    (0..all).step_by(len).map(move |start| start..all.min(start + len))
}

/// Elements from one place to the next in `count` transformed tiles of `n` channels. The 16
/// additional elements avoid most powers of two, whose multiples map to the same cache sets.
fn plane_len(count: usize, n: usize) -> usize {
    count * n + 16
}

/// The offset of each element of a tile; `None` outside of the image.
type Offsets<const N: usize> = [[Option<usize>; N]; N];

/// Offsets of `N × N` elements at a constant distance.
fn grid<const N: usize>(start: usize, distance: usize) -> Offsets<N> {
    from_fn(|i| from_fn(|j| Some(start + (N * i + j) * distance)))
}

/// The index of the image that a tile is in, and the position of its first output.
fn origin(over: &Sliding, tile: usize) -> (usize, [usize; 2]) {
    let (all, across) = (tiles(over), tiling(over)[1]);
    let within = tile % all;
    (tile / all, [SIDE * (within / across), SIDE * (within % across)])
}

/// A tile transformed along its rows, and one of its columns, transformed along both axes.
struct Scratch<T>([[[T; LANES]; WIDE]; WIDE], [[T; LANES]; WIDE]);

impl<T: Scalar> Scratch<T> {
    fn new() -> Self {
        let zeros = [T::zero(); LANES];
        Self([[zeros; WIDE]; WIDE], [zeros; WIDE])
    }
}

/// Offsets of the inputs of a tile in the images; `None` in padding or beyond.
fn inputs(over: &Sliding, tile: usize) -> Offsets<WIDE> {
    let ([h, w, c], [y, x]) = (over.image, over.window.padding);
    let (image, [top, left]) = origin(over, tile);
    let mut all = [[None; WIDE]; WIDE];
    for (i, row) in (top..).zip(&mut all).filter(|(i, _)| (y..y + h).contains(i)) {
        for (j, at) in (left..).zip(row).filter(|(j, _)| (x..x + w).contains(j)) {
            *at = Some(((image * h + i - y) * w + j - x) * c);
        }
    }
    all
}

/// Offsets of the outputs of a tile; `None` beyond the last position.
fn outputs(over: &Sliding, n: usize, tile: usize) -> Offsets<SIDE> {
    let ([height, width], (image, [top, left])) = (over.positions, origin(over, tile));
    let mut all = [[None; SIDE]; SIDE];
    for (i, row) in (top..height).zip(&mut all) {
        for (j, at) in (left..width).zip(row) {
            *at = Some(((image * height + i) * width + j) * n);
        }
    }
    all
}

/// One of the matrices of the module's documentation. It is a type so that its product is inlined.
trait Matrix<const N: usize, const M: usize> {
    /// The product of the matrix with `x`.
    fn times<T: Scalar>(x: [T; N]) -> [T; M];
}

struct Bt;
struct G;
struct Gt;
struct A;
struct At;

impl Matrix<6, 6> for Bt {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, u, v, w]: [T; 6]) -> [T; 6] {
        let [p, q, pq, p_q] = [P * P, Q * Q, P * P * Q * Q, P * P + Q * Q].map(T::of);
        let [a, b] = signs(P, v - q * z, u - q * y);
        let [c, d] = signs(Q, v - p * z, u - p * y);
        [v - p_q * z + pq * x, a, b, c, d, w - p_q * u + pq * y]
    }
}

impl Matrix<3, 6> for G {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z]: [T; 3]) -> [T; 6] {
        let [zero, p, q] = LAGRANGE.map(T::of);
        let [a, b] = signs(P, p * (x + T::of(P * P) * z), p * y);
        let [c, d] = signs(Q, q * (x + T::of(Q * Q) * z), q * y);
        [zero * x, a, b, c, d, z]
    }
}

impl Matrix<6, 3> for Gt {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, u, v, w]: [T; 6]) -> [T; 3] {
        let [zero, p, q] = LAGRANGE.map(T::of);
        let (a, b) = (p * (y + z), p * (y - z));
        let (c, d) = (q * (u + v), q * (u - v));
        let squares = T::of(P * P) * a + T::of(Q * Q) * c;
        [zero * x + a + c, T::of(P) * b + T::of(Q) * d, squares + w]
    }
}

impl Matrix<4, 6> for A {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, w]: [T; 4]) -> [T; 6] {
        let (p, q) = (T::of(P * P), T::of(Q * Q));
        let [a, b] = signs(P, x + p * z, y + p * w);
        let [c, d] = signs(Q, x + q * z, y + q * w);
        [x, a, b, c, d, w]
    }
}

impl Matrix<6, 4> for At {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, u, v, w]: [T; 6]) -> [T; 4] {
        let (p, q) = (T::of(P * P), T::of(Q * Q));
        let (a, b) = (y + z, T::of(P) * (y - z));
        let (c, d) = (u + v, T::of(Q) * (u - v));
        [x + a + c, b + d, p * a + q * c, p * b + q * d + w]
    }
}

/// Lagrange's `1 / Π (x - others)` for the points 0, ±P and ±Q.
const LAGRANGE: [f64; 3] = {
    let (p, q) = (P * P, Q * Q);
    [1. / (p * q), 0.5 / (p * (p - q)), 0.5 / (q * (q - p))]
};

/// A polynomial at `x` and at `-x`: `even + x odd` and `even - x odd`.
#[inline(always)]
fn signs<T: Scalar>(x: f64, even: T, odd: T) -> [T; 2] {
    let odd = T::of(x) * odd;
    [even + odd, even - odd]
}

multiversion! {
    /// `to ← F from Fᵀ`, or `to ← to + F from Fᵀ` if `add`, for the `n` channels of a tile.
    /// Elements without an offset are read as 0 and not written.
    fn transform[T: Scalar, F: Matrix<N, M>, const N: usize, const M: usize](
        _f: F,
        scratch: &mut Scratch<T>,
        from: (&[T], Offsets<N>),
        to: (&mut [T], Offsets<M>),
        n: usize,
        add: bool,
    ) {
        let Scratch(half, whole) = scratch;
        let ((from, from_at), (to, to_at)) = (from, to);
        let zeros = [T::zero(); LANES];
        for start in (0..n).step_by(LANES) {
            let len = LANES.min(n - start);
            for (half, from_at) in half.iter_mut().zip(&from_at) {
                let mut rows = [&zeros[..len]; N];
                for (row, at) in rows.iter_mut().zip(from_at) {
                    if let Some(at) = at {
                        *row = &from[at + start..][..len];
                    }
                }
                for c in 0..len {
                    let mut x = [T::zero(); N];
                    for j in 0..N {
                        x[j] = rows[j][c];
                    }
                    let y = F::times(x);
                    for j in 0..M {
                        half[j][c] = y[j];
                    }
                }
            }
            for j in 0..M {
                for c in 0..len {
                    let mut x = [T::zero(); N];
                    for i in 0..N {
                        x[i] = half[i][j][c];
                    }
                    let y = F::times(x);
                    for i in 0..M {
                        whole[i][c] = y[i];
                    }
                }
                for i in 0..M {
                    let Some(at) = to_at[i][j] else { continue };
                    let to = &mut to[at + start..][..len];
                    if add {
                        to.iter_mut().zip(&whole[i]).for_each(|(to, &x)| *to += x);
                    } else {
                        to.copy_from_slice(&whole[i][..len]);
                    }
                }
            }
        }
    }
}
