//! The gradient of one tensor: its entries, factors from which they are computed, or a sum of both.
use crate::autodiff::tensor::{Owned, Tensor};
use crate::kernels::gemm::Precision;
use crate::kernels::scalar::Scalar;
use crate::kernels::vector::{self, Combination};
use rayon::prelude::*;
use std::array::from_fn;

/// The largest rank of a product that stays in factors.
const MAX_RANK: usize = 16;

/// `G + aᵀz + diag(d) V`, where any term may be absent: the gradient of a matrix `V [n, k]`. The
/// gradient of any other tensor is `G` alone.
///
/// If the loss depends on `V` through products with `S` rows `z`, the gradient is `aᵀz`, of rank at
/// most `S`. If it also depends on the norms of the rows of `V`, the gradient has an additional
/// multiple of each row, `diag(d) V`. A dense gradient is as large as `V`. It is written, read for
/// its norm, and read again by the optimiser. The factors have only `S (n + k) + n` entries, and
/// the optimiser, which reads `V` anyway, computes a few rows of the gradient at a time. With
/// weight normalisation, `w = g V/‖V‖`, and gradients `δₛ` of the outputs `w zₛ`, it is
/// `dvᵢ = (gᵢ/‖vᵢ‖)(Σₛ δₛᵢ zₛ − dgᵢ v̂ᵢ)`, so `a = δ g/‖v‖` and `dᵢ = −gᵢ dgᵢ/‖vᵢ‖²`.
#[derive(Clone, Debug)]
pub struct Gradient<T> {
    dense: Option<Tensor<T>>,
    product: Option<Box<Product<T>>>,
    diagonal: Option<Box<Diagonal<T>>>,
}

/// The factors of `aᵀz`, and `y = z Vᵀ` for its dot products with the rows of `V`.
#[derive(Clone, Debug)]
struct Product<T> {
    /// `[S, n]`.
    a: Tensor<T>,
    /// `[S, k]`.
    z: Tensor<T>,
    /// `[S, n]`.
    y: Tensor<T>,
    /// That of `aᵀz` if it is multiplied out at once; a product that stays in factors is not
    /// rounded.
    precision: Precision,
}

/// `diag(d) V`, with the norms of the rows of `V`.
#[derive(Clone, Debug)]
struct Diagonal<T> {
    /// `[n]`.
    d: Vec<T>,
    /// `‖vᵢ‖`.
    norms: Tensor<T>,
}

impl<T> Default for Gradient<T> {
    /// Zero.
    fn default() -> Self {
        Self { dense: None, product: None, diagonal: None }
    }
}

impl<T> From<Tensor<T>> for Gradient<T> {
    fn from(g: Tensor<T>) -> Self {
        Self { dense: Some(g), ..Self::default() }
    }
}

impl<T: Scalar> From<Owned<T>> for Gradient<T> {
    fn from(g: Owned<T>) -> Self {
        Tensor::from(g).into()
    }
}

impl<T: Scalar> Gradient<T> {
    /// `aᵀz` for `a […, n]` and `z […, k]`, given `y = z Vᵀ`.
    pub(crate) fn product(
        a: &Tensor<T>,
        z: &Tensor<T>,
        y: &Tensor<T>,
        precision: Precision,
    ) -> Self {
        let [a, z, y] = [a, z, y].map(Tensor::clone);
        Self { product: Some(Box::new(Product { a, z, y, precision })), ..Self::default() }
    }

    /// `diag(d) V` for `d [n]`, given the norms of the rows of `V`.
    pub(crate) fn diagonal(d: Vec<T>, norms: &Tensor<T>) -> Self {
        let norms = norms.clone();
        Self { diagonal: Some(Box::new(Diagonal { d, norms })), ..Self::default() }
    }

    /// The number of values stored for this gradient alone; `z`, `y` and the norms are shared with
    /// the tape.
    pub(crate) fn entries(&self) -> usize {
        let dense = self.dense.as_ref().map_or(0, |g| g.len());
        let product = self.product.as_ref().map_or(0, |p| p.a.len());
        dense + product + self.diagonal.as_ref().map_or(0, |diagonal| diagonal.d.len())
    }

    /// `G`.
    pub(crate) fn into_dense(self) -> Option<Tensor<T>> {
        self.dense
    }

    /// The tensors of the gradient whose allocations can be reused.
    pub(crate) fn into_tensors(self) -> impl Iterator<Item = Tensor<T>> {
        let factors =
            self.product.into_iter().flat_map(|product| [product.a, product.z, product.y]);
        self.dense.into_iter().chain(factors)
    }

