//! Convolutions of images `[H, W, C]`, their channels last, and both gradients.
//!
//! What one row of a window covers lies side by side: `w·C` adjacent entries of the image, `stride·C`
//! further on for the next position. These are the rows of a matrix, overlapping in memory, that the
//! micro-kernel reads where they lie: a convolution is one product for each row of the window, added
//! up. So are its gradients: by the input one product for each place in the window, by the weights one
//! for each few columns of them. Images of few channels are unfolded first, one at a time.
//! Windows of 3 × 3 over enough channels are done with fewer products (`conv/winograd.rs`).
#![allow(unsafe_code)]
mod winograd;

use super::gemm::micro::{Blend, Micro};
use super::gemm::packed::{even, pack_all, with_space};
use super::gemm::{Form, Packed, block};
use super::vector::{self, CHUNK};
use crate::kernels::scalar::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;
use std::ops::Range;

/// Sums over a batch that are kept apart until the end, at most: the tasks of [`backward_weight`].
const PARTS: usize = 8;

/// Images are unfolded if a row of the window has fewer bytes: products would be too short. The same for
/// every processor, as it decides the order of sums.
const SHORT: usize = 128;

/// A window that slides over an image, along its height and its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// What it covers.
    pub size: [usize; 2],
    /// From one position to the next.
    pub stride: [usize; 2],
    /// Zeros around the image, on either side.
    pub padding: [usize; 2],
}

impl Window {
    /// Of this size, at every position within the image.
    pub fn new(size: [usize; 2]) -> Self {
        Self { size, stride: [1, 1], padding: [0, 0] }
    }

    /// Squares side by side, as pools have them.
    pub fn squares(side: usize) -> Self {
        Self { stride: [side; 2], ..Self::new([side; 2]) }
    }

    /// This window over images `[H, W, C]`, if it fits in at least once.
    pub fn over(self, image: [usize; 3]) -> Option<Sliding> {
        let along = |i: usize| {
            let whole = image[i].checked_add(self.padding[i].checked_mul(2)?)?;
            let free = whole.checked_sub(self.size[i])?;
            (self.size[i] > 0).then_some(free.checked_div(self.stride[i])? + 1)
        };
        let over = Sliding { window: self, image, positions: [along(0)?, along(1)?] };
        // No product of sizes is beyond what there are numbers for.
        let [h, w] = self.padding.map(|side| side.saturating_mul(2));
        let sizes = [h.saturating_add(image[0]), w.saturating_add(image[1]), image[2]];
        let all = sizes.into_iter().chain(self.size).try_fold(1, usize::checked_mul);
        (all.is_some() && !image.contains(&0)).then_some(over)
    }
}

/// A window and the images that it slides over.
#[derive(Clone, Copy, Debug)]
pub struct Sliding {
    window: Window,
    /// `[H, W, C]`.
    image: [usize; 3],
    positions: [usize; 2],
}

impl Sliding {
    /// Positions along height and width, `[H', W']`.
    pub fn positions(&self) -> [usize; 2] {
        self.positions
    }

    /// How many numbers the window covers: `h·w·C`.
    pub fn covered(&self) -> usize {
        self.window.size[0] * self.run()
    }

    /// How many of them lie side by side.
    fn run(&self) -> usize {
        self.window.size[1] * self.image[2]
    }

    /// `H'·W'`.
    pub(super) fn count(&self) -> usize {
        self.positions[0] * self.positions[1]
    }

    /// `H·W·C`.
    pub(super) fn entries(&self) -> usize {
        self.image.iter().product()
    }

    /// Where the window's row `row` begins at position `at`, in an image without padding.
    pub(super) fn start(&self, at: [usize; 2], row: usize) -> usize {
        let ([_, w, c], [down, across]) = (self.image, self.window.stride);
        ((at[0] * down + row) * w + at[1] * across) * c
    }

    pub(super) fn window(&self) -> Window {
        self.window
    }

    pub(super) fn channels(&self) -> usize {
        self.image[2]
    }

    /// The same with the padding as part of the image.
    fn padded(&self) -> Self {
        let ([h, w, c], [y, x]) = (self.image, self.window.padding);
        let window = Window { padding: [0, 0], ..self.window };
        Self { window, image: [h + 2 * y, w + 2 * x, c], ..*self }
    }

