//! Windows of 3 × 3 with 36 products where there would be 144: Winograd's `F(4×4, 3×3)` (Lavin & Gray 2016,
//! arXiv 1509.09308).
//!
//! Sixteen outputs `Y [4, 4]` of inputs `d [6, 6]` and weights `g [3, 3]` are `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`:
//! a product of polynomials by their values at five points and at infinity. For the point `x` among the `points`,
//!
//! ```text
//! column of Aᵀ   1, x, x², x³                          at infinity   0, 0, 0, 1
//! row of G       (1, x, x²) / Π (x - others)                         0, 0, 1
//! row of Bᵀ      the coefficients of Π (z - others)                  those of Π (z - points)
//! ```
//!
//! The points are 0, ±P and ±Q. With Lavin & Gray's, 1 and 2, rounding errors are 4.5 times those of one running sum;
//! with ⅝ and 1½ they are twice as large (root mean squares, 64 and 128 channels, normal weights). An input that is
//! not finite spoils all outputs of its tiles.
//!
//! With channels `⊙` is 36 products of matrices. The gradient by the input is the same for `dY` and weights
//! turned round; that by the weights is the transpose, `dg = Gᵀ [Σ (A dY Aᵀ) ⊙ (Bᵀ d B)] G`.
use super::{Sliding, Window};
use crate::kernels::gemm::micro::{Blend, Micro, prefetch};
use crate::kernels::gemm::packed::{even, with_space};
use crate::kernels::path::versions;
use crate::kernels::scalar::Scalar;
use std::array::from_fn;
use std::ops::Range;

/// Channels at a time.
const LANES: usize = 64;
/// Fewer channels, on either side, are not worth it.
const LEAST: usize = 16;
/// Outputs of a tile, along height and width.
const SIDE: usize = 4;
/// Inputs that they need.
const WIDE: usize = SIDE + 2;
/// Entries of a transformed tile.
pub const PLACES: usize = WIDE * WIDE;
/// Tiles at a time, at most: transformed, they stay near.
const STRIP: usize = 36;
/// The same for [`collect`], whose sums a strip adds to once.
const LONG: usize = 72;
/// The points are 0, ±P and ±Q: of few binary digits, so that P², Q² and P²Q² are exact.
const P: f64 = 0.625;
const Q: f64 = 1.5;

/// Whether this is for these windows, with `n` numbers a position.
pub fn suits(over: &Sliding, n: usize) -> bool {
    let Window { size, stride, padding } = over.window;
    let shape = size == [3, 3] && stride == [1, 1] && padding[0] <= 2 && padding[1] <= 2;
    let are_enough = over.image[2] >= LEAST && n >= LEAST;
    shape && are_enough && PLACES * tiles(over) < 9 * over.count()
}

/// Images to be done together, so that they fill a strip.
pub fn together(over: &Sliding) -> usize {
    STRIP.div_ceil(tiles(over))
}

/// The windows that spread `n` numbers a position over the image: those of the gradient by it.
pub fn back(over: &Sliding, n: usize) -> Sliding {
    let [h, w] = over.positions;
    let window = Window { padding: over.window.padding.map(|side| 2 - side), ..over.window };
    window.over([h, w, n]).expect("as many as the image has pixels")
}

/// `G g Gᵀ` for panels of weights: `at` is where in `g` those of each place in the window begin.
pub fn weights<T: Scalar>(g: &[T], at: impl Fn([usize; 2]) -> usize, u: &mut [T]) {
    let n = u.len() / PLACES;
    let from = from_fn(|i| from_fn(|j| Some(at([i, j]))));
    let halves = &mut Halves::new();
    transform(G, halves, (g, from), (u, grid(0, n)), n, false);
}

