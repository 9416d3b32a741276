//! Matrix products, and the weight normalisation around them.
use super::filled;
use crate::kernels::{broadcast, gemm};
use crate::scalar::Scalar;
use crate::tape::{Owned, Var};
use ndarray::{ArrayBase, ArrayView2, ArrayViewMut2, Axis, Data, IxDyn};
use rayon::prelude::*;

/// A tape value or a gradient as a matrix: all axes but the last are rows.
fn rows<T: Scalar>(x: &ArrayBase<impl Data<Elem = T>, IxDyn>) -> ArrayView2<'_, T> {
    let k = x.shape().last().copied().unwrap_or(1);
    let n = x.shape().iter().rev().skip(1).product();
    ArrayView2::from_shape((n, k), x.as_slice().expect("row-major")).expect("row-major")
}

fn rows_mut<T: Scalar>(x: &mut Owned<T>) -> ArrayViewMut2<'_, T> {
    let k = x.shape().last().copied().unwrap_or(1);
    let n = x.shape().iter().rev().skip(1).product();
    ArrayViewMut2::from_shape((n, k), x.as_slice_mut().expect("row-major")).expect("row-major")
}

/// `C ← A B + C`.
fn accumulate<T: Scalar>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, c: &mut Owned<T>) {
    gemm::gemm(T::one(), a, b, T::one(), rows_mut(c));
}

