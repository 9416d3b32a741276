//! Reshaping, slicing, joining and indexing: operations that move entries and compute nothing.
use crate::autodiff::{Op, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector;
use ndarray::{ArcArray, Axis, IxDyn, Slice};
use std::ops::Range;
use std::sync::Arc;

/// Panics unless `x` has the axis.
pub(super) fn check_axis<T: Scalar>(name: &str, x: &Tensor<T>, axis: usize) {
    assert!(axis < x.ndim(), "{name}: no axis {axis} in {:?}", x.shape());
}

/// A copy with the axes in another order. If some leading axes stay and the others are rotated, as
/// from `[B, C, H, W]` to `[B, H, W, C]`, this transposes a batch of matrices.
fn permuted<T: Scalar>(x: &Tensor<T>, axes: &[usize]) -> Tensor<T> {
    let kept = axes.iter().enumerate().take_while(|(i, axis)| i == *axis).count();
    let (moved, n) = (&axes[kept..], axes.len() - kept);
    let rotates = |by: &usize| moved.iter().enumerate().all(|(i, a)| *a == kept + (i + by) % n);
    let Some(by) = (1..n).find(rotates) else {
        return x.view().permuted_axes(IxDyn(axes)).as_standard_layout().into_owned().into();
    };
    let sides = [kept..kept + by, kept + by..axes.len()].map(|a| x.shape()[a].iter().product());
    let mut y = Tensor::zeros(axes.iter().map(|&axis| x.shape()[axis]).collect::<Vec<_>>());
    vector::transpose(x.as_slice(), y.as_slice_mut(), sides);
    y
}

/// `[outer, n, inner]`: the number of entries along the axes before `axis`, its length, and the
/// number of entries along those after it.
pub(super) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

impl<'t, T: Scalar> Var<'t, T> {
    /// `x` with another shape, in row-major order and without copying; `dx` is `dy` reshaped back.
    ///
    /// # Panics
    /// If the number of entries differs.
    pub fn reshape(self, shape: &[usize]) -> Self {
        let (x, n) = (self.value(), shape.iter().product::<usize>());
        assert!(x.len() == n, "reshape: {:?} to {shape:?}", x.shape());
        let y = x.into_shape(shape).expect("as many entries");
        Self::record(Op::moving("reshape", 0), &[self], y, |c, sink| {
            sink.add(0, || c.g.clone().into_shape(c.x(0).shape()).expect("as many entries"));
        })
    }

    /// `xᵀ` for `x [n, k]`, giving `[k, n]`; `dx = dyᵀ`.
    ///
    /// # Panics
    /// Unless `x` is a matrix.
    pub fn transpose(self) -> Self {
        assert!(self.shape().len() == 2, "transpose: {:?} is not a matrix", self.shape());
        self.permute_axes(&[1, 0])
    }

    /// `x` with axis `axes[i]` as axis `i`; `dx` is `dy` permuted back.
    ///
    /// # Panics
    /// Unless `axes` is a permutation of the axes.
    pub fn permute_axes(self, axes: &[usize]) -> Self {
        let x = self.value();
        let position = |axis| axes.iter().position(|&a| a == axis);
        let back = (0..x.ndim()).map(position).collect::<Option<Vec<_>>>();
        let back = back.filter(|back| back.len() == axes.len());
        let back = back.unwrap_or_else(|| panic!("permute_axes: {axes:?} of {:?}", x.shape()));
        let y = permuted(&x, axes);
        Self::record(Op::linear("permute_axes"), &[self], y, move |c, sink| {
            sink.add(0, || permuted(c.g, &back));
        })
    }

    /// `x[.., range, ..]` along `axis`, without copying if the slice is contiguous; `dx = dy` in
    /// the range, 0 elsewhere.
    ///
    /// # Panics
    /// If the range is not within the axis.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Self {
        let x = self.value();
        check_axis("slice", &x, axis);
        let fits = range.start <= range.end && range.end <= x.shape()[axis];
        assert!(fits, "slice: {range:?} of axis {axis} of {:?}", x.shape());
        let mut y = ArcArray::clone(&x);
        y.slice_axis_inplace(Axis(axis), range.clone().into());
        let y = Tensor::from(y);
        Self::record(Op::moving("slice", 2 * y.len()), &[self], y, move |c, sink| {
            sink.write(0, |beta, dx| {
                let (axis, n, mut dx) = (Axis(axis), dx.shape()[axis], dx.view_mut());
                if beta == T::zero() {
                    dx.slice_axis_mut(axis, (0..range.start).into()).fill(beta);
                    dx.slice_axis_mut(axis, range.clone().into()).assign(c.g);
                    dx.slice_axis_mut(axis, (range.end..n).into()).fill(beta);
                } else {
                    let mut part = dx.slice_axis_mut(axis, range.clone().into());
                    part += &**c.g;
                }
            });
        })
    }

    /// `x` where `keep`, in row-major order, is true, 0 elsewhere; `dx = dy` there, 0 elsewhere.
    ///
    /// # Panics
    /// Unless `keep` has as many entries as `x`.
    pub fn masked(self, keep: impl Into<Arc<[bool]>>) -> Self {
        let (x, keep) = (self.value(), keep.into());
        assert!(x.len() == keep.len(), "masked: {} masks for {:?}", keep.len(), x.shape());
        let kept = |x, keep| if keep { x } else { T::zero() };
        let mut y = self.tape().alloc(x.shape());
        vector::zip(x.as_slice(), &keep, y.as_slice_mut(), kept);
        Self::record("masked", &[self], y, move |c, sink| {
            let g = c.g.as_slice();
            sink.write(0, |beta, dx| match beta == T::zero() {
                true => vector::zip(g, &keep, dx.as_slice_mut(), kept),
                false => vector::zip_onto(g, &keep, dx.as_slice_mut(), kept),
            });
        })
    }

    /// `parts` joined along an existing `axis`; each `dx` is its slice of `dy`.
    ///
    /// # Panics
    /// If there is no part, or shapes differ along another axis.
    pub fn concat(parts: &[Self], axis: usize) -> Self {
        let values: Vec<_> = parts.iter().map(|x| x.value()).collect();
        let mut shape = values.first().map_or(vec![], |x| x.shape().to_vec());
        let fits = |x: &Tensor<T>| {
            let rest = |s: &[usize]| [&s[..axis], &s[axis + 1..]].concat();
            x.ndim() > axis && rest(x.shape()) == rest(&shape)
        };
        let shapes = || values.iter().map(|x| x.shape()).collect::<Vec<_>>();
        let fits = !values.is_empty() && values.iter().all(fits);
        assert!(fits, "concat: {:?} along {axis}", shapes());
        shape[axis] = values.iter().map(|x| x.shape()[axis]).sum();
        let mut y = parts[0].tape().alloc(&shape);
        let mut to = y.as_slice_mut();
        for o in 0..around(&shape, axis)[0] {
            for x in &values {
                let width = x.shape()[axis..].iter().product();
                let (part, rest) = to.split_at_mut(width);
                part.copy_from_slice(&x.as_slice()[o * width..][..width]);
                to = rest;
            }
        }
        let count = parts.len();
        Self::record(Op::linear("concat"), parts, y, move |c, sink| {
            let mut start = 0;
            for k in 0..count {
                let part = Slice::from(start..start + c.x(k).shape()[axis]);
                sink.add(k, || c.g.slice_axis(Axis(axis), part).to_owned());
                start += c.x(k).shape()[axis];
            }
        })
    }

    /// `parts` of one shape joined along a new `axis`; each `dx` is its slice of `dy`.
    ///
    /// # Panics
    /// If there is no part, or shapes differ.
    pub fn stack(parts: &[Self], axis: usize) -> Self {
        let one = |x: &Self| {
            let mut shape = x.shape();
            assert!(axis <= shape.len(), "stack: no axis {axis} beside {shape:?}");
            shape.insert(axis, 1);
            x.reshape(&shape)
        };
        Self::concat(&parts.iter().map(one).collect::<Vec<_>>(), axis)
    }

    /// `y[.., i, ..] = x[.., index[i], ..]` along `axis`; `dx[.., j, ..] = Σ dy[.., i, ..]` over
    /// the `i` with `index[i] = j`, accumulated in `f64`.
    ///
    /// # Panics
    /// If an index is beyond the axis.
    pub fn gather(self, axis: usize, index: impl Into<Arc<[usize]>>) -> Self {
        let (x, index) = (self.value(), index.into());
        check_axis("gather", &x, axis);
        let [outer, n, inner] = around(x.shape(), axis);
        let worst = index.iter().max();
        assert!(worst.is_none_or(|&i| i < n), "gather: index {worst:?} of {:?}", x.shape());
        let mut shape = x.shape().to_vec();
        shape[axis] = index.len();
        let line = move |o: usize, i: usize| (o * n + i) * inner..(o * n + i + 1) * inner;
        let mut y = self.tape().alloc(&shape);
        let mut to = y.as_slice_mut();
        for o in 0..outer {
            let from = &x.as_slice()[o * n * inner..][..n * inner];
            let (lines, rest) = to.split_at_mut(index.len() * inner);
            if inner == 1 {
                lines.iter_mut().zip(&*index).for_each(|(y, &i)| *y = from[i]);
            } else {
                let lines = lines.chunks_exact_mut(inner.max(1)).zip(&*index);
                lines.for_each(|(y, &i)| y.copy_from_slice(&from[i * inner..][..inner]));
            }
            to = rest;
        }
        Self::record(Op::moving("gather", 2 * y.len()), &[self], y, move |c, sink| {
            sink.write(0, |beta, dx| {
                dx.scale(beta);
                let mut sums = vec![0.; dx.len()];
                if inner == 1 {
                    let rows = c.g.as_slice().chunks_exact(index.len().max(1));
                    for (sums, g) in sums.chunks_exact_mut(n.max(1)).zip(rows) {
                        index.iter().zip(g).for_each(|(&i, g)| sums[i] += g.f64());
                    }
                    return vector::add_rounded(&sums, dx.as_slice_mut());
                }
                let lines = (0..outer).flat_map(|o| index.iter().map(move |&i| line(o, i)));
                for (line, g) in lines.zip(c.g.as_slice().chunks_exact(inner.max(1))) {
                    vector::add_f64(g, &mut sums[line]);
                }
                vector::add_rounded(&sums, dx.as_slice_mut());
            });
        })
    }

    /// `x` broadcast to `shape`; `dx` is the sum of `dy` over the repeated axes.
    ///
    /// # Panics
    /// If `x` does not broadcast to `shape`.
    pub fn broadcast_to(self, shape: &[usize]) -> Self {
        let x = self.value();
        let y = x.broadcast(IxDyn(shape));
        let y = y.unwrap_or_else(|| panic!("broadcast_to: {:?} to {shape:?}", x.shape()));
        Self::record(Op::linear("broadcast_to"), &[self], y.to_owned(), |c, sink| {
            sink.add(0, || c.g.clone());
        })
    }
}