/// `y[b, p, n] ← Σ w x`, or with it added, for some images and `u` the weights by [`weights`].
pub fn convolve<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    u: &[T],
    add: bool,
    (y, n): (&mut [T], usize),
) {
    let (c, halves) = (over.image[2], &mut Halves::new());
    for strip in strips(over, x, STRIP) {
        let [from, to] = [c, n].map(|n| plane(strip.len(), n));
        with_space(PLACES * (from + to), |room| {
            let (v, m) = room.split_at_mut(PLACES * from);
            spread_input(over, x, &strip, v, halves);
            for (place, (v, m)) in v.chunks_exact(from).zip(m.chunks_exact_mut(to)).enumerate() {
                let panels = u.chunks_exact(c * micro.cols).skip(place).step_by(PLACES);
                for (j, panel) in (0..n).step_by(micro.cols).zip(panels) {
                    let (panel, m, size) =
                        ((panel, micro.cols), (&mut m[j..], n), [strip.len(), c, n - j]);
                    product(micro, (v, [c, 1]), panel, m, size, false);
                }
            }
            for (i, at) in strip.clone().enumerate() {
                let (m, to) = ((&*m, grid(i * n, to)), (&mut *y, outputs(over, n, at)));
                transform(ATurned, halves, m, to, n, add);
            }
        });
    }
}

/// `dw[n, k] ← Gᵀ [Σ (A dY Aᵀ) ⊙ (Bᵀ d B)] G` of some images.
pub fn collect<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    (dy, n): (&[T], usize),
    dw: &mut [T],
) {
    let (c, halves) = (over.image[2], &mut Halves::new());
    with_space(PLACES * n * c, |sum| {
        for strip in strips(over, x, LONG) {
            let [by_x, by_y] = [c, n].map(|n| plane(strip.len(), n));
            with_space(PLACES * (by_x + by_y) + micro.cols, |room| {
                let (d, v) = room.split_at_mut(PLACES * by_y);
                spread_input(over, x, &strip, v, halves);
                for (i, at) in strip.clone().enumerate() {
                    let to = (&mut *d, grid(i * n, by_y));
                    transform(A, halves, (dy, outputs(over, n, at)), to, n, false);
                }
                for (place, sum) in sum.chunks_exact_mut(n * c).enumerate() {
                    for j in (0..c).step_by(micro.cols) {
                        let d = (&d[place * by_y..], [1, n]);
                        let v = (&v[place * by_x + j..], c);
                        let size = [n, strip.len(), c - j];
                        product(micro, d, v, (&mut sum[j..], c), size, strip.start > 0);
                    }
                }
            });
        }
        for (unit, dw) in dw.chunks_exact_mut(9 * c).enumerate() {
            transform(GTurned, halves, (sum, grid(unit * c, n * c)), (dw, grid(0, c)), c, false);
        }
    });
}

/// `Bᵀ d B` of some tiles.
fn spread_input<T: Scalar>(
    over: &Sliding,
    x: &[T],
    strip: &Range<usize>,
    v: &mut [T],
    halves: &mut Halves<T>,
) {
    let c = over.image[2];
    for (i, at) in strip.clone().enumerate() {
        for ahead in inputs(over, at + 1).iter().flat_map(|row| &row[2..]).flatten() {
            (*ahead..ahead + c)
                .step_by(64 / size_of::<T>())
                .for_each(|at| prefetch(x.as_ptr().wrapping_add(at)));
        }
        let to = (&mut *v, grid(i * c, plane(strip.len(), c)));
        transform(BTurned, halves, (x, inputs(over, at)), to, c, false);
    }
}

/// One panel's columns of `C ← A B`, or with it added, for `A [m, k]` and at most a panel's width of `n`.
fn product<T: Scalar>(
    micro: Micro<T>,
    (a, [down, across]): (&[T], [usize; 2]),
    (panel, width): (&[T], usize),
    (c, row): (&mut [T], usize),
    [m, k, n]: [usize; 3],
    add: bool,
) {
    let (rows, n) = (even(m, micro.rows), n.min(micro.cols));
    assert!(a.len() > (m - 1) * down + (k - 1) * across && c.len() >= (m - 1) * row + n);
    assert!(panel.len() >= (k - 1) * width + micro.cols);
    let blend = Blend { alpha: T::one(), beta: if add { T::one() } else { T::zero() } };
    for i in (0..m).step_by(rows) {
        // SAFETY: the instruction set was detected; all entries are within the lengths above.
        unsafe {
            (micro.tile)(
                k,
                (a.as_ptr().add(i * down), [down as isize, across as isize]),
                (panel.as_ptr(), width as isize),
                (c.as_mut_ptr().add(i * row), row as isize),
                [rows.min(m - i), n],
                blend,
            );
        }
    }
}

