//! Matrix products, and the weight normalisation around them.
use super::scale;
use crate::autodiff::{Contribution, Tensor, Var};
use crate::kernels::affine::{self, Affine};
use crate::kernels::gemm;
use crate::kernels::scalar::Scalar;
use ndarray::{ArrayBase, ArrayView2, ArrayViewMut2, ArrayViewMutD, Axis, Data, IxDyn};

fn between<'a, T: Scalar>(
    p: &'a Tensor<T>,
    scale: &'a Tensor<T>,
    batch: usize,
    relu: bool,
) -> Affine<'a, T> {
    let n = *scale.shape().last().expect("checked");
    Affine { p: p.as_slice(), scale: scale.as_slice(), n, batch, relu }
}

/// The matrix of sample `s`: of `[S, n, k]` its own, of `[n, k]` the one that all share.
pub(super) fn sample<T, S: Data<Elem = T>>(x: &ArrayBase<S, IxDyn>, s: usize) -> ArrayView2<'_, T> {
    let x = if x.ndim() == 2 { x.view() } else { x.index_axis(Axis(0), s) };
    x.into_dimensionality().expect("a matrix")
}

fn matrix<'a, T: Scalar>(x: &'a mut ArrayViewMutD<'_, T>) -> ArrayViewMut2<'a, T> {
    x.view_mut().into_dimensionality().expect("a matrix")
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
        let mut y = self.tape().alloc(&[x.shape()[0], w.shape()[1]]);
        gemm::gemm(T::one(), x.as_matrix(), w.as_matrix(), T::zero(), y.as_matrix_mut());
        Self::record("matmul", &[self, b], y, |c, sink| {
            let (a, b, g) = (c.x(0).as_matrix(), c.x(1).as_matrix(), c.g.as_matrix());
            sink.write(0, |beta, da| gemm::gemm(T::one(), g, b.t(), beta, da.as_matrix_mut()));
            sink.write(1, |beta, db| gemm::gemm(T::one(), a.t(), g, beta, db.as_matrix_mut()));
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
        let mut y = self.tape().alloc(&shape);
        let biased = inputs.len() == 3;
        if let Some(b) = inputs.get(2).map(|b| b.value()) {
            assert!(b.shape() == [n], "{name}: {xs:?} × {ws:?} transposed + {:?}", b.shape());
            y.view_mut().assign(&b);
        }
        match inputs[1].caches().filter(|_| !biased) {
            Some(w) => w.transposed().multiply(x.as_matrix(), y.as_matrix_mut()),
            None => {
                let beta = if biased { T::one() } else { T::zero() };
                gemm::gemm(
                    T::one(),
                    x.as_matrix(),
                    w.as_matrix().reversed_axes(),
                    beta,
                    y.as_matrix_mut(),
                );
            }
        }
        Self::record(name, inputs, y, move |c, sink| {
            let (x, w, g) = (c.x(0).as_matrix(), c.x(1).as_matrix(), c.g.as_matrix());
            sink.write(0, |beta, dx| gemm::gemm(T::one(), g, w, beta, dx.as_matrix_mut()));
            if biased {
                let g = g.reversed_axes();
                sink.write(1, |beta, dw| gemm::gemm(T::one(), g, x, beta, dw.as_matrix_mut()));
                sink.add(2, || c.g.clone());
            } else {
                sink.add(1, || Contribution::Product { a: c.g, z: c.x(0), y: c.y });
            }
        })
    }

    /// `yₛ = xₛ wₛᵀ` for weights `w [S, n, k]`, one matrix a sample, and `x [B, k]`, which all share, or
    /// `[S, B, k]`, giving `[S, B, n]`; `dxₛ = dyₛ wₛ` (summed over `S` if shared), `dwₛ = dyₛᵀ xₛ`.
    ///
    /// # Panics
    /// Unless the shapes are these.
    pub fn matmul_each(self, w: Self) -> Self {
        let (x, w_value) = (self.value(), w.value());
        let (xs, ws) = (x.shape(), w_value.shape());
        let fits = ws.len() == 3
            && xs.last() == Some(&ws[2])
            && (xs.len() == 2 || xs.len() == 3 && xs[0] == ws[0]);
        assert!(fits, "matmul_each: {xs:?} × {ws:?} transposed, one matrix a sample");
        let mut y = self.tape().alloc(&[ws[0], xs[xs.len() - 2], ws[1]]);
        for (s, mut y) in y.view_mut().outer_iter_mut().enumerate() {
            gemm::gemm(T::one(), sample(&x, s), sample(&w_value, s).t(), T::zero(), matrix(&mut y));
        }
        Self::record("matmul_each", &[self, w], y, |c, sink| {
            let (x, w, g) = (c.x(0), c.x(1), c.g);
            sink.write(0, |beta, dx| {
                if w.shape()[0] == 0 {
                    scale(beta, dx);
                }
                for s in 0..w.shape()[0] {
                    let (g, w) = (sample(g, s), sample(w, s));
                    if dx.ndim() == 2 {
                        let beta = if s == 0 { beta } else { T::one() };
                        gemm::gemm(T::one(), g, w, beta, dx.as_matrix_mut());
                    } else {
                        let mut dx = dx.view_mut();
                        let mut dx = dx.index_axis_mut(Axis(0), s);
                        gemm::gemm(T::one(), g, w, beta, matrix(&mut dx));
                    }
                }
            });
            sink.write(1, |beta, dw| {
                for (s, mut dw) in dw.view_mut().outer_iter_mut().enumerate() {
                    let (g, x) = (sample(g, s), sample(x, s));
                    gemm::gemm(T::one(), g.t(), x, beta, matrix(&mut dw));
                }
            });
        })
    }

    /// `s ⊙ p + b` for scales `s [S, 1, …, 1, n]`, `b [n]`, and `p [S, …, n]` or, if all scales share it,
    /// `[…, n]` with an axis less than `s`, giving `[S, …, n]`; `dp = s dy` (summed over `S` if shared),
    /// `ds = Σ p dy`, `db = Σ dy`. One scale (`S = 1`) is all rows' of any `p` with as many axes.
    ///
    /// # Panics
    /// Unless the shapes are these.
    pub fn affine(self, scale: Self, shift: Self) -> Self {
        self.scaled("affine", scale, shift, false)
    }

    /// `max(s ⊙ p + b, 0)`, the same with a [`relu`](Var::relu): one pass in place of three.
    ///
    /// # Panics
    /// As [`affine`](Var::affine).
    pub fn affine_relu(self, scale: Self, shift: Self) -> Self {
        self.scaled("affine_relu", scale, shift, true)
    }

    fn scaled(self, name: &'static str, scale: Self, shift: Self, relu: bool) -> Self {
        let [p, s, b] = [self, scale, shift].map(Self::value);
        let (ps, ss) = (p.shape(), s.shape());
        let n = ss.last().copied().unwrap_or(0);
        let is_row = ss.len() >= 2 && ss[1..ss.len() - 1].iter().all(|&axis| axis == 1);
        let is_shared = ps.len() + 1 == ss.len();
        let fits = is_row
            && (is_shared || ps.len() == ss.len() && (ps[0] == ss[0] || ss[0] == 1))
            && b.shape() == [n]
            && ps.last() == Some(&n);
        assert!(fits, "{name}: {ps:?}, scales {ss:?}, shifts {:?}", b.shape());
        let lead = if is_shared { &ss[..1] } else { &[] };
        let mut y = self.tape().alloc(&[lead, ps].concat());
        let batch = if n * ss[0] == 0 { 0 } else { y.len() / n / ss[0] };
        if !y.is_empty() {
            affine::forward(between(&p, &s, batch, relu), b.as_slice(), y.as_slice_mut());
        }
        Self::record(name, &[self, scale, shift], y, move |c, sink| {
            let [mut ds, mut db] = [1, 2].map(|k| Tensor::zeros(c.x(k).shape()));
            let mut run = |beta, dp: &mut Tensor<T>| {
                let map = between(c.x(0), c.x(1), batch, relu);
                let (g, dp) = ((c.g.as_slice(), c.y.as_slice()), (beta, dp.as_slice_mut()));
                affine::backward(map, g, dp, ds.as_matrix_mut(), db.as_matrix_mut());
            };
            if c.g.is_empty() {
            } else if sink.wants(0) {
                sink.write(0, run);
            } else {
                run(T::zero(), &mut Tensor::zeros(c.x(0).shape()));
            }
            sink.add(1, || ds);
            sink.add(2, || db);
        })
    }

    /// `‖vᵢ‖₂` of every row of `v [n, k]`, giving `[n]`; `dvᵢ = vᵢ dyᵢ / yᵢ`, and 0 where `yᵢ = 0`.
    ///
    /// # Panics
    /// Unless `v` is a matrix.
    pub fn row_norms(self) -> Self {
        let v = self.value();
        assert!(v.ndim() == 2, "row_norms: {:?} is not a matrix", v.shape());
        let norms = || {
            let mut norms = self.tape().alloc(&v.shape()[..1]);
            gemm::row_squares(v.as_matrix(), norms.as_slice_mut());
            for (norm, row) in norms.as_slice_mut().iter_mut().zip(v.as_matrix().rows()) {
                // Squares leave the range of single precision long before their root does.
                *norm = match *norm > T::of(1e-20) && norm.is_finite() {
                    true => norm.sqrt(),
                    false => T::of(row.iter().map(|v| v.f64() * v.f64()).sum::<f64>().sqrt()),
                };
            }
            norms
        };
        let y = match self.caches() {
            Some(v) => v.norms(norms).clone(),
            None => norms(),
        };
        Self::record("row_norms", &[self], y, |c, sink| {
            let divide = |(&g, &norm): (&T, &T)| if norm > T::zero() { g / norm } else { norm };
            let d = || c.g.as_slice().iter().zip(c.y.as_slice()).map(divide).collect();
            sink.add(0, || Contribution::Diagonal { d: d(), norms: c.y });
        })
    }

    /// Weight normalisation (Salimans & Kingma 2016): `wᵢ = gᵢ vᵢ / ‖vᵢ‖₂` for directions
    /// `v [n, k]` and scales `g [n]`, giving `w [n, k]`. A row of zeros, as masks leave it, stays one:
    /// its norm counts as 1, since 0 · g / 0 would be NaN.
    ///
    /// A layer need not form `w`: `w x = g ⊙ (v x) / ‖v‖`, see
    /// [`WnLinear`](crate::nn::WnLinear).
    ///
    /// # Panics
    /// Unless `v` is a matrix and `g` has one entry a row.
    pub fn weight_norm(self, g: Self) -> Self {
        let (v, n) = (self.shape(), g.shape());
        assert!(v.len() == 2 && n == [v[0]], "weight_norm: directions {v:?}, scales {n:?}");
        self * (g / self.norms_or_one()).reshape(&[n[0], 1])
    }

    /// [`row_norms`](Var::row_norms), but 1 where they are 0.
    pub(crate) fn norms_or_one(self) -> Self {
        let norms = self.row_norms();
        let empty = norms.value().mapv(|norm| if norm == T::zero() { T::one() } else { T::zero() });
        norms + self.tape().constant(empty)
    }
}

crate::gradchecks! {
    matmul_to_nothing: [[3, 4], [4, 0]] => |[a, b]| a.matmul(b);
    linear_to_nothing: [[2, 3, 4], [0, 4], [0]] => |[x, w, b]| x.linear(w, b);
    matmul: [[3, 4], [4, 5]] => |[a, b]| a.matmul(b);
    matmul_t: [[2, 3, 4], [5, 4]] => |[x, w]| x.matmul_t(w);
    linear: [[2, 3, 4], [5, 4], [5]] => |[x, w, b]| x.linear(w, b);
    matmul_t_of_low_rank: [[2, 6], [5, 6]] => |[x, w]| x.matmul_t(w);
    matmul_each: [[2, 3, 4], [2, 5, 4]] => |[x, w]| x.matmul_each(w);
    matmul_each_shared: [[3, 4], [2, 5, 4]] => |[x, w]| x.matmul_each(w);
    affine_shared: [[3, 4], [2, 1, 4], [4]] => |[p, s, b]| p.affine(s, b);
    affine_relu_shared: [[3, 4], [2, 1, 4], [4]] => |[p, s, b]| p.affine_relu(s, b);
    affine: [[2, 3, 4], [2, 1, 4], [4]] => |[p, s, b]| p.affine(s, b);
    affine_relu: [[2, 3, 4], [2, 1, 4], [4]] => |[p, s, b]| p.affine_relu(s, b);
    affine_of_one: [[2, 3, 4], [1, 1, 4], [4]] => |[p, s, b]| p.affine(s, b);
    affine_of_images: [[3, 2, 2, 4], [2, 1, 1, 1, 4], [4]] => |[p, s, b]| p.affine_relu(s, b);
    affine_of_nothing: [[2, 0, 4], [2, 1, 4], [4]] => |[p, s, b]| p.affine(s, b);
    affine_to_nothing: [[2, 3, 0], [2, 1, 0], [0]] => |[p, s, b]| p.affine(s, b);
    affine_of_a_constant: [[2, 1, 4], [4]] => |[s, b]| {
        let p = (0..24).map(|i| f64::from(i) - 9.).collect();
        s.tape().constant(Tensor::from_shape_vec(vec![2, 3, 4], p).expect("24 entries")).affine(s, b)
    };
    matmul_each_of_no_sample: [[3, 4], [0, 5, 4]] => |[x, w]| x.matmul_each(w);
    row_norms: [[3, 4]] => |[v]| v.row_norms();
    weight_norm: [[3, 4], [3]] => |[v, g]| v.weight_norm(g);
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Fixed, Owned, Storage, Tape, Tensor};
    use ndarray::{Dimension, IxDyn};
    use std::sync::Arc;

    #[test]
    fn the_norm_of_nothing_has_no_gradient() {
        let tape = Tape::<f64>::default();
        let v = tape.leaf(Tensor::zeros(vec![2, 3]));
        let y = v.row_norms();
        assert_eq!(y.value().as_slice(), [0.; 2]);
        assert_eq!(y.sum().backward().wrt(v).unwrap().as_slice(), [0.; 6]);
    }

    /// Where there is no sample, the gradient is no other's old memory but 0.
    #[test]
    fn no_sample_has_no_gradient() {
        let mut storage = Storage::default();
        storage.keep(Tensor::from_elem(vec![32, 32], f64::NAN));
        let tape = Tape::reusing(storage);
        let [x, w] = [vec![32, 32], vec![0, 5, 32]].map(|shape| tape.leaf(Tensor::ones(shape)));
        let grads = x.matmul_each(w).sum().backward();
        assert!(grads.wrt(x).unwrap().iter().all(|&dx| dx == 0.));
    }

    /// What is prepared for a fixed matrix goes without a bias; a layer with one is the same all the same.
    #[test]
    fn a_fixed_layer_keeps_its_bias() {
        let tape = Tape::<f64>::default();
        let number =
            |shape| Owned::from_shape_fn(shape, |i: IxDyn| (i[0] + 7 * i[i.ndim() - 1]) as f64);
        let [x, w, b] = [vec![2, 3], vec![5, 3], vec![5]].map(|shape| Tensor::from(number(shape)));
        let fixed = tape.fixed(&Arc::new(Fixed::new(w.clone())));
        let [x, w, b] = [x, w, b].map(|x| tape.constant(x));
        assert_eq!(x.linear(fixed, b).value(), x.linear(w, b).value());
        assert_eq!(x.matmul_t(fixed).value(), x.matmul_t(w).value());
    }

    /// Their squares are beyond single precision, they are not.
    #[test]
    fn rows_of_any_length() {
        for length in [1e-38_f32, 1e-30, 1e-22, 1e-12, 1., 1e12, 1e19, 1e30] {
            let tape = Tape::<f32>::default();
            let norm = tape.leaf(Tensor::from_elem(vec![9, 784], length)).row_norms();
            let off = norm.value().mapv(|norm| (norm / length - 28.).abs() / 28.);
            // Denormals have fewer digits.
            let most = if length < 1e-37 { 1e-5 } else { 1e-6 };
            assert!(off.iter().all(|&off| off < most), "{length}: {off}");
        }
    }

    #[test]
    fn a_row_of_zeros_stays_one() {
        let tape = Tape::<f64>::default();
        let v = tape.leaf(Tensor::from_shape_vec(vec![2, 2], vec![0., 0., 3., 4.]).unwrap());
        let g = tape.leaf(Tensor::from_elem(vec![2], 10.));
        let w = v.weight_norm(g);
        assert_eq!(w.value().as_slice(), [0., 0., 6., 8.]);
        let grads = w.sum().backward();
        assert_eq!(grads.wrt(g).unwrap().as_slice(), [0., 1.4]);
        assert!(grads.wrt(v).unwrap().iter().all(|dv| dv.is_finite()));
        assert_eq!(v.norms_or_one().value().as_slice(), [1., 5.]);
    }
}
