//! Reductions: sums, means, maxima and log-sum-exps, of all entries or over one axis.
use super::shape::{around, check_axis};
use crate::autodiff::{Op, Owned, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector;
use ndarray::{ArrayView1, Axis};

/// `f` of every line of `x` along `axis`, which is removed.
fn fold<T: Scalar>(
    name: &str,
    x: &Tensor<T>,
    axis: usize,
    f: impl Fn(ArrayView1<'_, T>) -> T,
) -> Owned<T> {
    check_axis(name, x, axis);
    x.map_axis(Axis(axis), f)
}

/// Sums over `axis`, which is removed, accumulated in `f64`.
fn sums<T: Scalar>(x: &Tensor<T>, axis: usize) -> Tensor<T> {
    let [outer, n, inner] = around(x.shape(), axis);
    let mut sums = vec![T::zero(); outer * inner];
    if inner == 1 {
        let lines = (0..outer).map(|o| &x.as_slice()[o * n..][..n]);
        sums.iter_mut().zip(lines).for_each(|(sum, line)| *sum = T::of(vector::sum_f64(line)));
    } else {
        let mut wide = vec![0.; inner];
        for (o, sums) in sums.chunks_exact_mut(inner.max(1)).enumerate() {
            wide.fill(0.);
            for line in x.as_slice()[o * n * inner..][..n * inner].chunks_exact(inner) {
                vector::add_f64(line, &mut wide);
            }
            sums.iter_mut().zip(&wide).for_each(|(sum, &wide)| *sum = T::of(wide));
        }
    }
    let shape = [&x.shape()[..axis], &x.shape()[axis + 1..]].concat();
    Tensor::from_shape_vec(shape, sums).expect("one sum a line")
}

/// `g` repeated along `axis` to the shape of `x`.
fn repeat<T: Scalar>(g: &Tensor<T>, axis: usize, x: &Tensor<T>) -> Owned<T> {
    let g = g.view().insert_axis(Axis(axis));
    g.broadcast(x.raw_dim()).expect("one entry a line").to_owned()
}

/// Position and value of the first NaN, or else of the first maximum. `T::max` would ignore NaN.
pub(super) fn largest<T: Scalar>(x: impl Iterator<Item = T>) -> (usize, T) {
    x.enumerate().fold((0, T::neg_infinity()), |(at, max), (i, x)| {
        if x > max || x.is_nan() && !max.is_nan() { (i, x) } else { (at, max) }
    })
}

/// The maximum `m`, and `ln Σ eˣ⁻ᵐ` in `f64`, or 0 if `m` is not finite. The largest term is 1, so
/// the logarithm is computed as `ln(1 + s)` for the sum `s` of the other terms, to keep the digits
/// of a small `s`.
fn log_sum_exp<T: Scalar>(x: impl Iterator<Item = T> + Clone) -> (T, f64) {
    let (at, max) = largest(x.clone());
    if !max.is_finite() {
        return (max, 0.);
    }
    let others = x.enumerate().filter(|(i, _)| *i != at);
    (max, others.map(|(_, x)| (x - max).exp().f64()).sum::<f64>().ln_1p())
}

impl<T: Scalar> Var<'_, T> {
    /// `Σ x` over all entries, giving `[]`; `dx = dy`, repeated.
    pub fn sum(self) -> Self {
        let y = Tensor::from_elem(vec![], T::of(vector::sum_f64(self.value().as_slice())));
        Self::record(Op::linear("sum"), &[self], y, |c, sink| {
            let g = c.g.as_slice()[0];
            sink.write(0, |beta, dx| match beta == T::zero() {
                true => dx.as_slice_mut().fill(g),
                false => dx.as_slice_mut().iter_mut().for_each(|dx| *dx += g),
            });
        })
    }

    /// `Σ x / n` over all `n` entries, giving `[]`; `dx = dy / n`, repeated.
    pub fn mean(self) -> Self {
        self.sum() / T::of(self.value().len() as f64)
    }

    /// `Σ x` over `axis`, which is removed; `dx = dy`, repeated.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn sum_axis(self, axis: usize) -> Self {
        let x = self.value();
        check_axis("sum_axis", &x, axis);
        let y = sums(&x, axis);
        Self::record(Op::linear("sum_axis"), &[self], y, move |c, sink| {
            sink.add(0, || repeat(c.g, axis, c.x(0)));
        })
    }

    /// `Σ x / n` over `axis` of length `n`, which is removed; `dx = dy / n`, repeated.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn mean_axis(self, axis: usize) -> Self {
        self.sum_axis(axis) / T::of(self.shape()[axis] as f64)
    }

    /// `max x` over `axis`, which is removed; `dx = dy` at the first maximum of each line, or its
    /// first NaN.
    ///
    /// # Panics
    /// If there is no such axis, or it is empty.
    pub fn max_axis(self, axis: usize) -> Self {
        let x = self.value();
        let is_empty = x.shape().get(axis) == Some(&0);
        assert!(!is_empty, "max_axis: axis {axis} of {:?} is empty", x.shape());
        let y = fold("max_axis", &x, axis, |lane| largest(lane.iter().copied()).1);
        Self::record("max_axis", &[self], y, move |c, sink| {
            sink.write(0, |beta, dx| {
                dx.scale(beta);
                let mut dx = dx.view_mut();
                let lines = dx.lanes_mut(Axis(axis)).into_iter().zip(c.x(0).lanes(Axis(axis)));
                for ((mut dx, x), &g) in lines.zip(c.g.as_slice()) {
                    dx[largest(x.iter().copied()).0] += g;
                }
            });
        })
    }

    /// `ln Σ eˣ` over `axis`, which is removed, without overflow and summed in `f64`;
    /// `dx = eˣ⁻ʸ dy`.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn log_sum_exp(self, axis: usize) -> Self {
        let y = fold("log_sum_exp", &self.value(), axis, |lane| {
            let (max, log) = log_sum_exp(lane.iter().copied());
            T::of(max.f64() + log)
        });
        Self::record("log_sum_exp", &[self], y, move |c, sink| {
            sink.add(0, || {
                let shared = repeat(c.y, axis, c.x(0));
                (c.x(0) - &shared).mapv_into(T::exp) * repeat(c.g, axis, c.x(0))
            });
        })
    }

    /// `x − ln Σ eˣ` over the last axis, the logarithm of the softmax; `dx = dy − eʸ Σ dy`.
    ///
    /// # Panics
    /// If `x` has no axis.
    pub fn log_softmax(self) -> Self {
        let mut y = self.value();
        assert!(y.ndim() > 0, "log_softmax: {:?} has no axis", y.shape());
        for mut row in y.as_matrix_mut().rows_mut() {
            let (max, log) = log_sum_exp(row.iter().copied());
            row.mapv_inplace(|x| T::of((x.f64() - max.f64()) - log));
        }
        Self::record("log_softmax", &[self], y, |c, sink| {
            sink.add(0, || {
                let mut dx = c.g.clone();
                let k = c.y.shape()[c.y.ndim() - 1].max(1);
                let rows =
                    dx.as_slice_mut().chunks_exact_mut(k).zip(c.y.as_slice().chunks_exact(k));
                for (dx, y) in rows {
                    let sum = T::of(vector::sum_f64(dx));
                    dx.iter_mut().zip(y).for_each(|(dx, y)| *dx -= y.exp() * sum);
                }
                dx
            });
        })
    }
}