/// Tiles along height and width.
fn tiling(over: &Sliding) -> [usize; 2] {
    over.positions.map(|n| n.div_ceil(SIDE))
}

/// Tiles of an image.
fn tiles(over: &Sliding) -> usize {
    tiling(over).iter().product()
}

/// All tiles of these images in order, some at a time.
fn strips<T>(over: &Sliding, x: &[T], most: usize) -> impl Iterator<Item = Range<usize>> {
    let all = x.len() / over.entries() * tiles(over);
    let some = even(all, most);
    (0..all).step_by(some).map(move |start| start..all.min(start + some))
}

/// What `count` tiles of `n` channels take for each place. Not a power of two, whose multiples push each other out of
/// the cache.
fn plane(count: usize, n: usize) -> usize {
    count * n + 16
}

/// Where each of `N × N` places is, so far apart.
fn grid<const N: usize>(start: usize, apart: usize) -> [[Option<usize>; N]; N] {
    from_fn(|i| from_fn(|j| Some(start + (N * i + j) * apart)))
}

/// A tile's image, and where in it its outputs begin.
fn begin(over: &Sliding, tile: usize) -> (usize, [usize; 2]) {
    let (all, across) = (tiles(over), tiling(over)[1]);
    let within = tile % all;
    (tile / all, [SIDE * (within / across), SIDE * (within % across)])
}

/// A tile transformed along its rows, and one of its columns along both.
struct Halves<T>([[[T; LANES]; WIDE]; WIDE], [[T; LANES]; WIDE]);

impl<T: Scalar> Halves<T> {
    fn new() -> Self {
        let zeros = [T::zero(); LANES];
        Self([[zeros; WIDE]; WIDE], [zeros; WIDE])
    }
}

/// Where a tile's inputs are in the images, unless in their padding or beyond.
fn inputs(over: &Sliding, tile: usize) -> [[Option<usize>; WIDE]; WIDE] {
    let ([h, w, c], [y, x]) = (over.image, over.window.padding);
    let (image, [top, left]) = begin(over, tile);
    let mut all = [[None; WIDE]; WIDE];
    for (i, row) in (top..).zip(&mut all).filter(|(i, _)| (y..y + h).contains(i)) {
        for (j, at) in (left..).zip(row).filter(|(j, _)| (x..x + w).contains(j)) {
            *at = Some(((image * h + i - y) * w + j - x) * c);
        }
    }
    all
}

/// Where a tile's outputs are, unless beyond.
fn outputs(over: &Sliding, n: usize, tile: usize) -> [[Option<usize>; SIDE]; SIDE] {
    let ([height, width], (image, [top, left])) = (over.positions, begin(over, tile));
    let mut all = [[None; SIDE]; SIDE];
    for (i, row) in (top..height).zip(&mut all) {
        for (j, at) in (left..width).zip(row) {
            *at = Some(((image * height + i) * width + j) * n);
        }
    }
    all
}

/// One of the matrices above: a type, so that what it does is put in line.
trait Matrix<const N: usize, const M: usize> {
    /// `M x`.
    fn times<T: Scalar>(x: [T; N]) -> [T; M];
}

struct BTurned;
struct G;
struct GTurned;
struct A;
struct ATurned;

impl Matrix<6, 6> for BTurned {
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

impl Matrix<6, 3> for GTurned {
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

impl Matrix<6, 4> for ATurned {
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

/// A polynomial at `x` and at `-x`, by its even powers, and by its odd ones but for a factor `x`.
#[inline(always)]
fn signs<T: Scalar>(x: f64, even: T, odd: T) -> [T; 2] {
    let odd = T::of(x) * odd;
    [even + odd, even - odd]
}

versions! {
    /// `to ← F from Fᵀ`, or with it added, for `n` channels of blocks of places. What is nowhere is 0.
    fn transform[T: Scalar, F: Matrix<N, M>, const N: usize, const M: usize](
        _f: F,
        halves: &mut Halves<T>,
        from: (&[T], [[Option<usize>; N]; N]),
        to: (&mut [T], [[Option<usize>; M]; M]),
        n: usize,
        add: bool,
    ) {
        let Halves(half, whole) = halves;
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
