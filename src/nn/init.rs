//! Where parameters start.
use crate::autodiff::Owned;
use crate::kernels::scalar::Scalar;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// A distribution of starting values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All the same.
    Constant(f64),
    /// `N(mean, std²)`.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// `N(0, 2 / fan_in)`, for what a ReLU follows (He et al. 2015); `fan_in` is the last axis.
    He,
    /// `U(−a, a)` with `a = √(6 / (fan_in + fan_out))` (Glorot & Bengio 2010); a matrix
    /// `[fan_out, fan_in]`.
    Glorot,
}

impl Init {
    /// A new tensor. Drawn in `f64` and rounded, so that both precisions start alike.
    ///
    /// # Panics
    /// If `Glorot` or `He` is asked for a scalar.
    pub fn sample<T: Scalar>(self, shape: &[usize], rng: &mut impl Rng) -> Owned<T> {
        let fan_in = || *shape.last().expect("a fan needs an axis") as f64;
        let mut normal = |mean: f64, std: f64| {
            Owned::from_shape_simple_fn(shape, || {
                T::of(mean + std * rng.sample::<f64, _>(StandardNormal))
            })
        };
        match self {
            Self::Constant(x) => Owned::from_elem(shape, T::of(x)),
            Self::Normal { mean, std } => normal(mean, std),
            Self::He => normal(0., (2. / fan_in()).sqrt()),
            Self::Glorot => {
                let a = (6. / (fan_in() + shape[0] as f64)).sqrt();
                Owned::from_shape_simple_fn(shape, || T::of(a * (2. * rng.random::<f64>() - 1.)))
            }
        }
    }
}
