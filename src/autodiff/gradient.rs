//! The gradient of one tensor: its numbers, or factors that they can be formed from.
use crate::autodiff::{Owned, Tensor};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector;
use ndarray::{ArcArray2, Array2, ArrayBase, Data, Ix2};
use rayon::prelude::*;

/// Rank up to which a product stays in factors.
const RANK: usize = 16;

/// `G + aᵀz + diag(d) V`, each part if there is one: the gradient of a matrix `V [n, k]`, or `G`
/// alone, of any tensor.
///
/// A matrix that has multiplied `S` rows `z` has a gradient of rank `S`, and the norms of its own rows
/// add a multiple of each. Written out that is as large as `V`, to be stored, read for its norm, and
/// read again for the step; its factors are `S (n + k) + n` numbers, and a step, which has `V` in
/// hand anyway, forms a few rows at a time. With weight normalisation, `w = r V/‖V‖`, this is
/// `dvᵢ = (rᵢ/‖vᵢ‖)(Σₛ δₛᵢ zₛ − drᵢ v̂ᵢ)`, with `a = δ r/‖v‖` and `dᵢ = −rᵢ drᵢ/‖vᵢ‖²`.
#[derive(Clone, Debug)]
pub struct Gradient<T> {
    dense: Option<Owned<T>>,
    product: Option<Product<T>>,
    diagonal: Option<Diagonal<T>>,
}

#[derive(Clone, Debug)]
struct Product<T> {
    /// `[S, n]`.
    a: Array2<T>,
    /// `[S, k]`.
    z: ArcArray2<T>,
    /// `(aᵀz)ᵢ · vᵢ`.
    along: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Diagonal<T> {
    /// `[n]`.
    d: Vec<T>,
    /// `‖vᵢ‖²`.
    squares: Vec<f64>,
}

impl<T> Default for Gradient<T> {
    /// Zero.
    fn default() -> Self {
        Self { dense: None, product: None, diagonal: None }
    }
}

impl<T> From<Owned<T>> for Gradient<T> {
    fn from(g: Owned<T>) -> Self {
        Self { dense: Some(g), ..Self::default() }
    }
}

impl<T> Gradient<T> {
    /// How many numbers it is kept in.
    pub(crate) fn entries(&self) -> usize {
        let dense = self.dense.as_ref().map_or(0, Owned::len);
        let product = self.product.as_ref().map_or(0, |p| p.a.len());
        dense + product + self.diagonal.as_ref().map_or(0, |diagonal| diagonal.d.len())
    }

    /// `G`, handed over.
    pub(crate) fn into_part(self) -> Option<Owned<T>> {
        self.dense
    }
}

impl<T: Scalar> Gradient<T> {
    /// Its numbers, if it is not in factors.
    pub fn dense(&self) -> Option<&Owned<T>> {
        let factors = self.product.is_some() || self.diagonal.is_some();
        self.dense.as_ref().filter(|_| !factors)
    }

    /// Its numbers, given the `V` it belongs to.
    ///
    /// # Panics
    /// If `v` is shaped differently.
    pub fn to_dense(&self, v: &Tensor<T>) -> Owned<T> {
        self.check(v);
        let mut space = vec![];
        let g = self.form(0, entries(v), width(v.shape()), &mut space).to_vec();
        Owned::from_shape_vec(v.raw_dim(), g).expect("shaped like what it belongs to")
    }

    /// `G`.
    pub(crate) fn part(&mut self) -> &mut Option<Owned<T>> {
        &mut self.dense
    }

    /// Add `aᵀz` for `a [S, n]` and `z [S, k]` with `y = z Vᵀ`, unless it would not stay small.
    pub(crate) fn add_product(&mut self, a: &Owned<T>, z: &Tensor<T>, y: &Tensor<T>) -> bool {
        let (n, k) = (width(a.shape()), width(z.shape()));
        let rank = z.len() / k;
        let small = (1..=RANK).contains(&rank) && 2 * rank <= n.min(k);
        if self.product.is_some() || !small {
            return false;
        }
        let a = a.clone().into_shape_with_order((rank, n)).expect("row-major");
        let z = z.clone().into_shape_with_order((rank, k)).expect("row-major");
        let mut along = vec![0.; n];
        for (s, y) in entries(y).chunks_exact(n).enumerate() {
            vector::add_products(1., row(&a, s), y, &mut along);
        }
        self.product = Some(Product { a, z, along });
        true
    }

    /// Add `diag(d) V`, given the norms of the rows of `V`.
    pub(crate) fn add_diagonal(&mut self, d: Vec<T>, norms: &[T]) {
        match &mut self.diagonal {
            Some(sum) => sum.d.iter_mut().zip(d).for_each(|(sum, d)| *sum += d),
            slot => {
                let squares = norms.iter().map(|norm| norm.f64() * norm.f64()).collect();
                *slot = Some(Diagonal { d, squares });
            }
        }
    }

