//! Windows of 3 × 3 with 16 products where there would be 36: Winograd's `F(2×2, 3×3)` (Lavin & Gray 2016,
//! arXiv 1509.09308).
//!
//! Four outputs `Y [2, 2]` of inputs `d [4, 4]` and weights `g [3, 3]` are `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, with
//!
//! ```text
//!      1  0 -1  0         1  0  0
//! Bᵀ = 0  1  1  0    G =  ½  ½  ½    Aᵀ = 1  1  1  0
//!      0 -1  1  0         ½ -½  ½         0  1 -1 -1
//!      0  1  0 -1         0  0  1
//! ```
//!
//! and with channels `⊙` is 16 products of matrices. The gradient by the input is the same for `dY` and weights
//! turned round; that by the weights is the transpose, `dg = Gᵀ [Σ (A dY Aᵀ) ⊙ (Bᵀ d B)] G`.
use super::{Sliding, Window};
use crate::kernels::micro::{Blend, Micro};
use crate::kernels::packed::{even, with_space};
use crate::scalar::Scalar;
use multiversion::multiversion;
use std::array::from_fn;
use std::ops::Range;

/// Channels at a time; fewer of them, on either side, are not worth it.
const LANES: usize = 16;
/// Entries of a transformed tile.
pub const PLACES: usize = 16;
/// Tiles at a time, about: transformed, they stay near.
const STRIP: usize = 56;

/// Whether this is for these windows, with `n` numbers a position.
pub fn suits(over: &Sliding, n: usize) -> bool {
    let Window { size, stride, padding } = over.window;
    let shape = size == [3, 3] && stride == [1, 1] && padding[0] <= 2 && padding[1] <= 2;
    shape && over.image[2] >= LANES && n >= LANES
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
    transform(G, (g, from), (u, grid(0, n)), n, false);
}

/// `y[p, n] ← Σ w x`, or with it added, for one image and `u` the weights by [`weights`].
pub fn convolve<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    u: &[T],
    add: bool,
    (y, n): (&mut [T], usize),
) {
    let c = over.image[2];
    for strip in strips(over) {
        let [from, to] = [c, n].map(|n| plane(strip.len(), n));
        with_space(PLACES * (from + to), |room| {
            let (v, m) = room.split_at_mut(PLACES * from);
            spread_input(over, x, &strip, v);
            for (j, u) in (0..n).step_by(micro.cols).zip(u.chunks_exact(PLACES * c * micro.cols)) {
                for (place, panel) in u.chunks_exact(c * micro.cols).enumerate() {
                    let (v, m) = (&v[place * from..], &mut m[place * to + j..]);
                    product(
                        micro,
                        (v, [c, 1]),
                        (panel, micro.cols),
                        (m, n),
                        [strip.len(), c, n - j],
                        false,
                    );
                }
            }
            for (i, at) in strip.clone().enumerate() {
                let (m, to) = ((&*m, grid(i * n, to)), (&mut *y, outputs(over, n, at)));
                transform(ATurned, m, to, n, add);
            }
        });
    }
}

/// Adds `(A dY Aᵀ) ⊙ (Bᵀ d B)` of one image to `sum [16, N, C]`.
pub fn collect<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    (dy, n): (&[T], usize),
    sum: &mut [T],
) {
    let c = over.image[2];
    for strip in strips(over) {
        let [by_x, by_y] = [c, n].map(|n| plane(strip.len(), n));
        with_space(PLACES * (by_x + by_y) + micro.cols, |room| {
            let (d, v) = room.split_at_mut(PLACES * by_y);
            spread_input(over, x, &strip, v);
            for (i, at) in strip.clone().enumerate() {
                transform(A, (dy, outputs(over, n, at)), (&mut *d, grid(i * n, by_y)), n, false);
            }
            for (place, sum) in sum.chunks_exact_mut(n * c).enumerate() {
                for j in (0..c).step_by(micro.cols) {
                    let (d, v) = (&d[place * by_y..], &v[place * by_x + j..]);
                    product(
                        micro,
                        (d, [1, n]),
                        (v, c),
                        (&mut sum[j..], c),
                        [n, strip.len(), c - j],
                        true,
                    );
                }
            }
        });
    }
}

/// `dw[k] ← β dw + Gᵀ s G` for the weights of unit `unit` and `s` its part of `sum [16, N, C]`, for `β` 0 or 1.
pub fn unit_weights<T: Scalar>(sum: &[T], unit: usize, add: bool, dw: &mut [T]) {
    let c = dw.len() / 9;
    transform(GTurned, (sum, grid(unit * c, sum.len() / PLACES)), (dw, grid(0, c)), c, add);
}

/// `Bᵀ d B` of some tiles.
fn spread_input<T: Scalar>(over: &Sliding, x: &[T], strip: &Range<usize>, v: &mut [T]) {
    let c = over.image[2];
    for (i, at) in strip.clone().enumerate() {
        transform(
            B,
            (x, inputs(over, at)),
            (&mut *v, grid(i * c, plane(strip.len(), c))),
            c,
            false,
        );
    }
}

/// One tile of columns of `C ← A B`, or with it added, for `A [m, k]` and at most a panel's width of `n`.
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

/// Tiles of two by two outputs, along height and width.
fn tiles(over: &Sliding) -> [usize; 2] {
    over.positions.map(|n| n.div_ceil(2))
}

/// All tiles in order, some at a time.
fn strips(over: &Sliding) -> impl Iterator<Item = Range<usize>> {
    let all = tiles(over).iter().product();
    let some = even(all, STRIP);
    (0..all).step_by(some).map(move |start| start..all.min(start + some))
}

