//! Matrix products, and the affine maps and norms of weight normalisation.
use crate::autodiff::{Gradient, Op, Tensor, Var};
use crate::kernels::affine::{self, Affine};
use crate::kernels::gemm;
use crate::kernels::scalar::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

/// The matrix of sample `s`: `x[s]` of `[S, n, k]`, or `x [n, k]` itself, shared by all samples.
pub(super) fn sample<T: Scalar>(x: &Tensor<T>, s: usize) -> ArrayView2<'_, T> {
    let x = if x.ndim() == 2 { x.view() } else { x.index_axis(Axis(0), s) };
    x.into_dimensionality().expect("a matrix")
}

/// [`sample`] for writing.
pub(super) fn sample_mut<T: Scalar>(x: &mut Tensor<T>, s: usize) -> ArrayViewMut2<'_, T> {
    let x = x.view_mut();
    let x = if x.ndim() == 2 { x } else { x.index_axis_move(Axis(0), s) };
    x.into_dimensionality().expect("a matrix")
}

/// The `β` of sample `s`: 1 for all but the first sample if the samples share one gradient.
pub(super) fn shared_beta<T: Scalar>(beta: T, shared: bool, s: usize) -> T {
    if shared && s > 0 { T::one() } else { beta }
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
        let precision = self.tape().precision();
        let mut y = self.tape().alloc(&[x.shape()[0], w.shape()[1]]);
        precision.gemm(x.as_matrix(), w.as_matrix(), T::zero(), y.as_matrix_mut());
        Self::record(Op::product("matmul", x.shape()[1]), &[self, b], y, move |c, sink| {
            let (a, b, g) = (c.x(0).as_matrix(), c.x(1).as_matrix(), c.g.as_matrix());
            sink.write(0, |beta, da| precision.gemm(g, b.t(), beta, da.as_matrix_mut()));
            sink.write(1, |beta, db| precision.gemm(a.t(), g, beta, db.as_matrix_mut()));
        })
    }

    /// `x wᵀ` for `x […, k]`, `w [n, k]`, giving `[…, n]`; `dx = dy w`, `dw = dyᵀ x`.
    ///
    /// # Panics
    /// Unless `w` is a matrix and the last axes agree.
    pub fn matmul_t(self, w: Self) -> Self {
        self.product("matmul_t", w, None)
    }

    /// `x wᵀ + b` for `x […, k]`, `w [n, k]`, `b [n]`, giving `[…, n]`; `dx = dy w`,
    /// `dw = dyᵀ x`, `db = Σ dy`. The product is accumulated onto the bias.
    ///
    /// # Panics
    /// Unless `w` is a matrix, the last axes agree, and `b` has one entry per row of `w`.
    pub fn linear(self, w: Self, b: Self) -> Self {
        self.product("linear", w, Some(b))
    }

    fn product(self, name: &'static str, w: Self, bias: Option<Self>) -> Self {
        let (x, w_value) = (self.value(), w.value());
        let (xs, ws) = (x.shape(), w_value.shape());
        let fits = ws.len() == 2 && xs.last() == Some(&ws[1]);
        assert!(fits, "{name}: {xs:?} × {ws:?} transposed: last axes differ");
        let (n, k) = (ws[0], ws[1]);
        let mut y = self.tape().alloc(&[&xs[..xs.len() - 1], &[n]].concat());
        let mut beta = T::zero();
        if let Some(b) = bias.map(Self::value) {
            assert!(b.shape() == [n], "{name}: {xs:?} × {ws:?} transposed + {:?}", b.shape());
            y.view_mut().assign(&b);
            beta = T::one();
        }
        let precision = self.tape().precision();
        let (rows, to) = (x.as_matrix(), y.as_matrix_mut());
        match w.caches().filter(|_| bias.is_none()) {
            Some(w) => w.transposed(precision).multiply(rows, to),
            None => precision.gemm(rows, w_value.as_matrix().reversed_axes(), beta, to),
        }
        let (inputs, biased) = (Vec::from_iter([self, w].into_iter().chain(bias)), bias.is_some());
        Self::record(Op::product(name, k), &inputs, y, move |c, sink| {
            let (x, w, g) = (c.x(0).as_matrix(), c.x(1).as_matrix(), c.g.as_matrix());
            sink.write(0, |beta, dx| precision.gemm(g, w, beta, dx.as_matrix_mut()));
            if biased {
                sink.write(1, |beta, dw| precision.gemm(g.t(), x, beta, dw.as_matrix_mut()));
                sink.add(2, || c.g.clone());
            } else {
                sink.add(1, || Gradient::product(c.g, c.x(0), c.y, precision));
            }
        })
    }

    /// `yₛ = xₛ wₛᵀ` for `x [S, B, k]` and weights `w [S, n, k]`, one matrix per sample, giving
    /// `[S, B, n]`; `dxₛ = dyₛ wₛ`, `dwₛ = dyₛᵀ xₛ`. If the samples share one `x [B, k]`, `dx` is
    /// summed over them.
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
        let (samples, shared) = (ws[0], xs.len() == 2);
        let precision = self.tape().precision();
        let mut y = self.tape().alloc(&[samples, xs[xs.len() - 2], ws[1]]);
        for s in 0..samples {
            let w = sample(&w_value, s).reversed_axes();
            precision.gemm(sample(&x, s), w, T::zero(), sample_mut(&mut y, s));
        }
        Self::record("matmul_each", &[self, w], y, move |c, sink| {
            let (x, w, g) = (c.x(0), c.x(1), c.g);
            sink.write(0, |beta, dx| {
                if samples == 0 {
                    dx.scale(beta);
                }
                for s in 0..samples {
                    let beta = shared_beta(beta, shared, s);
                    precision.gemm(sample(g, s), sample(w, s), beta, sample_mut(dx, s));
                }
            });
            sink.write(1, |beta, dw| {
                for s in 0..samples {
                    let g = sample(g, s).reversed_axes();
                    precision.gemm(g, sample(x, s), beta, sample_mut(dw, s));
                }
            });
        })
    }

    /// `s ⊙ p + b` for scales `s [S, 1, …, 1, n]`, shifts `b [n]` and `p [S, …, n]`, giving
    /// `[S, …, n]`; `dp = s dy`, `ds = Σ p dy`, `db = Σ dy`. If `p` is shared across samples, it
    /// has one axis less, and `dp` is summed over `S`. A single row of scales (`S = 1`) applies to
    /// every row of a `p` with as many axes.
    ///
    /// # Panics
    /// Unless the shapes are these.
    pub fn affine(self, scale: Self, shift: Self) -> Self {
        self.scale_rows("affine", scale, shift, false)
    }

    /// `max(s ⊙ p + b, 0)`: [`affine`](Var::affine) and [`relu`](Var::relu), fused; with
    /// `dz = dy` where `y > 0`, 0 elsewhere, `dp = s dz`, `ds = Σ p dz`, `db = Σ dz`.
    ///
    /// # Panics
    /// Unless the shapes are those of [`affine`](Var::affine).
    pub fn affine_relu(self, scale: Self, shift: Self) -> Self {
        self.scale_rows("affine_relu", scale, shift, true)
    }

    fn scale_rows(self, name: &'static str, scale: Self, shift: Self, relu: bool) -> Self {
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
            let map = Affine { p: p.as_slice(), scale: s.as_slice(), n, batch, relu };
            affine::forward(map, b.as_slice(), y.as_slice_mut());
        }
        Self::record(Op::bilinear(name), &[self, scale, shift], y, move |c, sink| {
            let [mut ds, mut db] = [1, 2].map(|k| Tensor::zeros(c.x(k).shape()));
            // One pass computes all three gradients.
            let mut run = |beta, dp: &mut Tensor<T>| {
                let (p, scale) = (c.x(0).as_slice(), c.x(1).as_slice());
                let (g, dp) = ((c.g.as_slice(), c.y.as_slice()), (beta, dp.as_slice_mut()));
                let map = Affine { p, scale, n, batch, relu };
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

    /// `‖vᵢ‖₂` of the rows of `v [n, k]`, giving `[n]`; `dvᵢ = vᵢ dyᵢ / yᵢ`, 0 where `yᵢ = 0`.
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
                // Squares overflow and underflow long before the norm does.
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
        // To the profile, this operation is linear: its rule does not read `V`, because the
        // gradient `diag(d) V` stays in factors.
        Self::record(Op::linear("row_norms"), &[self], y, |c, sink| {
            let divide = |(&g, &norm): (&T, &T)| if norm > T::zero() { g / norm } else { norm };
            sink.add(0, || {
                let d = c.g.as_slice().iter().zip(c.y.as_slice()).map(divide).collect();
                Gradient::diagonal(d, c.y)
            });
        })
    }

    /// Weight normalisation (Salimans & Kingma 2016): `wᵢ = gᵢ vᵢ / ‖vᵢ‖₂` for directions
    /// `v [n, k]` and scales `g [n]`, giving `w [n, k]`. A row that a mask has set to zero stays
    /// zero: its norm is replaced by 1, because `0 g / 0` is NaN.
    ///
    /// A layer need not materialise `w`: `w x = g ⊙ (v x) / ‖v‖`, see
    /// [`Linear`](crate::nn::Linear).
    ///
    /// # Panics
    /// Unless `v` is a matrix and `g` has one entry per row.
    pub fn weight_norm(self, g: Self) -> Self {
        let (v, n) = (self.shape(), g.shape());
        assert!(v.len() == 2 && n == [v[0]], "weight_norm: directions {v:?}, scales {n:?}");
        self * (g / self.norms_or_one()).reshape(&[n[0], 1])
    }

    /// [`row_norms`](Var::row_norms), with 1 in place of 0.
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
        let p = Tensor::from_shape_vec(vec![2, 3, 4], p).expect("24 entries");
        s.tape().constant(p).affine(s, b)
    };
    matmul_each_of_no_sample: [[3, 4], [0, 5, 4]] => |[x, w]| x.matmul_each(w);
    row_norms: [[3, 4]] => |[v]| v.row_norms();
    weight_norm: [[3, 4], [3]] => |[v, g]| v.weight_norm(g);
}