    /// `G`, for writing.
    pub(crate) fn dense_mut(&mut self) -> &mut Option<Tensor<T>> {
        &mut self.dense
    }

    /// The entries; `None` if a term is in factors.
    pub fn dense(&self) -> Option<&Tensor<T>> {
        self.dense.as_ref().filter(|_| !self.has_factors())
    }

    /// The entries, given the `V` that this is the gradient of.
    ///
    /// # Panics
    /// If `v` has another shape.
    pub fn to_dense(&self, v: &Tensor<T>) -> Tensor<T> {
        self.check(v);
        let mut workspace = vec![];
        let g = self.form(0, v.as_slice(), width(v.shape()), &mut workspace).to_vec();
        Tensor::from_shape_vec(v.shape(), g).expect("an entry for each of V")
    }

    /// Move the factors of `other` here: a diagonal always, a product only if its rank is low and
    /// there is no other product yet. Returns the number of entries added.
    pub(crate) fn keep_factors(&mut self, other: &mut Self) -> usize {
        let low_rank = |product: &mut Box<Product<T>>| {
            let (n, k) = (width(product.a.shape()), width(product.z.shape()));
            let rank = product.z.len() / k;
            (1..=MAX_RANK).contains(&rank) && 2 * rank <= n.min(k)
        };
        let mut added = 0;
        if self.product.is_none() {
            self.product = other.product.take_if(low_rank);
            added += self.product.as_ref().map_or(0, |product| product.a.len());
        }
        if let Some(term) = other.diagonal.take() {
            added += term.d.len();
            match &mut self.diagonal {
                Some(sum) => sum.d.iter_mut().zip(term.d).for_each(|(sum, d)| *sum += d),
                slot => *slot = Some(term),
            }
        }
        added
    }

    /// Whether a term is in factors.
    pub(crate) fn has_factors(&self) -> bool {
        self.product.is_some() || self.diagonal.is_some()
    }

    /// `dV ← β dV + aᵀz` or `dV ← β dV + diag(d) V`, given `V`.
    pub(crate) fn write_factors(&self, v: &Tensor<T>, beta: T, dv: &mut Tensor<T>) {
        if let Some(Product { a, z, precision, .. }) = self.product.as_deref() {
            let a = a.as_matrix().reversed_axes();
            precision.gemm(a, z.as_matrix(), beta, dv.as_matrix_mut());
        } else if let Some(diagonal) = &self.diagonal {
            let k = width(v.shape());
            let rows = dv.as_slice_mut().chunks_exact_mut(k).zip(v.as_slice().chunks_exact(k));
            for ((dv, v), &d) in rows.zip(&diagonal.d) {
                match beta == T::zero() {
                    true => vector::scaled_sum(None, d, v, dv),
                    false => vector::axpy(d, v, dv),
                }
            }
        }
    }

    /// Panics unless this can be the gradient of `v`.
    fn check(&self, v: &Tensor<T>) {
        let (rows, k) = (v.len() / width(v.shape()), width(v.shape()));
        let dense = self.dense.as_ref().is_none_or(|g| g.shape() == v.shape());
        let factors = |p: &Product<T>| [width(p.a.shape()), width(p.z.shape())] == [rows, k];
        let product = self.product.as_deref().is_none_or(factors);
        let diagonal = self.diagonal.as_ref().is_none_or(|diagonal| diagonal.d.len() == rows);
        assert!(dense && product && diagonal, "a gradient of another shape than {:?}", v.shape());
    }

