//! Convolutions and pools of images `[…, H, W, C]`, their channels last.
use super::linear::sample;
use super::scale;
use crate::autodiff::{Tensor, Var};
use crate::kernels::conv::{self, Sliding, Window};
use crate::kernels::scalar::Scalar;
use crate::kernels::{gemm::Packed, pool};

/// The window over the last three axes of `x`, and the shape that `n` numbers a position have.
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
    let [h, w] = over.positions();
    (over, lead.iter().copied().chain([h, w, n.unwrap_or(image[2])]).collect())
}

/// The part of sample `s`, as entries: of `[S, …]` with `S > 1` its own, or the one that all share.
fn part<T: Scalar>(x: &[T], each: bool, s: usize, samples: usize) -> &[T] {
    if each { &x[x.len() / samples * s..][..x.len() / samples] } else { x }
}

impl<T: Scalar> Var<'_, T> {
    /// `y[…, p, n] = Σₖ w[n, k] x[…, p + k]` for images `x […, H, W, C]` and weights `w [N, h·w·C]` of a
    /// window of `h` by `w`, giving `[…, H', W', N]`: a cross-correlation, as everywhere in this field.
    /// `dx[…, q] = Σ wᵀ dy` over the positions that reach `q`, `dw = Σ dyᵀ x` over all.
    ///
    /// # Panics
    /// Unless `x` has three axes or more, the window fits in, and `w` has a column for each number
    /// that it covers.
    pub fn conv2d(self, w: Self, window: Window) -> Self {
        let (x, w_value) = (self.value(), w.value());
        let (xs, ws) = (x.shape(), w_value.shape());
        let (over, shape) = over("conv2d", xs, window, ws.first().copied());
        let (k, size) = (over.covered(), window.size);
        assert!(
            ws.len() == 2 && ws[1] == k,
            "conv2d: {xs:?} with weights {ws:?}, and not [N, {k}] for windows of {size:?}"
        );
        let mut y = self.tape().alloc(&shape);
        let run = |packed: &Packed<T>, y: &mut Tensor<T>| {
            conv::forward(&over, x.as_slice(), packed, y.as_slice_mut());
        };
        match w.caches() {
            Some(w) => run(w.transposed(), &mut y),
            None => run(&Packed::new(w_value.as_matrix().reversed_axes()), &mut y),
        }
        Self::record("conv2d", &[self, w], y, move |c, sink| {
            let (x, w, g) = (c.x(0).as_slice(), c.x(1).as_matrix(), c.g.as_slice());
            sink.write(0, |beta, dx| conv::backward_input(&over, g, w, beta, dx.as_slice_mut()));
            sink.write(1, |beta, dw| conv::backward_weight(&over, x, g, beta, dw.as_matrix_mut()));
        })
    }

    /// The same with weights `w [S, N, h·w·C]`, one matrix a sample, and `x [B, H, W, C]`, which all share,
    /// or `[S, B, H, W, C]`, giving `[S, B, H', W', N]`.
    ///
    /// # Panics
    /// Unless the shapes are these and the window fits in.
    pub fn conv2d_each(self, w: Self, window: Window) -> Self {
        let (x, w_value) = (self.value(), w.value());
        let (xs, ws) = (x.shape(), w_value.shape());
        let (over, mut shape) = over("conv2d_each", xs, window, ws.get(1).copied());
        let each = xs.len() == 5;
        let fits = ws.len() == 3 && ws[2] == over.covered();
        assert!(
            fits && (xs.len() == 4 || each && xs[0] == ws[0]),
            "conv2d_each: {xs:?} with weights {ws:?}, and not [S, N, {}]",
            over.covered()
        );
        let samples = ws[0];
        if !each {
            shape.insert(0, samples);
        }
        let mut y = self.tape().alloc(&shape);
        for (s, mut y) in y.view_mut().outer_iter_mut().enumerate() {
            let packed = Packed::new(sample(&w_value, s).reversed_axes());
            let x = part(x.as_slice(), each, s, samples);
            conv::forward(&over, x, &packed, y.as_slice_mut().expect("row-major"));
        }
        Self::record("conv2d_each", &[self, w], y, move |c, sink| {
            let (x, w, g) = (c.x(0).as_slice(), c.x(1), c.g.as_slice());
            sink.write(0, |mut beta, dx| {
                if samples == 0 {
                    scale(beta, dx);
                }
                for s in 0..samples {
                    let g = part(g, true, s, samples);
                    let n = dx.len() / samples;
                    let dx = dx.as_slice_mut();
                    let dx = if each { &mut dx[n * s..n * (s + 1)] } else { dx };
                    conv::backward_input(&over, g, sample(w, s), beta, dx);
                    if !each {
                        beta = T::one();
                    }
                }
            });
            sink.write(1, |beta, dw| {
                for (s, dw) in dw.view_mut().outer_iter_mut().enumerate() {
                    let (x, g) = (part(x, each, s, samples), part(g, true, s, samples));
                    let dw = dw.into_dimensionality().expect("a matrix");
                    conv::backward_weight(&over, x, g, beta, dw);
                }
            });
        })
    }

    /// `y[…, p, c] = maxₖ x[…, p + k, c]` for images `x […, H, W, C]`, giving `[…, H', W', C]`; `dx = dy` where the
    /// largest is, or a NaN, at the first of several.
    ///
    /// # Panics
    /// Unless `x` has three axes or more, the window fits in, and has no padding.
    pub fn max_pool2d(self, window: Window) -> Self {
        let x = self.value();
        let (over, shape) = over("max_pool2d", x.shape(), window, None);
        assert!(window.padding == [0, 0], "max_pool2d: padding {:?}", window.padding);
        let mut y = self.tape().alloc(&shape);
        pool::max(&over, x.as_slice(), y.as_slice_mut());
        Self::record("max_pool2d", &[self], y, move |c, sink| {
            let (x, y, g) = (c.x(0).as_slice(), c.y.as_slice(), c.g.as_slice());
            sink.write(0, |beta, dx| {
                scale(beta, dx);
                pool::max_backward(&over, x, y, g, dx.as_slice_mut());
            });
        })
    }

    /// `y[…, p, c] = meanₖ x[…, p + k, c]` for images `x […, H, W, C]`, giving `[…, H', W', C]`; `dx` is the sum of
    /// the shares of `dy`.
    ///
    /// # Panics
    /// As [`max_pool2d`](Var::max_pool2d).
    pub fn avg_pool2d(self, window: Window) -> Self {
        let x = self.value();
        let (over, shape) = over("avg_pool2d", x.shape(), window, None);
        assert!(window.padding == [0, 0], "avg_pool2d: padding {:?}", window.padding);
        let mut y = self.tape().alloc(&shape);
        pool::mean(&over, x.as_slice(), y.as_slice_mut());
        Self::record("avg_pool2d", &[self], y, move |c, sink| {
            sink.write(0, |beta, dx| {
                scale(beta, dx);
                pool::mean_backward(&over, c.g.as_slice(), dx.as_slice_mut());
            });
        })
    }
}