#[cfg(test)]
mod tests {
    use crate::autodiff::gradcheck::randn;
    use crate::autodiff::{Fixed, Owned, Precision, Storage, Tape, Tensor};
    use crate::kernels::plain;
    use ndarray::{Array2, ArrayView2, Axis, Dimension, IxDyn};
    use std::sync::Arc;

    #[test]
    fn zero_norm_has_zero_gradient() {
        let tape = Tape::<f64>::default();
        let v = tape.leaf(Tensor::zeros(vec![2, 3]));
        let y = v.row_norms();
        assert_eq!(y.value().as_slice(), [0.; 2]);
        assert_eq!(y.sum().backward().wrt(v).unwrap().as_slice(), [0.; 6]);
    }

    /// If there are no samples, the gradient is 0, not the contents of a reused allocation.
    #[test]
    fn zero_samples_give_zero_gradient() {
        let mut storage = Storage::default();
        storage.keep(Tensor::from_elem(vec![32, 32], f64::NAN));
        let tape = Tape::reusing(storage);
        let [x, w] = [vec![32, 32], vec![0, 5, 32]].map(|shape| tape.leaf(Tensor::ones(shape)));
        let grads = x.matmul_each(w).sum().backward();
        assert!(grads.wrt(x).unwrap().iter().all(|&dx| dx == 0.));
    }

