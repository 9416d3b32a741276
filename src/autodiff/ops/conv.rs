//! Convolutions and pools of images `[…, H, W, C]`, channels last.
use super::linear::{sample, sample_mut, shared_beta};
use crate::autodiff::{Op, Var};
use crate::kernels::conv::{self, Sliding, Window};
use crate::kernels::pool;
use crate::kernels::scalar::Scalar;
use std::ops::Range;

/// The window over the last three axes of `x`, and the shape of an output with `n` channels, or
/// with the channels of `x` if `n` is `None`.
fn over(name: &str, x: &[usize], window: Window, n: Option<usize>) -> (Sliding, Vec<usize>) {
    let Some((lead, &image)) = x.split_last_chunk::<3>() else {
        panic!("{name}: {x:?} is not […, H, W, C]")
    };
    let Window { size, stride, padding } = window;
    let over = window.over(image).unwrap_or_else(|| {
        panic!(
            "{name}: {x:?}: no place for {size:?} with stride {stride:?} and padding {padding:?}"
        )
    });
    let [h, w] = over.positions;
    (over, lead.iter().copied().chain([h, w, n.unwrap_or(image[2])]).collect())
}

/// The range of sample `s` of `samples` in `len` entries: all entries if the samples share them.
fn part(len: usize, s: usize, samples: usize, shared: bool) -> Range<usize> {
    let n = len / samples;
    if shared { 0..len } else { n * s..n * (s + 1) }
}

impl<T: Scalar> Var<'_, T> {
    /// `y[…, p, n] = Σₖ w[n, k] x[…, p + k]`, a cross-correlation, for images `x […, H, W, C]` and
    /// weights `w [N, h·w·C]`, with a column for each entry of the window, giving `[…, H', W', N]`;
    /// `dx[…, q] = Σ wᵀ dy` over the positions whose window covers `q`, `dw = Σ dyᵀ x` over all
    /// positions. Here `x[…, p + k]` is the entry of `x` under entry `k` of the window at position
    /// `p`.
    ///
    /// # Panics
    /// Unless `x` has at least three axes, the window fits, and `w` has a column for each of the
    /// entries that the window covers.
    pub fn conv2d(self, w: Self, window: Window) -> Self {
        let (xs, ws) = (self.shape(), w.shape());
        let (over, shape) = over("conv2d", &xs, window, ws.first().copied());
        let (k, size) = (over.covered(), window.size);
        assert!(
            ws.len() == 2 && ws[1] == k,
            "conv2d: {xs:?} with weights {ws:?}, and not [N, {k}] for windows of {size:?}"
        );
        self.convolve(Op::product("conv2d", k), w, over, &shape, 1)
    }

    /// [`conv2d`](Var::conv2d) of `x [S, B, H, W, C]` with weights `w [S, N, h·w·C]`, one matrix
    /// per sample, giving `[S, B, H', W', N]`. If the samples share one `x [B, H, W, C]`, `dx` is
    /// summed over them.
    ///
    /// # Panics
    /// Unless the shapes are these and the window fits.
    pub fn conv2d_each(self, w: Self, window: Window) -> Self {
        let (xs, ws) = (self.shape(), w.shape());
        let (over, mut shape) = over("conv2d_each", &xs, window, ws.get(1).copied());
        let k = over.covered();
        let is_each = xs.len() == 4 || xs.len() == 5 && Some(&xs[0]) == ws.first();
        let fits = is_each && ws.len() == 3 && ws[2] == k;
        assert!(fits, "conv2d_each: {xs:?} with weights {ws:?}, and not [S, N, {k}]");
        if xs.len() == 4 {
            shape.insert(0, ws[0]);
        }
        self.convolve("conv2d_each".into(), w, over, &shape, ws[0])
    }

    /// Convolve the slice of `x` for each sample with its matrix of `w`. The samples share `x` if
    /// it has fewer axes than the output.
    fn convolve(self, op: Op, w: Self, over: Sliding, shape: &[usize], samples: usize) -> Self {
        let (x, w_value) = (self.value(), w.value());
        let shared = x.ndim() < shape.len();
        let mut y = self.tape().alloc(shape);
        let asked = self.tape().precision();
        let precision = conv::precision(asked, &over, w_value.shape()[w_value.ndim() - 2]);
        let caches = w.caches().filter(|_| w_value.ndim() == 2);
        let [x_part, y_part] = [(x.len(), shared), (y.len(), false)]
            .map(|(len, shared)| move |s| part(len, s, samples, shared));
        for s in 0..samples {
            let (x, y) = (&x.as_slice()[x_part(s)], &mut y.as_slice_mut()[y_part(s)]);
            match &caches {
                Some(w) => conv::forward(&over, x, w.transposed(precision), y),
                None => {
                    let w = precision.pack(sample(&w_value, s).reversed_axes());
                    conv::forward(&over, x, &w, y);
                }
            }
        }
        Self::record(op, &[self, w], y, move |c, sink| {
            let (x, w, g) = (c.x(0).as_slice(), c.x(1), c.g.as_slice());
            sink.write(0, |beta, dx| {
                if samples == 0 {
                    dx.scale(beta);
                }
                for s in 0..samples {
                    let (g, dx) = (&g[y_part(s)], &mut dx.as_slice_mut()[x_part(s)]);
                    let beta = shared_beta(beta, shared, s);
                    conv::backward_input(precision, &over, g, sample(w, s), beta, dx);
                }
            });
            sink.write(1, |beta, dw| {
                for s in 0..samples {
                    let (x, g) = (&x[x_part(s)], &g[y_part(s)]);
                    conv::backward_weight(precision, &over, x, g, beta, sample_mut(dw, s));
                }
            });
        })
    }

    /// `y[…, p, c] = maxₖ x[…, p + k, c]` over the places `k` of the window at position `p`, for
    /// images `x […, H, W, C]`, giving `[…, H', W', C]`; `dx = dy` at the first maximum of each
    /// window, or its first NaN.
    ///
    /// # Panics
    /// Unless `x` has at least three axes, and the window fits and has no padding.
    pub fn max_pool2d(self, window: Window) -> Self {
        let x = self.value();
        let (over, shape) = over("max_pool2d", x.shape(), window, None);
        assert!(window.padding == [0, 0], "max_pool2d: padding {:?}", window.padding);
        let mut y = self.tape().alloc(&shape);
        pool::max(&over, x.as_slice(), y.as_slice_mut());
        Self::record("max_pool2d", &[self], y, move |c, sink| {
            let (x, y, g) = (c.x(0).as_slice(), c.y.as_slice(), c.g.as_slice());
            sink.write(0, |beta, dx| {
                dx.scale(beta);
                pool::max_backward(&over, x, y, g, dx.as_slice_mut());
            });
        })
    }

    /// `y[…, p, c] = meanₖ x[…, p + k, c]` over the places `k` of the window at position `p`, for
    /// images `x […, H, W, C]`, giving `[…, H', W', C]`; `dx[…, q, c] = Σ dy / (h w)` over the
    /// windows that cover `q`.
    ///
    /// # Panics
    /// Unless `x` has at least three axes, and the window fits and has no padding.
    pub fn avg_pool2d(self, window: Window) -> Self {
        let x = self.value();
        let (over, shape) = over("avg_pool2d", x.shape(), window, None);
        assert!(window.padding == [0, 0], "avg_pool2d: padding {:?}", window.padding);
        let mut y = self.tape().alloc(&shape);
        pool::mean(&over, x.as_slice(), y.as_slice_mut());
        Self::record(Op::linear("avg_pool2d"), &[self], y, move |c, sink| {
            sink.write(0, |beta, dx| {
                dx.scale(beta);
                pool::mean_backward(&over, c.g.as_slice(), dx.as_slice_mut());
            });
        })
    }
}

