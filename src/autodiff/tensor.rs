//! The tensor of the engine: an n-dimensional array, contiguous by construction.
use crate::kernels::scalar::Scalar;
use ndarray::{
    ArcArray, Array, ArrayBase, ArrayView2, ArrayViewMut2, ArrayViewMutD, DataOwned, Dimension,
    IntoDimension, Ix2, IxDyn, ShapeError,
};
use std::fmt;
use std::ops::{Add, Deref, Div, Mul, Sub};

/// An owned ndarray array, in any memory layout: what ndarray's arithmetic returns.
pub type Owned<T> = Array<T, IxDyn>;

/// An n-dimensional array in row-major order, without gaps. A clone shares the entries; writing to
/// a shared tensor copies them first.
///
/// It dereferences to an ndarray array for reading, and any ndarray array converts into one:
///
/// ```
/// use bhn::autodiff::Tensor;
/// let x = Tensor::from(ndarray::array![[1., 2., 3.], [4., 5., 6.]].reversed_axes());
/// assert_eq!(x.shape(), [3, 2]);
/// assert_eq!(x.as_slice(), [1., 4., 2., 5., 3., 6.]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T>(ArcArray<T, IxDyn>);

impl<T> Deref for Tensor<T> {
    type Target = ArcArray<T, IxDyn>;
    fn deref(&self) -> &ArcArray<T, IxDyn> {
        &self.0
    }
}

impl<T: fmt::Display> fmt::Display for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a, T> IntoIterator for &'a Tensor<T> {
    type Item = &'a T;
    type IntoIter = ndarray::iter::Iter<'a, T, IxDyn>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Clone, S: DataOwned<Elem = T>, D: Dimension> From<ArrayBase<S, D>> for Tensor<T> {
    fn from(x: ArrayBase<S, D>) -> Self {
        Self(match x.is_standard_layout() {
            true => x.into_dyn().into_shared(),
            false => x.as_standard_layout().into_owned().into_dyn().into_shared(),
        })
    }
}

impl<T: Scalar> Tensor<T> {
    /// Zeros.
    pub fn zeros(shape: impl IntoDimension<Dim = IxDyn>) -> Self {
        Self::from_elem(shape, T::zero())
    }

    /// Ones.
    pub fn ones(shape: impl IntoDimension<Dim = IxDyn>) -> Self {
        Self::from_elem(shape, T::one())
    }

    /// `x` in every entry.
    pub fn from_elem(shape: impl IntoDimension<Dim = IxDyn>, x: T) -> Self {
        Self(ArcArray::from_elem(shape.into_dimension(), x))
    }

    /// `entries` in row-major order.
    ///
    /// # Errors
    /// If their number does not match the shape.
    pub fn from_shape_vec(
        shape: impl IntoDimension<Dim = IxDyn>,
        entries: Vec<T>,
    ) -> Result<Self, ShapeError> {
        ArcArray::from_shape_vec(shape.into_dimension(), entries).map(Self)
    }

    /// The entries in row-major order.
    #[expect(clippy::missing_panics_doc, reason = "contiguous by construction")]
    pub fn as_slice(&self) -> &[T] {
        self.0.as_slice().expect("contiguous by construction")
    }

    /// The entries in row-major order, for writing.
    #[expect(clippy::missing_panics_doc, reason = "contiguous by construction")]
    pub fn as_slice_mut(&mut self) -> &mut [T] {
        self.0.as_slice_mut().expect("contiguous by construction")
    }

    /// A view of the tensor for writing.
    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, T> {
        self.0.view_mut()
    }

    /// `x ← β x` for `β` 0 or 1, as passed by [`Sink::write`](crate::autodiff::Sink::write).
    pub(crate) fn scale(&mut self, beta: T) {
        if beta == T::zero() {
            self.as_slice_mut().fill(beta);
        }
    }

    /// A view as the matrix `[n, k]` whose rows are the lines along the last axis.
    #[expect(clippy::missing_panics_doc, reason = "contiguous by construction")]
    pub fn as_matrix(&self) -> ArrayView2<'_, T> {
        ArrayView2::from_shape(self.matrix_shape(), self.as_slice()).expect("as many entries")
    }

    /// [`as_matrix`](Tensor::as_matrix) for writing.
    #[expect(clippy::missing_panics_doc, reason = "contiguous by construction")]
    pub fn as_matrix_mut(&mut self) -> ArrayViewMut2<'_, T> {
        ArrayViewMut2::from_shape(self.matrix_shape(), self.as_slice_mut())
            .expect("as many entries")
    }

    fn matrix_shape(&self) -> Ix2 {
        let (k, lead) = self.shape().split_last().map_or((1, &[][..]), |(&k, lead)| (k, lead));
        Ix2(lead.iter().product(), k)
    }

    /// The same entries in row-major order under another shape. Copies nothing.
    ///
    /// # Errors
    /// If the number of entries differs.
    pub fn into_shape(self, shape: impl IntoDimension<Dim = IxDyn>) -> Result<Self, ShapeError> {
        self.0.into_shape_with_order(shape.into_dimension()).map(Self)
    }

    /// A copy as an ndarray array.
    pub fn to_owned(&self) -> Owned<T> {
        self.0.to_owned()
    }

    /// The tensor as an ndarray array. Copies nothing unless entries are shared.
    pub fn into_owned(self) -> Owned<T> {
        self.0.into_owned()
    }

    /// The entries themselves, if no other tensor shares them.
    pub(crate) fn into_entries(self) -> Option<Vec<T>> {
        Some(self.0.try_into_owned_nocopy().ok()?.into_raw_vec_and_offset().0)
    }
}

/// Arithmetic between references, broadcast by ndarray; simple backward rules use it.
macro_rules! operators {
    ($($operator:ident::$method:ident),*) => {$(
        impl<T: Scalar> $operator for &Tensor<T> {
            type Output = Owned<T>;
            fn $method(self, other: Self) -> Owned<T> {
                (&self.0).$method(&other.0)
            }
        }
        impl<'a, T: Scalar, X> $operator<X> for &'a Tensor<T>
        where
            &'a ArcArray<T, IxDyn>: $operator<X, Output = Owned<T>>,
        {
            type Output = Owned<T>;
            fn $method(self, other: X) -> Owned<T> {
                (&self.0).$method(other)
            }
        }
        impl<T: Scalar> $operator<&Tensor<T>> for Owned<T> {
            type Output = Self;
            fn $method(self, other: &Tensor<T>) -> Self {
                self.$method(&other.0)
            }
        }
    )*};
}
operators!(Add::add, Sub::sub, Mul::mul, Div::div);