    /// Panics unless it is shaped like `v`.
    fn check(&self, v: &Tensor<T>) {
        let (rows, k) = (v.len() / width(v.shape()), width(v.shape()));
        let dense = self.dense.as_ref().is_none_or(|g| g.shape() == v.shape());
        let product = self.product.as_ref().is_none_or(|p| [p.a.ncols(), p.z.ncols()] == [rows, k]);
        let diagonal = self.diagonal.as_ref().is_none_or(|diagonal| diagonal.d.len() == rows);
        assert!(dense && product && diagonal, "a gradient of another shape than {:?}", v.shape());
    }

    /// The sum of squares, given the `V` it belongs to; `NaN` or infinite if an entry is.
    ///
    /// Of factors alone without forming them, in `f64`:
    /// `‖Σₛ aₛᵢ zₛ + dᵢ vᵢ‖² = Σₛₜ aₛᵢ aₜᵢ zₛ·zₜ + 2 dᵢ (aᵀz)ᵢ·vᵢ + dᵢ² ‖vᵢ‖²`, held above 0.
    ///
    /// # Panics
    /// If `v` is shaped differently.
    pub fn squares(&self, v: &Tensor<T>) -> f64 {
        self.check(v);
        if self.dense.is_some() {
            let (k, rows) = (width(v.shape()), rows_at_a_time(v.shape()));
            let chunks = entries(v).par_chunks(rows * k).enumerate();
            let squares = chunks.map_init(Vec::new, |space, (i, v)| {
                let g = self.form(i * rows, v, k, space);
                vector::dot_f64(g, g)
            });
            return squares.collect::<Vec<_>>().iter().sum();
        }
        let mut sums = vec![0.; v.len() / width(v.shape())];
        if let Some(Product { a, z, along }) = &self.product {
            for s in 0..a.nrows() {
                for t in 0..=s {
                    let both = if s == t { 1. } else { 2. } * vector::dot_f64(row(z, s), row(z, t));
                    vector::add_products(both, row(a, s), row(a, t), &mut sums);
                }
            }
            if let Some(Diagonal { d, .. }) = &self.diagonal {
                let cross = sums.iter_mut().zip(d).zip(along);
                cross.for_each(|((sum, d), along)| *sum += 2. * d.f64() * along);
            }
        }
        if let Some(Diagonal { d, squares }) = &self.diagonal {
            let own = sums.iter_mut().zip(d).zip(squares);
            own.for_each(|((sum, d), square)| *sum += d.f64() * d.f64() * square);
        }
        // `max` would turn a NaN into 0.
        sums.into_iter().map(|sum| if sum < 0. { 0. } else { sum }).sum()
    }

    /// The rows from `first` on that belong to the rows `v` of `V`, each `k` wide; formed in `space`
    /// if they are not there.
    pub(crate) fn form<'a>(
        &'a self,
        first: usize,
        v: &[T],
        k: usize,
        space: &'a mut Vec<T>,
    ) -> &'a [T] {
        let dense = self.dense.as_ref().map(|g| {
            let g = g.as_slice().expect("a gradient is row-major");
            &g[first * k..first * k + v.len()]
        });
        if let (Some(dense), None, None) = (dense, &self.product, &self.diagonal) {
            return dense;
        }
        space.resize(v.len().max(space.len()), T::zero());
        let space = &mut space[..v.len()];
        for (i, (g, v)) in space.chunks_exact_mut(k).zip(v.chunks_exact(k)).enumerate() {
            match (dense.map(|g| &g[i * k..][..k]), &self.diagonal) {
                (Some(dense), None) => g.copy_from_slice(dense),
                (dense, Some(Diagonal { d, .. })) => vector::scaled_sum(dense, d[first + i], v, g),
                (None, None) => g.fill(T::zero()),
            }
            if let Some(Product { a, z, .. }) = &self.product {
                let mut factors = [T::zero(); RANK];
                factors.iter_mut().zip(a.column(first + i)).for_each(|(f, &a)| *f = a);
                let z = z.as_slice().expect("row-major");
                vector::add_rows(&factors[..a.nrows()], z, g);
            }
        }
        space
    }
}

/// The width of a row: of a matrix its own; entries of any other tensor stand alone.
pub(crate) fn width(shape: &[usize]) -> usize {
    if let [_, k] = shape { (*k).max(1) } else { 1 }
}

/// Whole rows that are formed at a time, about [`vector::CHUNK`] entries.
pub(crate) fn rows_at_a_time(shape: &[usize]) -> usize {
    (vector::CHUNK / width(shape)).max(1)
}

fn row<T, S: Data<Elem = T>>(x: &ArrayBase<S, Ix2>, s: usize) -> &[T] {
    x.row(s).to_slice().expect("row-major")
}

fn entries<T: Scalar>(v: &Tensor<T>) -> &[T] {
    v.as_slice().expect("row-major")
}