    fn is_padded(&self) -> bool {
        self.window.padding != [0, 0]
    }

    /// Row by row: where it is in an image, and where in the padded one.
    fn rows(&self) -> impl Iterator<Item = [usize; 2]> {
        let ([h, w, c], [y, x]) = (self.image, self.window.padding);
        (0..h).map(move |i| [i * w * c, ((i + y) * (w + 2 * x) + x) * c])
    }

    /// How many entries [`Sliding::widen`] needs.
    fn space(&self) -> usize {
        if self.is_padded() { self.padded().entries() } else { 0 }
    }

    /// An image with its padding, in `space` if there is any.
    fn widen<'a, T: Scalar>(&self, x: &'a [T], space: &'a mut [T]) -> &'a [T] {
        if !self.is_padded() {
            return x;
        }
        space.fill(T::zero());
        let n = self.image[1] * self.image[2];
        self.rows().for_each(|[from, to]| space[to..to + n].copy_from_slice(&x[from..from + n]));
        space
    }

    /// `f` with what the window covers of an image at each position, `[H'·W', h·w·C]`.
    fn unfolded<T: Scalar>(&self, x: &[T], f: impl FnOnce(&[T])) {
        let (inner, run, space) = (self.padded(), self.run(), self.space());
        with_space(space + self.count() * self.covered(), |room| {
            let (space, unfolded) = room.split_at_mut(space);
            let (x, mut done) = (self.widen(x, space), 0);
            for at in inner.each() {
                for row in 0..self.window.size[0] {
                    copy(&x[inner.start(at, row)..], &mut unfolded[done..], run);
                    done += run;
                }
            }
            f(unfolded);
        });
    }

    /// All positions, in order.
    fn each(&self) -> impl Iterator<Item = [usize; 2]> {
        let [h, w] = self.positions;
        (0..h).flat_map(move |y| (0..w).map(move |x| [y, x]))
    }
}

/// `y[b, p, n] = Σ w[n, k] x[b, p + k]` for images `x [B, H, W, C]` and weights `w [N, h·w·C]`, packed as
/// `wᵀ`, giving `y [B, H', W', N]`. Padding counts as zeros.
///
/// # Panics
/// Unless the lengths agree.
pub fn forward<T: Scalar>(over: &Sliding, x: &[T], w: &Packed<T>, y: &mut [T]) {
    let [k, n] = w.shape();
    let images = batch(over, x, [n, k], y);
    if images * n == 0 {
        return;
    }
    if let (true, &Form::Panels { micro, ref panels, .. }) = (winograd::suits(over, n), &w.0) {
        let (panel, places) = (k * micro.cols, winograd::PLACES * over.image[2] * micro.cols);
        with_space(n.div_ceil(micro.cols) * places, |u| {
            let tasks_of_u = u.par_chunks_mut(places).zip(panels.par_chunks(panel));
            tasks_of_u.for_each(|(u, g)| winograd::weights(g, |[i, j]| (3 * i + j) * panel / 9, u));
            let (u, some) = (&*u, winograd::together(over));
            let tasks = y.par_chunks_mut(some * over.count() * n);
            let tasks = tasks.zip(x.par_chunks(some * over.entries()));
            tasks.for_each(|(y, x)| winograd::convolve(micro, over, x, u, false, (y, n)));
        });
        return;
    }
    let tasks = y.par_chunks_mut(over.count() * n).zip(x.par_chunks(over.entries()));
    tasks.for_each(|(y, x)| {
        let inner = over.padded();
        match &w.0 {
            Form::Panels { micro, panels, .. } if inner.run() < SHORT / size_of::<T>() => {
                over.unfolded(x, |unfolded| {
                    let all = Window::new([1, 1]).over([1, over.count(), k]).expect("one by one");
                    tiles(*micro, &all, unfolded, panels, n, y);
                });
            }
            Form::Panels { micro, panels, .. } => with_space(over.space(), |space| {
                tiles(*micro, &inner, over.widen(x, space), panels, n, y);
            }),
            Form::Plain(w) => over.unfolded(x, |unfolded| {
                let unfolded = matrix(unfolded, [over.count(), k]);
                block(T::one(), unfolded, w.view(), T::zero(), matrix_mut(y, [over.count(), n]));
            }),
        }
    });
}

