//! Composition of flows.
use super::bijector::{Bijector, zero_ln_det};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::BoundParams;
use std::sync::Arc;

/// The composition `y = fₙ(… f₁(x))`; log-determinants add.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let h = Chain::default()
///     .then(Coupling::new(&mut params, "first", 4, Conditioner::default(), rng))
///     .then(Permutation::reversal(4))
///     .then(Coupling::new(&mut params, "second", 4, Conditioner::default(), rng));
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Clone, Default)]
pub struct Chain<T>(Vec<Arc<dyn Bijector<T>>>);

impl<T: Scalar> Chain<T> {
    /// The chain followed by `map`.
    pub fn then(mut self, map: impl Bijector<T> + 'static) -> Self {
        self.0.push(Arc::new(map));
        self
    }

    /// `f₁ … fₙ`.
    pub(crate) fn maps(&self) -> &[Arc<dyn Bijector<T>>] {
        &self.0
    }
}

impl<T: Scalar> Bijector<T> for Chain<T> {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        compose(x, self.0.iter(), |f, x| f.forward(p, x))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        compose(y, self.0.iter().rev(), |f, y| f.inverse(p, y))
    }
}

/// `x` mapped by all bijectors in turn, and the sum of their log-determinants.
fn compose<'a, 't, T: Scalar>(
    x: Var<'t, T>,
    mut maps: impl Iterator<Item = &'a Arc<dyn Bijector<T>>>,
    map: impl Fn(&'a dyn Bijector<T>, Var<'t, T>) -> (Var<'t, T>, Var<'t, T>),
) -> (Var<'t, T>, Var<'t, T>) {
    let (tape, begin) = (x.tape(), x.tape().len());
    let Some(first) = maps.next() else { return (x, zero_ln_det(x)) };
    maps.fold(map(&**first, x), |(x, sum), f| {
        let (y, ln_det) = map(&**f, x);
        let sum = sum + ln_det;
        tape.release(begin, &[y, sum]);
        (y, sum)
    })
}