    /// On a tape in bfloat16, values and both gradients of every product have the bits of the
    /// definition.
    #[test]
    fn products_and_gradients_are_in_the_precision_of_the_tape() {
        let tape = Tape::<f32>::default().in_precision(Precision::Bf16);
        let number = |shape: &[usize], seed| Tensor::from(randn(shape, seed).mapv(|x| x as f32));
        let [x, w, c] = [number(&[40, 33], 1), number(&[21, 33], 2), number(&[40, 21], 3)];
        let product = |a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>| {
            let mut c = Array2::zeros((a.nrows(), b.ncols()));
            plain::gemm_bf16(a, b, 0., c.view_mut());
            c.into_dyn()
        };
        let y = product(x.as_matrix(), w.as_matrix().t());
        let dx = product(c.as_matrix(), w.as_matrix());
        let dw = product(c.as_matrix().t(), x.as_matrix());
        let one = |x: &Tensor<f32>| Tensor::from(x.view().insert_axis(Axis(0)).to_shared());
        for name in ["matmul", "matmul_t", "linear", "matmul_each"] {
            let stored = if name == "matmul" { Tensor::from(w.t().to_owned()) } else { w.clone() };
            let each = name == "matmul_each";
            let [a, b] = [&x, &stored].map(|x| tape.leaf(if each { one(x) } else { x.clone() }));
            let found = match name {
                "matmul" => a.matmul(b),
                "matmul_t" => a.matmul_t(b),
                "linear" => a.linear(b, tape.leaf(Tensor::zeros(vec![21]))),
                _ => a.matmul_each(b),
            };
            let flat = |x: &Tensor<f32>| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let bits = |x: &Owned<f32>| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(flat(&found.value()), bits(&y), "{name}");
            let weights = tape.constant(if each { one(&c) } else { c.clone() });
            let grads = (found * weights).sum().backward();
            assert_eq!(flat(grads.wrt(a).unwrap()), bits(&dx), "{name}");
            let expected = if name == "matmul" { dw.t().to_owned() } else { dw.clone() };
            assert_eq!(flat(grads.wrt(b).unwrap()), bits(&expected), "{name}");
        }
    }

    /// Products without bias use the packed transpose of a fixed matrix; products with a bias do
    /// not.
    #[test]
    fn fixed_matrix_gives_same_products() {
        let tape = Tape::<f64>::default();
        let number =
            |shape| Owned::from_shape_fn(shape, |i: IxDyn| (i[0] + 7 * i[i.ndim() - 1]) as f64);
        let [x, w, b] = [vec![2, 3], vec![5, 3], vec![5]].map(|shape| Tensor::from(number(shape)));
        let fixed = tape.fixed(&Arc::new(Fixed::new(w.clone())));
        let [x, w, b] = [x, w, b].map(|x| tape.constant(x));
        assert_eq!(x.linear(fixed, b).value(), x.linear(w, b).value());
        assert_eq!(x.matmul_t(fixed).value(), x.matmul_t(w).value());
    }

    /// Rows whose squares leave the range of single precision.
    #[test]
    fn row_norms_are_accurate_at_any_magnitude() {
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
    fn weight_norm_keeps_zero_rows() {
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