/// One padded image, given all panels of the weights.
fn tiles<T: Scalar>(micro: Micro<T>, over: &Sliding, x: &[T], panels: &[T], n: usize, y: &mut [T]) {
    let ([height, width], run) = (over.positions, over.run());
    let (rows, step) = (even(width, micro.rows), over.window.stride[1] * over.image[2]);
    let columns = (0..n).step_by(micro.cols).zip(panels.chunks_exact(over.covered() * micro.cols));
    for (j, panel) in columns {
        for down in 0..height {
            for across in (0..width).step_by(rows) {
                let size = [rows.min(width - across), micro.cols.min(n - j)];
                let to = &mut y[(down * width + across) * n + j..][..(size[0] - 1) * n + size[1]];
                for (row, panel) in panel.chunks_exact(run * micro.cols).enumerate() {
                    let beta = if row == 0 { T::zero() } else { T::one() };
                    let from = &x[over.start([down, across], row)..][..(size[0] - 1) * step + run];
                    // SAFETY: the instruction set was detected; `from` holds as many rows of `run`
                    // entries, `step` apart, the panel `run` rows as wide as a tile, and `to` as many
                    // rows, `n` apart.
                    unsafe {
                        (micro.tile)(
                            run,
                            (from.as_ptr(), [step as isize, 1]),
                            (panel.as_ptr(), micro.cols as isize),
                            (to.as_mut_ptr(), n as isize),
                            size,
                            Blend { alpha: T::one(), beta },
                        );
                    }
                }
            }
        }
    }
}

/// `dx[b, q, c] ← β dx + Σ w[n, k] dy[b, p, n]` over the positions `p` at which the weight's place `k` lies on
/// `q, c`, for `β` 0 or 1.
///
/// # Panics
/// Unless the lengths agree.
pub fn backward_input<T: Scalar>(
    over: &Sliding,
    dy: &[T],
    w: ArrayView2<'_, T>,
    beta: T,
    dx: &mut [T],
) {
    input_by(T::micro(), over, dy, w, beta, dx);
}

fn input_by<T: Scalar>(
    micro: Option<Micro<T>>,
    over: &Sliding,
    dy: &[T],
    w: ArrayView2<'_, T>,
    beta: T,
    dx: &mut [T],
) {
    let (n, k) = w.dim();
    let images = batch(over, dx, [n, k], dy);
    let fewer = micro.filter(|_| winograd::suits(over, n));
    if beta == T::zero() && fewer.is_none() {
        dx.fill(beta);
    }
    if images * n == 0 {
        return;
    }
    let (c, places) = (over.image[2], over.window.size.iter().product::<usize>());
    let panel = micro.map_or(0, |micro| n * c.next_multiple_of(micro.cols));
    with_space(places * panel, |panels| {
        if let Some(micro) = micro {
            for (place, panels) in panels.chunks_exact_mut(panel).enumerate() {
                pack_all(micro, w.slice(s![.., place * c..(place + 1) * c]), panels);
            }
        }
        let panels = &*panels;
        if let Some(micro) = fewer {
            let (back, each) = (winograd::back(over, n), winograd::PLACES * n * micro.cols);
            with_space(c.div_ceil(micro.cols) * each, |u| {
                u.par_chunks_mut(each).enumerate().for_each(|(j, u)| {
                    let turned = |[y, x]: [usize; 2]| (8 - 3 * y - x) * panel + j * n * micro.cols;
                    winograd::weights(panels, turned, u);
                });
                let (u, add, some) = (&*u, beta == T::one(), winograd::together(&back));
                let tasks = dx.par_chunks_mut(some * over.entries());
                let tasks = tasks.zip(dy.par_chunks(some * over.count() * n));
                tasks.for_each(|(dx, dy)| winograd::convolve(micro, &back, dy, u, add, (dx, c)));
            });
            return;
        }
        let tasks = dx.par_chunks_mut(over.entries()).zip(dy.par_chunks(over.count() * n));
        tasks.for_each(|(dx, dy)| {
            let inner = over.padded();
            let one = |dx: &mut [T]| match micro {
                Some(micro) => spread(micro, &inner, dy, panels, n, dx),
                None => fold(&inner, dy, w, dx),
            };
            if !over.is_padded() {
                return one(dx);
            }
            with_space(over.space(), |wide| {
                wide.fill(T::zero());
                one(wide);
                let n = over.image[1] * over.image[2];
                for [to, from] in over.rows() {
                    let rows = dx[to..to + n].iter_mut().zip(&wide[from..from + n]);
                    rows.for_each(|(dx, &d)| *dx += d);
                }
            });
        });
    });
}

