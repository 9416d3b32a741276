//! Initialisation of parameters.
use crate::autodiff::Owned;
use crate::kernels::scalar::Scalar;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// A distribution of initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every entry equal to this constant.
    Constant(f64),
    /// `N(mean, std²)`.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// `N(0, 2 / fan_in)`, for weights followed by a ReLU (He et al. 2015); `fan_in` is the size of
    /// the last axis.
    He,
}

impl Init {
    /// `N(0, 1)`.
    pub(crate) const STANDARD_NORMAL: Self = Self::Normal { mean: 0., std: 1. };

    /// A new tensor of this shape. The entries are sampled in `f64` and rounded to `T`, so `f32`
    /// and `f64` start from the same values up to rounding.
    ///
    /// # Panics
    /// If the distribution is `He` and `shape` is empty.
    pub fn sample<T: Scalar>(self, shape: &[usize], rng: &mut impl Rng) -> Owned<T> {
        let mut normal = |mean: f64, std: f64| {
            Owned::from_shape_simple_fn(shape, || {
                T::of(mean + std * rng.sample::<f64, _>(StandardNormal))
            })
        };
        match self {
            Self::Constant(x) => Owned::from_elem(shape, T::of(x)),
            Self::Normal { mean, std } => normal(mean, std),
            Self::He => {
                let fan_in = *shape.last().expect("He: a scalar has no fan-in") as f64;
                normal(0., (2. / fan_in).sqrt())
            }
        }
    }
}