crate::gradchecks! {
    conv2d: [[2, 5, 6, 3], [4, 18]] => |[x, w]| x.conv2d(w, Window::new([2, 3]));
    conv2d_with_strides: [[2, 7, 6, 2], [3, 12]] =>
        |[x, w]| x.conv2d(w, Window::of([3, 2], [2, 3], [0, 0]));
    conv2d_padded: [[2, 4, 3, 2], [3, 18]] =>
        |[x, w]| x.conv2d(w, Window::of([3, 3], [1, 2], [1, 2]));
    conv2d_of_samples: [[2, 1, 4, 4, 2], [3, 8]] => |[x, w]| x.conv2d(w, Window::new([2, 2]));
    conv2d_of_everything: [[2, 3, 2, 2], [3, 12]] => |[x, w]| x.conv2d(w, Window::new([3, 2]));
    conv2d_wide: [[1, 4, 17, 9], [35, 27]] => |[x, w]| x.conv2d(w, Window::new([1, 3]));
    conv2d_by_winograd: [[1, 5, 4, 16], [16, 144]] =>
        |[x, w]| x.conv2d(w, Window::of([3, 3], [1, 1], [1, 0]));
    conv2d_each: [[2, 2, 4, 4, 2], [2, 3, 8]] => |[x, w]| x.conv2d_each(w, Window::new([2, 2]));
    conv2d_each_of_no_sample: [[2, 4, 4, 2], [0, 3, 8]] =>
        |[x, w]| x.conv2d_each(w, Window::new([2, 2]));
    conv2d_each_shared: [[2, 4, 4, 2], [2, 3, 8]] => |[x, w]| x.conv2d_each(w, Window::new([2, 2]));
    max_pool2d: [[2, 4, 6, 3]] => |[x]| x.max_pool2d(Window::squares(2));
    max_pool2d_overlapping: [[2, 5, 5, 3]] =>
        |[x]| x.max_pool2d(Window::of([3, 2], [2, 1], [0, 0]));
    avg_pool2d: [[2, 4, 6, 3]] => |[x]| x.avg_pool2d(Window::squares(2));
    avg_pool2d_overlapping: [[2, 5, 5, 3]] =>
        |[x]| x.avg_pool2d(Window::of([3, 2], [2, 1], [0, 0]));
    avg_pool2d_of_everything: [[2, 3, 4, 3]] => |[x]| x.avg_pool2d(Window::new([3, 4]));
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::autodiff::{Storage, Tape, Tensor};

    /// If there are no samples, the gradient is 0, not the contents of a reused allocation.
    #[test]
    fn zero_samples_give_zero_gradient() {
        let mut storage = Storage::default();
        storage.keep(Tensor::from_elem(vec![2, 16, 16, 2], f64::NAN));
        let tape = Tape::reusing(storage);
        let [x, w] =
            [vec![2, 16, 16, 2], vec![0, 3, 8]].map(|shape| tape.leaf(Tensor::ones(shape)));
        let grads = x.conv2d_each(w, Window::new([2, 2])).sum().backward();
        assert!(grads.wrt(x).unwrap().iter().all(|&dx| dx == 0.));
    }
}