/// Adds what one padded image's `dy` gives, without micro-kernels.
fn fold<T: Scalar>(over: &Sliding, dy: &[T], w: ArrayView2<'_, T>, dx: &mut [T]) {
    let ((n, k), count) = (w.dim(), over.count());
    with_space(count * k, |unfolded| {
        let to = matrix_mut(unfolded, [count, k]);
        block(T::one(), matrix(dy, [count, n]), w, T::zero(), to);
        for (at, from) in over.each().zip(unfolded.chunks_exact(k)) {
            for (row, from) in from.chunks_exact(over.run()).enumerate() {
                let to = &mut dx[over.start(at, row)..][..over.run()];
                to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
            }
        }
    });
}

/// Adds what one padded image's `dy` gives, place by place in the window: what a place touches at
/// different positions are different pixels.
fn spread<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    dy: &[T],
    panels: &[T],
    n: usize,
    dx: &mut [T],
) {
    let ([height, width], c) = (over.positions, over.image[2]);
    let (rows, step) = (even(width, micro.rows), over.window.stride[1] * c);
    let columns = (0..c).step_by(micro.cols);
    let places =
        (0..over.window.size[0]).flat_map(|y| (0..over.window.size[1]).map(move |x| (y, x)));
    let products = places.flat_map(|place| columns.clone().map(move |j| (place, j)));
    for (((row, column), j), panel) in products.zip(panels.chunks_exact(n * micro.cols)) {
        for down in 0..height {
            for across in (0..width).step_by(rows) {
                let size = [rows.min(width - across), micro.cols.min(c - j)];
                let from = &dy[(down * width + across) * n..][..size[0] * n];
                let at = over.start([down, across], row) + column * c + j;
                let to = &mut dx[at..][..(size[0] - 1) * step + size[1]];
                // SAFETY: the instruction set was detected; `from` holds as many rows of `n`, the panel
                // `n` rows as wide as a tile, and `to` as many rows, `step` apart, which is no
                // less than their width.
                unsafe {
                    (micro.tile)(
                        n,
                        (from.as_ptr(), [n as isize, 1]),
                        (panel.as_ptr(), micro.cols as isize),
                        (to.as_mut_ptr(), step as isize),
                        size,
                        Blend { alpha: T::one(), beta: T::one() },
                    );
                }
            }
        }
    }
}

/// `dw[n, k] ← β dw + Σ dy[b, p, n] x[b, p + k]` over images and positions, for `β` 0 or 1.
///
/// # Panics
/// Unless the lengths agree, and `dw` is row-major.
pub fn backward_weight<T: Scalar>(
    over: &Sliding,
    x: &[T],
    dy: &[T],
    beta: T,
    dw: ArrayViewMut2<'_, T>,
) {
    weight_by(T::micro(), over, x, dy, beta, dw);
}

fn weight_by<T: Scalar>(
    micro: Option<Micro<T>>,
    over: &Sliding,
    x: &[T],
    dy: &[T],
    beta: T,
    mut dw: ArrayViewMut2<'_, T>,
) {
    let (n, k) = dw.dim();
    let images = batch(over, x, [n, k], dy);
    let dw = dw.as_slice_mut().expect("row-major");
    if beta == T::zero() {
        dw.fill(beta);
    }
    if images * n == 0 {
        return;
    }
    let part = images.div_ceil(PARTS);
    let (each_x, each_y) = (over.entries(), over.count() * n);
    let fewer = micro.filter(|_| winograd::suits(over, n));
    with_space(images.div_ceil(part) * n * k, |sums| {
        let tasks = x.par_chunks(part * each_x).zip(dy.par_chunks(part * each_y));
        tasks.zip(sums.par_chunks_mut(n * k)).for_each(|((x, dy), sum)| {
            if let Some(micro) = fewer {
                return winograd::collect(micro, over, x, (dy, n), sum);
            }
            sum.fill(T::zero());
            for (x, dy) in x.chunks_exact(each_x).zip(dy.chunks_exact(each_y)) {
                collect(micro, over, x, dy, matrix_mut(sum, [n, k]));
            }
        });
        dw.par_chunks_mut(CHUNK).enumerate().for_each(|(i, dw)| {
            for sum in sums.chunks_exact(n * k) {
                vector::add_rows(&[T::one()], &sum[i * CHUNK..][..dw.len()], dw);
            }
        });
    });
}