#[allow(dead_code)]
fn window(size: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Window {
    Window { size, stride, padding }
}

crate::gradchecks! {
    conv2d: [[2, 5, 6, 3], [4, 18]] => |[x, w]| x.conv2d(w, Window::new([2, 3]));
    conv2d_with_strides: [[2, 7, 6, 2], [3, 12]] => |[x, w]| x.conv2d(w, window([3, 2], [2, 3], [0, 0]));
    conv2d_padded: [[2, 4, 3, 2], [3, 18]] => |[x, w]| x.conv2d(w, window([3, 3], [1, 2], [1, 2]));
    conv2d_of_samples: [[2, 1, 4, 4, 2], [3, 8]] => |[x, w]| x.conv2d(w, Window::new([2, 2]));
    conv2d_of_everything: [[2, 3, 2, 2], [3, 12]] => |[x, w]| x.conv2d(w, Window::new([3, 2]));
    conv2d_wide: [[1, 4, 17, 9], [35, 27]] => |[x, w]| x.conv2d(w, Window::new([1, 3]));
    conv2d_by_winograd: [[1, 5, 4, 16], [16, 144]] => |[x, w]| x.conv2d(w, window([3, 3], [1, 1], [1, 0]));
    conv2d_each: [[2, 2, 4, 4, 2], [2, 3, 8]] => |[x, w]| x.conv2d_each(w, Window::new([2, 2]));
    conv2d_each_of_no_sample: [[2, 4, 4, 2], [0, 3, 8]] => |[x, w]| x.conv2d_each(w, Window::new([2, 2]));
    conv2d_each_shared: [[2, 4, 4, 2], [2, 3, 8]] => |[x, w]| x.conv2d_each(w, Window::new([2, 2]));
    max_pool2d: [[2, 4, 6, 3]] => |[x]| x.max_pool2d(Window::squares(2));
    max_pool2d_overlapping: [[2, 5, 5, 3]] => |[x]| x.max_pool2d(window([3, 2], [2, 1], [0, 0]));
    avg_pool2d: [[2, 4, 6, 3]] => |[x]| x.avg_pool2d(Window::squares(2));
    avg_pool2d_overlapping: [[2, 5, 5, 3]] => |[x]| x.avg_pool2d(window([3, 2], [2, 1], [0, 0]));
    avg_pool2d_of_everything: [[2, 3, 4, 3]] => |[x]| x.avg_pool2d(Window::new([3, 4]));
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::autodiff::{Storage, Tape, Tensor};

    /// Where there is no sample, the gradient is no other's old memory but 0.
    #[test]
    fn no_sample_has_no_gradient() {
        let mut storage = Storage::default();
        storage.keep(Tensor::from_elem(vec![2, 16, 16, 2], f64::NAN));
        let tape = Tape::reusing(storage);
        let [x, w] =
            [vec![2, 16, 16, 2], vec![0, 3, 8]].map(|shape| tape.leaf(Tensor::ones(shape)));
        let grads = x.conv2d_each(w, Window::new([2, 2])).sum().backward();
        assert!(grads.wrt(x).unwrap().iter().all(|&dx| dx == 0.));
    }
}