/// What `count` tiles of `n` channels take for each place. Not a power of two, whose multiples push each other out of
/// the cache.
fn plane(count: usize, n: usize) -> usize {
    count * n + LANES
}

/// Where each of `N × N` places is, so far apart.
fn grid<const N: usize>(start: usize, apart: usize) -> [[Option<usize>; N]; N] {
    from_fn(|i| from_fn(|j| Some(start + (N * i + j) * apart)))
}

/// Where a tile's inputs are in the image, unless in its padding or beyond.
fn inputs(over: &Sliding, tile: usize) -> [[Option<usize>; 4]; 4] {
    let ([h, w, c], [y, x], across) = (over.image, over.window.padding, tiles(over)[1]);
    let along = |at: usize, pad: usize, n: usize| -> [Option<usize>; 4] {
        from_fn(|i| (2 * at + i).checked_sub(pad).filter(|&i| i < n))
    };
    let (rows, columns) = (along(tile / across, y, h), along(tile % across, x, w));
    rows.map(|i| columns.map(|j| Some((i? * w + j?) * c)))
}

/// Where a tile's outputs are, unless beyond.
fn outputs(over: &Sliding, n: usize, tile: usize) -> [[Option<usize>; 2]; 2] {
    let ([height, width], across) = (over.positions, tiles(over)[1]);
    let (top, left) = (2 * (tile / across), 2 * (tile % across));
    from_fn(|i| {
        from_fn(|j| {
            (top + i < height && left + j < width).then(|| ((top + i) * width + left + j) * n)
        })
    })
}

/// Some channels of one place.
type Lanes<T> = [T; LANES];

/// One of the matrices above: a type, so that what it does is put in line.
trait Matrix<const N: usize, const M: usize> {
    /// By it.
    fn times<T: Scalar>(x: [Lanes<T>; N]) -> [Lanes<T>; M];
}

struct B;
struct G;
struct GTurned;
struct A;
struct ATurned;

impl Matrix<4, 4> for B {
    /// `Bᵀ x`.
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, w]: [Lanes<T>; 4]) -> [Lanes<T>; 4] {
        [minus(x, z), plus(y, z), minus(z, y), minus(y, w)]
    }
}

impl Matrix<3, 4> for G {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z]: [Lanes<T>; 3]) -> [Lanes<T>; 4] {
        let ends = plus(x, z);
        [x, half(plus(ends, y)), half(minus(ends, y)), z]
    }
}

impl Matrix<4, 3> for GTurned {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, w]: [Lanes<T>; 4]) -> [Lanes<T>; 3] {
        let middle = half(plus(y, z));
        [plus(x, middle), half(minus(y, z)), plus(middle, w)]
    }
}

impl Matrix<2, 4> for A {
    #[inline(always)]
    fn times<T: Scalar>([x, y]: [Lanes<T>; 2]) -> [Lanes<T>; 4] {
        [x, plus(x, y), minus(x, y), minus([T::zero(); LANES], y)]
    }
}

impl Matrix<4, 2> for ATurned {
    #[inline(always)]
    fn times<T: Scalar>([x, y, z, w]: [Lanes<T>; 4]) -> [Lanes<T>; 2] {
        [plus(plus(x, y), z), minus(minus(y, z), w)]
    }
}

#[inline(always)]
fn plus<T: Scalar>(mut x: Lanes<T>, y: Lanes<T>) -> Lanes<T> {
    for i in 0..LANES {
        x[i] += y[i];
    }
    x
}

#[inline(always)]
fn minus<T: Scalar>(mut x: Lanes<T>, y: Lanes<T>) -> Lanes<T> {
    for i in 0..LANES {
        x[i] -= y[i];
    }
    x
}

#[inline(always)]
fn half<T: Scalar>(mut x: Lanes<T>) -> Lanes<T> {
    let half = T::one() / (T::one() + T::one());
    for x in &mut x {
        *x *= half;
    }
    x
}

/// `to ← F from Fᵀ`, or with it added, for `n` channels of blocks of places; what is nowhere is 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn transform<T: Scalar, F: Matrix<N, M>, const N: usize, const M: usize>(
    _: F,
    (from, from_at): (&[T], [[Option<usize>; N]; N]),
    (to, to_at): (&mut [T], [[Option<usize>; M]; M]),
    n: usize,
    add: bool,
) {
    let zeros = [T::zero(); LANES];
    for c in (0..n).step_by(LANES) {
        let mut across = [[zeros; N]; M];
        for i in 0..N {
            let mut row = [zeros; N];
            for j in 0..N {
                if let Some(at) = from_at[i][j] {
                    row[j] = part(&from[at + c..]);
                }
            }
            let row = F::times(row);
            for j in 0..M {
                across[j][i] = row[j];
            }
        }
        for j in 0..M {
            let column = F::times(across[j]);
            for i in 0..M {
                let Some(at) = to_at[i][j] else { continue };
                let to = &mut to[at + c..at + n.min(c + LANES)];
                match (<&mut Lanes<T>>::try_from(&mut *to), add) {
                    (Ok(to), false) => *to = column[i],
                    (Ok(to), true) => *to = plus(*to, column[i]),
                    (Err(_), false) => to.copy_from_slice(&column[i][..to.len()]),
                    (Err(_), true) => to.iter_mut().zip(column[i]).for_each(|(to, x)| *to += x),
                }
            }
        }
    }
}

/// The first numbers, and some that follow: those beyond the channels are not used.
#[inline(always)]
fn part<T: Scalar>(x: &[T]) -> Lanes<T> {
    match x.first_chunk() {
        Some(x) => *x,
        None => {
            let mut part = [T::zero(); LANES];
            part[..x.len()].copy_from_slice(x);
            part
        }
    }
}