/// Adds what one image gives.
fn collect<T: Scalar>(
    micro: Option<Micro<T>>,
    over: &Sliding,
    x: &[T],
    dy: &[T],
    mut sum: ArrayViewMut2<'_, T>,
) {
    let ((n, k), count, space, inner) = (sum.dim(), over.count(), over.space(), over.padded());
    assert!(sum.is_standard_layout(), "conv: a sum that is not row-major");
    let Some(micro) = micro else {
        return over.unfolded(x, |unfolded| {
            let [dy, unfolded] = [(dy, n), (unfolded, k)].map(|(x, n)| matrix(x, [count, n]));
            block(T::one(), dy.t(), unfolded, T::one(), sum);
        });
    };
    let rows = even(n, micro.rows);
    with_space(space + count * micro.cols, |room| {
        let (space, panel) = room.split_at_mut(space);
        let x = over.widen(x, space);
        for j in (0..k).step_by(micro.cols) {
            let width = micro.cols.min(k - j);
            gather(&inner, x, j..j + width, micro.cols, panel);
            for i in (0..n).step_by(rows) {
                let size = [rows.min(n - i), width];
                // SAFETY: the instruction set was detected; column `i` of `dy [count, n]` and `size[0]`
                // from there on, `count` rows of the panel as wide as a tile, and entries `(i, j)`
                // of `sum` and `size` from there on.
                unsafe {
                    (micro.tile)(
                        count,
                        (dy.as_ptr().add(i), [1, n as isize]),
                        (panel.as_ptr(), micro.cols as isize),
                        (sum.as_mut_ptr().add(i * k + j), k as isize),
                        size,
                        Blend { alpha: T::one(), beta: T::one() },
                    );
                }
            }
        }
    });
}

/// Some columns of what [`Sliding::unfolded`] gives, in rows `wide` apart.
fn gather<T: Scalar>(over: &Sliding, x: &[T], columns: Range<usize>, wide: usize, panel: &mut [T]) {
    let run = over.run();
    // Pieces within one row of the window: where in the panel, which row, where in it.
    let mut pieces = vec![];
    let mut k = columns.start;
    while k < columns.end {
        let len = (run - k % run).min(columns.end - k);
        pieces.push((k - columns.start, k / run, k % run, len));
        k += len;
    }
    for (position, at) in over.each().enumerate() {
        for &(offset, row, within, len) in &pieces {
            let to = &mut panel[position * wide + offset..];
            copy(&x[over.start(at, row) + within..], to, len);
        }
    }
}

/// The first `n` numbers, and perhaps some that follow: whoever fills `to` does so from its start on.
/// Without a call, which costs more than to copy a few.
#[inline(always)]
fn copy<T: Scalar>(from: &[T], to: &mut [T], n: usize) {
    if n == 32 {
        to[..32].copy_from_slice(&from[..32]);
    } else if n <= 16 && from.len() >= 16 && to.len() >= 16 {
        to[..16].copy_from_slice(&from[..16]);
    } else {
        to[..n].copy_from_slice(&from[..n]);
    }
}

/// How many images there are.
fn batch<T>(over: &Sliding, x: &[T], [n, k]: [usize; 2], y: &[T]) -> usize {
    let (image, out) = (over.entries(), over.count() * n);
    let images = x.len().checked_div(image).unwrap_or(0);
    assert!(
        k == over.covered() && x.len() == images * image && y.len() == images * out,
        "conv: {} entries of {over:?} with weights [{n}, {k}] and {} outputs",
        x.len(),
        y.len()
    );
    images
}

fn matrix<T>(x: &[T], shape: [usize; 2]) -> ArrayView2<'_, T> {
    ArrayView2::from_shape(shape, x).expect("as many entries")
}