    /// The sum of squares, given the `V` that this is the gradient of; NaN or infinite if an entry
    /// is.
    ///
    /// It is computed in `f64`. If there is no dense term, factors are not multiplied out:
    /// `‖Σₛ aₛᵢ zₛ + dᵢ vᵢ‖² = Σₛₜ aₛᵢ aₜᵢ zₛ·zₜ + 2 dᵢ (aᵀz)ᵢ·vᵢ + dᵢ² ‖vᵢ‖²`, or 0 if rounding
    /// makes this negative.
    ///
    /// # Panics
    /// If `v` has another shape.
    pub fn squares(&self, v: &Tensor<T>) -> f64 {
        self.check(v);
        let k = width(v.shape());
        if self.dense.is_some() {
            let rows = rows_at_a_time(v.shape());
            let chunks = v.as_slice().par_chunks(rows * k).enumerate();
            let squares = chunks.map_init(Vec::new, |workspace, (i, v)| {
                let g = self.form(i * rows, v, k, workspace);
                vector::dot_f64(g, g)
            });
            return squares.collect::<Vec<_>>().iter().sum();
        }
        let mut sums = vec![0.; v.len() / k];
        if let Some(Product { a, z, y, .. }) = self.product.as_deref() {
            let rows =
                a.as_slice().chunks_exact(width(a.shape())).zip(z.as_slice().chunks_exact(k));
            for (s, (a_s, z_s)) in rows.clone().enumerate() {
                for (t, (a_t, z_t)) in rows.clone().enumerate().take(s + 1) {
                    let both = if s == t { 1. } else { 2. } * vector::dot_f64(z_s, z_t);
                    vector::add_products(both, a_s, a_t, &mut sums);
                }
            }
            if let Some(Diagonal { d, .. }) = self.diagonal.as_deref() {
                let mut along = vec![0.; sums.len()];
                for ((a, _), y) in rows.zip(y.as_slice().chunks_exact(sums.len())) {
                    vector::add_products(1., a, y, &mut along);
                }
                let cross = sums.iter_mut().zip(d).zip(along);
                cross.for_each(|((sum, d), along)| *sum += 2. * d.f64() * along);
            }
        }
        if let Some(Diagonal { d, norms }) = self.diagonal.as_deref() {
            let own = sums.iter_mut().zip(d).zip(norms);
            own.for_each(|((sum, d), norm)| *sum += d.f64() * d.f64() * (norm.f64() * norm.f64()));
        }
        // Not `max`, which would replace a NaN by 0.
        sums.into_iter().map(|sum| if sum < 0. { 0. } else { sum }).sum()
    }

    /// The rows of the gradient from `first` on, given the same rows `v` of `V`, of width `k`. They
    /// are borrowed from a dense gradient, or else computed in `workspace`.
    pub(crate) fn form<'a>(
        &'a self,
        first: usize,
        v: &[T],
        k: usize,
        workspace: &'a mut Vec<T>,
    ) -> &'a [T] {
        let dense = self.dense.as_ref().map(|g| &g.as_slice()[first * k..][..v.len()]);
        if let (Some(dense), None, None) = (dense, &self.product, &self.diagonal) {
            return dense;
        }
        workspace.resize(v.len().max(workspace.len()), T::zero());
        let formed = &mut workspace[..v.len()];
        let product = self.product.as_deref().map(|Product { a, z, .. }| {
            let (rank, n) = (z.len() / k, width(a.shape()));
            (&a.as_slice()[first..], n, rank, z.as_slice())
        });
        let d = self.diagonal.as_deref().map(|diagonal| &diagonal.d[first..]);
        for (i, (g, v)) in formed.chunks_exact_mut(k).zip(v.chunks_exact(k)).enumerate() {
            match (dense.map(|g| &g[i * k..][..k]), d) {
                (Some(dense), None) => g.copy_from_slice(dense),
                (dense, Some(d)) => vector::scaled_sum(dense, d[i], v, g),
                (None, None) => g.fill(T::zero()),
            }
            if let Some((a, n, rank, z)) = product {
                let mut factors = [T::zero(); MAX_RANK];
                factors[..rank].iter_mut().enumerate().for_each(|(s, f)| *f = a[s * n + i]);
                vector::add_rows(&factors[..rank], z, g);
            }
        }
        formed
    }

    /// Row `i` of the gradient, if it is `diag(d) V + aᵀz` of rank `S`.
    pub(crate) fn row_of_rank<const S: usize>(&self, i: usize) -> Option<Combination<'_, T, S>> {
        let Product { a, z, .. } = self.product.as_deref()?;
        let (n, k) = (width(a.shape()), width(z.shape()));
        if self.dense.is_some() || z.len() != S * k {
            return None;
        }
        let (along, a, z) = (self.diagonal.as_deref()?.d[i], a.as_slice(), z.as_slice());
        let (factors, rows) = (from_fn(|s| a[s * n + i]), from_fn(|s| &z[s * k..][..k]));
        Some(Combination { along, factors, rows })
    }
}

/// The length of a row: `k` for a matrix `[n, k]`. The rows of any other tensor are its entries.
pub(crate) fn width(shape: &[usize]) -> usize {
    if let [_, k] = shape { (*k).max(1) } else { 1 }
}

/// The number of rows computed at a time: about [`vector::CHUNK`] entries.
pub(crate) fn rows_at_a_time(shape: &[usize]) -> usize {
    (vector::CHUNK / width(shape)).max(1)
}