crate::gradchecks! {
    reshape: [[3, 4]] => |[x]| x.reshape(&[2, 6]);
    transpose: [[3, 4]] => |[x]| x.transpose();
    permute_axes: [[3, 4, 2]] => |[x]| x.permute_axes(&[2, 0, 1]);
    permute_axes_last: [[2, 3, 4, 2]] => |[x]| x.permute_axes(&[0, 2, 3, 1]);
    permute_axes_crossed: [[3, 4, 2]] => |[x]| x.permute_axes(&[1, 0, 2]);
    slice: [[3, 4, 2]] => |[x]| x.slice(1, 1..3);
    masked: [[2, 3]] => |[x]| x.masked([true, false, true, true, false, false]);
    concat: [[3, 4], [3, 2], [3, 1]] => |[a, b, c]| Var::concat(&[a, b, c, a], 1);
    stack: [[3, 4], [3, 4]] => |[a, b]| Var::stack(&[a, b, a], 1);
    gather: [[3, 4, 2]] => |[x]| x.gather(1, [2, 0, 2, 3]);
    broadcast_to: [[3, 1]] => |[x]| x.broadcast_to(&[2, 3, 4]);
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Tape, Tensor};

    #[test]
    fn permute_axes_equals_ndarray_for_every_permutation() {
        let tape = Tape::<f64>::default();
        let x =
            Tensor::from_shape_vec(vec![2, 3, 4, 5], (0..120).map(f64::from).collect()).unwrap();
        for code in 0..256 {
            let axes = [code / 64, code / 16 % 4, code / 4 % 4, code % 4];
            if (0..4).all(|axis| axes.contains(&axis)) {
                let y = tape.constant(x.clone()).permute_axes(&axes).value();
                assert!(*y == x.view().permuted_axes(&axes[..]), "{axes:?}");
            }
        }
    }
}