fn matrix_mut<T>(x: &mut [T], shape: [usize; 2]) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape(shape, x).expect("as many entries")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Native;
    use ndarray::Array2;
    use rand::{SeedableRng, rngs::ChaCha8Rng};
    use rand_distr::{Distribution, StandardNormal};

    /// Small whole numbers, which floats add without rounding.
    fn numbers<T: Scalar>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::of(((i * 31 + i / 7 * 17 + seed) % 13) as f64 - 6.)).collect()
    }

    /// Calls `f` with the place in `y`, in `w` and in `x` of every product of a convolution.
    fn products(over: &Sliding, n: usize, images: usize, mut f: impl FnMut(usize, usize, usize)) {
        let Sliding { window: Window { size, stride, padding }, image: [h, w, c], .. } = *over;
        let [down, across] = over.positions;
        for (image, y, x, unit) in (0..images)
            .flat_map(|b| (0..down).map(move |y| (b, y)))
            .flat_map(|(b, y)| (0..across).map(move |x| (b, y, x)))
            .flat_map(|(b, y, x)| (0..n).map(move |unit| (b, y, x, unit)))
        {
            for (row, column, channel) in (0..size[0])
                .flat_map(|row| (0..size[1]).map(move |column| (row, column)))
                .flat_map(|(row, column)| (0..c).map(move |channel| (row, column, channel)))
            {
                let [i, j] = [y * stride[0] + row, x * stride[1] + column];
                let inside = (padding[0]..padding[0] + h).contains(&i)
                    && (padding[1]..padding[1] + w).contains(&j);
                if inside {
                    let pixel = (image * h + i - padding[0]) * w + j - padding[1];
                    f(
                        ((image * down + y) * across + x) * n + unit,
                        unit * over.covered() + (row * size[1] + column) * c + channel,
                        pixel * c + channel,
                    );
                }
            }
        }
    }

    fn routes<T: Scalar>() {
        let micros = [T::avx512(), T::avx2()].into_iter().flatten().map(Some).chain([None]);
        let window = |size, stride, padding| Window { size, stride, padding };
        for micro in micros {
            for (images, image, window, n) in [
                (2, [5, 6, 3], window([2, 3], [1, 1], [0, 0]), 4),
                (1, [1, 1, 1], window([1, 1], [1, 1], [0, 0]), 1),
                (9, [4, 4, 2], window([3, 3], [1, 1], [0, 0]), 70),
                (2, [3, 19, 11], window([1, 3], [1, 1], [0, 0]), 33),
                (3, [7, 33, 8], window([3, 4], [1, 2], [0, 0]), 17),
                (2, [9, 8, 40], window([3, 2], [4, 3], [0, 0]), 5),
                (2, [4, 5, 33], window([3, 3], [1, 1], [1, 1]), 16),
                (2, [3, 2, 5], window([5, 4], [2, 1], [2, 3]), 3),
                (2, [4, 5, 33], window([3, 3], [1, 1], [1, 2]), 16),
                (9, [8, 7, 16], window([3, 3], [1, 1], [0, 0]), 35),
                (3, [6, 11, 50], window([3, 3], [1, 1], [0, 0]), 17),
                (40, [6, 6, 17], window([3, 3], [1, 1], [2, 2]), 16),
                (3, [4, 42, 50], window([3, 3], [1, 1], [0, 0]), 17),
                (2, [38, 37, 16], window([3, 3], [1, 1], [0, 0]), 16),
                (2, [2, 2, 3], window([1, 1], [3, 2], [0, 0]), 0),
                (0, [2, 2, 3], window([1, 1], [1, 1], [0, 0]), 3),
            ] {
                let over = window.over(image).unwrap();
                let (k, len) = (over.covered(), images * over.entries());
                let (x, y_len) = (numbers::<T>(len, 1), images * over.count() * n);
                let (w, dy) = (numbers::<T>(n * k, 5), numbers::<T>(y_len, 3));
                let mut expected = [y_len, len, n * k].map(|n| vec![T::zero(); n]);
                let [y, dx, dw] = &mut expected;
                products(&over, n, images, |i, j, k| {
                    y[i] += w[j] * x[k];
                    dx[k] += w[j] * dy[i];
                    dw[j] += dy[i] * x[k];
                });
                let weights = Array2::from_shape_vec((n, k), w.clone()).unwrap();
                // Winograd's way rounds, by far less than the 1 that whole numbers are apart; no other does.
                let rounds = micro.is_some() && winograd::suits(&over, n);
                let most = T::of(if rounds { 1e5 } else { 0. }) * T::epsilon();
                let check = |beta: T, found: &[T], expected: &[T]| {
                    let is_near = |(&y, &e): (&T, &T)| (y - beta - e).abs() <= most;
                    assert!(found.iter().zip(expected).all(is_near), "{over:?}, β = {beta}");
                };
                let mut found = vec![T::nan(); y_len];
                forward(&over, &x, &Packed::by(micro, weights.t()), &mut found);
                check(T::zero(), &found, &expected[0]);
                for beta in [T::zero(), T::one()] {
                    let start = if beta == T::zero() { T::nan() } else { T::one() };
                    let mut found = vec![start; len];
                    input_by(micro, &over, &dy, weights.view(), beta, &mut found);
                    check(beta, &found, &expected[1]);
                    let mut found = Array2::from_elem((n, k), start);
                    weight_by(micro, &over, &x, &dy, beta, found.view_mut());
                    check(beta, found.as_slice().unwrap(), &expected[2]);
                }
            }
        }
    }

    #[test]
    fn every_route_in_f32() {
        routes::<f32>();
    }

    #[test]
    fn every_route_in_f64() {
        routes::<f64>();
    }

    /// What `conv/winograd.rs` says of its points: at most 2.2 times as much here, where the points 1 and 2 have 4.
    #[test]
    fn winograd_rounds_little_more_than_a_plain_sum() {
        let Some(micro) = f32::avx2() else { return };
        let (images, n) = (4, 16);
        let over = Window::new([3, 3]).over([10, 10, 64]).unwrap();
        assert!(winograd::suits(&over, n));
        let (k, count) = (over.covered(), images * over.count() * n);
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let mut normal =
            |len| StandardNormal.sample_iter(&mut *rng).take(len).collect::<Vec<f32>>();
        let [x, w, dy] = [images * over.entries(), n * k, count].map(&mut normal);
        let mut plain = [count, x.len(), w.len()].map(|len| vec![0_f32; len]);
        let mut exact = [count, x.len(), w.len()].map(|len| vec![0_f64; len]);
        products(&over, n, images, |i, j, k| {
            for (to, a, b) in [(0, w[j], x[k]), (1, w[j], dy[i]), (2, dy[i], x[k])] {
                let at = [i, k, j][to];
                plain[to][at] = a.mul_add(b, plain[to][at]);
                exact[to][at] = f64::from(a).mul_add(f64::from(b), exact[to][at]);
            }
        });
        let weights = Array2::from_shape_vec((n, k), w.clone()).unwrap();
        let (mut y, mut dx) = (vec![0.; count], vec![0.; x.len()]);
        let mut dw = Array2::zeros((n, k));
        forward(&over, &x, &Packed::by(Some(micro), weights.t()), &mut y);
        input_by(Some(micro), &over, &dy, weights.view(), 0., &mut dx);
        weight_by(Some(micro), &over, &x, &dy, 0., dw.view_mut());
        for (i, found) in [&y[..], &dx, dw.as_slice().unwrap()].into_iter().enumerate() {
            let error = |found: &[f32]| {
                let squares = found.iter().zip(&exact[i]).map(|(&y, e)| (f64::from(y) - e).powi(2));
                squares.sum::<f64>().sqrt()
            };
            let ratio = error(found) / error(&plain[i]);
            assert!(ratio < 3., "{ratio} times as much in {i}");
        }
    }

    #[test]
    fn a_window_fits_or_does_not() {
        let window = Window { padding: [1, 0], ..Window::new([4, 3]) };
        assert_eq!(window.over([2, 3, 1]).unwrap().positions(), [1, 1]);
        assert!(window.over([1, 3, 1]).is_none() && window.over([2, 2, 1]).is_none());
        assert!(window.over([2, 3, 0]).is_none() && Window::new([0, 1]).over([2, 2, 1]).is_none());
        assert!(Window { stride: [0, 1], ..window }.over([9, 9, 1]).is_none());
        assert_eq!(Window::squares(2).over([5, 4, 1]).unwrap().positions(), [2, 2]);
        assert!(Window { padding: [usize::MAX; 2], ..window }.over([9, 9, 1]).is_none());
    }
}