crate::gradchecks! {
    sum: [[3, 4]] => |[x]| x.sum();
    mean: [[3, 4]] => |[x]| x.mean();
    sum_axis: [[3, 4, 2]] => |[x]| x.sum_axis(1);
    mean_axis: [[3, 4, 2]] => |[x]| x.mean_axis(0);
    max_axis: [[3, 4, 2]] => |[x]| x.max_axis(1);
    log_sum_exp: [[3, 4, 2]] => |[x]| x.log_sum_exp(1);
    log_softmax: [[2, 3, 4]] => |[x]| x.log_softmax();
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Tape, Tensor};

    /// A sum of a million entries is exact but for one rounding: accumulated in `f32` it is
    /// 100,958.
    #[test]
    fn sums_of_a_million_entries_are_rounded_once() {
        let tape = Tape::<f32>::default();
        let x = tape.leaf(Tensor::from_elem(vec![1_000_003], 0.1_f32));
        let sum = 1_000_003. * f64::from(0.1_f32);
        assert_eq!(x.sum().item(), sum as f32);
        for shape in [[1, 1_000_003, 1], [1_000_003, 1, 1], [1, 1, 1_000_003]] {
            let axis = shape.iter().position(|&n| n > 1).unwrap();
            assert_eq!(x.reshape(&shape).sum_axis(axis).value()[[0, 0]], sum as f32);
        }
        let twice = Tensor::from_elem(vec![1_000_003, 2], 0.1_f32);
        assert!(tape.leaf(twice).sum_axis(0).value().iter().all(|&y| y == sum as f32));
        assert_eq!(tape.leaf(Tensor::zeros(vec![2, 0, 3])).sum_axis(1).value().sum(), 0.);
    }

    /// A tied maximum passes its gradient once, and infinite inputs give no NaN.
    #[test]
    fn max_and_log_sum_exp_at_ties_infinities_and_nan() {
        let tape = Tape::<f64>::default();
        let x = tape.leaf(Tensor::from_shape_vec(vec![3], vec![2., 2., 1.]).unwrap());
        let g = x.max_axis(0).backward();
        assert_eq!(g.wrt(x).unwrap().as_slice(), [1., 0., 0.]);
        let inf = f64::INFINITY;
        let x = tape.leaf(Tensor::from_shape_vec(vec![2, 2], vec![-inf, 0., 1e4, -1e4]).unwrap());
        assert_eq!(x.log_sum_exp(1).value().as_slice(), [0., 1e4]);
        for other in [-inf, 0., inf, f64::NAN] {
            let x = Tensor::from_shape_vec(vec![2], vec![f64::NAN, other]).unwrap();
            let x = tape.leaf(x.into_owned());
            assert!(x.log_sum_exp(0).item().is_nan() && x.max_axis(0).item().is_nan());
        }
        let none = tape.leaf(Tensor::from_elem(vec![2], -inf));
        assert_eq!(none.log_sum_exp(0).item(), -inf);
    }
}