impl<T: Scalar> Var<'_, T> {
    /// `a b` for `a [n, k]`, `b [k, m]`; `da = dy bᵀ`, `db = aᵀ dy`.
    ///
    /// # Panics
    /// Unless both are matrices and the inner dimensions agree.
    pub fn matmul(self, b: Self) -> Self {
        let (x, w) = (self.value(), b.value());
        let fits = x.ndim() == 2 && w.ndim() == 2 && x.shape()[1] == w.shape()[0];
        assert!(fits, "matmul: {:?} × {:?}: inner dimensions differ", x.shape(), w.shape());
        let y = gemm::matmul(rows(&x), rows(&w)).into_dyn();
        Self::record("matmul", &[self, b], y, |c, sink| {
            let (a, b) = (rows(c.x(0)), rows(c.x(1)));
            let g = rows(c.g);
            sink.add_with(0, |da| accumulate(g, b.t(), da));
            sink.add_with(1, |db| accumulate(a.t(), g, db));
        })
    }

    /// `x wᵀ` for `x […, k]`, `w [n, k]`, giving `[…, n]`; `dx = dy w`, `dw = dyᵀ x`.
    ///
    /// # Panics
    /// Unless `w` is a matrix and the last axes agree.
    pub fn matmul_t(self, w: Self) -> Self {
        self.product("matmul_t", &[self, w])
    }

    /// `x wᵀ + b` for `x […, k]`, `w [n, k]`, `b [n]`, giving `[…, n]`; `dx = dy w`,
    /// `dw = dyᵀ x`, `db = Σ dy`. The product is added onto the bias in place.
    ///
    /// # Panics
    /// Unless `w` is a matrix, the last axes agree, and `b` has one entry a row of `w`.
    pub fn linear(self, w: Self, b: Self) -> Self {
        self.product("linear", &[self, w, b])
    }

    fn product(self, name: &'static str, inputs: &[Self]) -> Self {
        let (x, w) = (self.value(), inputs[1].value());
        let (xs, ws) = (x.shape(), w.shape());
        let fits = ws.len() == 2 && xs.last() == Some(&ws[1]);
        assert!(fits, "{name}: {xs:?} × {ws:?} transposed: last axes differ");
        let n = ws[0];
        let shape: Vec<_> = xs[..xs.len() - 1].iter().copied().chain([n]).collect();
        let mut y = filled(&shape, T::zero());
        if let Some(b) = inputs.get(2).map(|b| b.value()) {
            assert!(b.shape() == [n], "{name}: {xs:?} × {ws:?} transposed + {:?}", b.shape());
            y += &b;
        }
        let beta = if inputs.len() == 3 { T::one() } else { T::zero() };
        gemm::gemm(T::one(), rows(&x), rows(&w).reversed_axes(), beta, rows_mut(&mut y));
        let biased = inputs.len() == 3;
        Self::record(name, inputs, y, move |c, sink| {
            let (x, w) = (rows(c.x(0)), rows(c.x(1)));
            let g = rows(c.g);
            sink.add_with(0, |dx| accumulate(g, w, dx));
            sink.add_with(1, |dw| accumulate(g.reversed_axes(), x, dw));
            if biased {
                sink.add_with(2, |db| {
                    let db = db.as_slice_mut().expect("row-major");
                    let g = c.g.as_slice().expect("row-major");
                    broadcast::sum_to((g, c.g.shape()), (db, &[n]));
                });
            }
        })
    }

    /// `‖vᵢ‖₂` of every row of `v [n, k]`, giving `[n]`; `dvᵢ = vᵢ dyᵢ / yᵢ`, and 0 where `yᵢ = 0`.
    ///
    /// # Panics
    /// Unless `v` is a matrix.
    pub fn row_norms(self) -> Self {
        let v = self.value();
        assert!(v.ndim() == 2, "row_norms: {:?} is not a matrix", v.shape());
        let matrix = rows(&v);
        let norms = matrix.axis_iter(Axis(0)).into_par_iter().map(|row| {
            let row = row.to_slice().expect("row-major");
            gemm::dot(row, row).sqrt()
        });
        let y = Owned::from_shape_vec(vec![v.shape()[0]], norms.collect()).expect("a norm a row");
        Self::record("row_norms", &[self], y, |c, sink| {
            sink.add_with(0, |dv| {
                let (mut dv, v) = (rows_mut(dv), rows(c.x(0)));
                let scales: Vec<_> = c.g.iter().zip(c.y).map(|(&g, &norm)| (g, norm)).collect();
                let pairs = dv.axis_iter_mut(Axis(0)).into_par_iter().zip(v.axis_iter(Axis(0)));
                pairs.zip(scales).for_each(|((dv, v), (g, norm))| {
                    if norm > T::zero() {
                        let dv = dv.into_slice().expect("row-major");
                        gemm::axpy(g / norm, v.to_slice().expect("row-major"), dv);
                    }
                });
            });
        })
    }

    /// Weight normalisation (Salimans & Kingma 2016): `wᵢ = gᵢ vᵢ / ‖vᵢ‖₂` for directions
    /// `v [n, k]` and scales `g [n]`, giving `w [n, k]`.
    ///
    /// A layer need not form `w`: `w x = g ⊙ (v x) / ‖v‖`, see
    /// [`WnLinear`](crate::nn::WnLinear).
    ///
    /// # Panics
    /// Unless `v` is a matrix and `g` has one entry a row.
    pub fn weight_norm(self, g: Self) -> Self {
        let (v, n) = (self.shape(), g.shape());
        assert!(v.len() == 2 && n == [v[0]], "weight_norm: directions {v:?}, scales {n:?}");
        self * (g / self.row_norms()).reshape(&[n[0], 1])
    }
}

crate::gradchecks! {
    matmul_to_nothing: [[3, 4], [4, 0]] => |[a, b]| a.matmul(b);
    linear_to_nothing: [[2, 3, 4], [0, 4], [0]] => |[x, w, b]| x.linear(w, b);
    matmul: [[3, 4], [4, 5]] => |[a, b]| a.matmul(b);
    matmul_t: [[2, 3, 4], [5, 4]] => |[x, w]| x.matmul_t(w);
    linear: [[2, 3, 4], [5, 4], [5]] => |[x, w, b]| x.linear(w, b);
    row_norms: [[3, 4]] => |[v]| v.row_norms();
    weight_norm: [[3, 4], [3]] => |[v, g]| v.weight_norm(g);
}

#[cfg(test)]
mod tests {
    use crate::tape::{Tape, Tensor};

    #[test]
    fn the_norm_of_nothing_has_no_gradient() {
        let tape = Tape::<f64>::default();
        let v = tape.leaf(Tensor::zeros(vec![2, 3]));
        let y = v.row_norms();
        assert_eq!(y.value().as_slice().unwrap(), [0.; 2]);
        assert_eq!(y.sum().backward().wrt(v).unwrap().as_slice().unwrap(), [0.; 6]);
    }
}
