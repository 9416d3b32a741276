//! Fixed permutations between couplings: `ln|det| = 0`.
use super::{Bijector, check_shape, zero_ln_det};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Buffer, Params};
use rand::{Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How permutations are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Uniformly random, a new one for each step.
    #[default]
    Random,
    /// The reversal, as in the paper's toy and anomaly experiments.
    Reversal,
}

/// `y[i] = x[order[i]]`.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let h = Permutation::new(vec![2, 0, 3, 1]);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// assert_eq!(y.value()[[0, 0]], x.value()[[0, 2]]);
/// ```
#[derive(Clone, Debug)]
pub struct Permutation {
    pub(super) order: Arc<[usize]>,
    pub(super) inverse: Arc<[usize]>,
}

impl Permutation {
    /// The permutation `order`.
    ///
    /// # Panics
    /// Unless `order` contains every index below its length exactly once.
    pub fn new(order: Vec<usize>) -> Self {
        let mut inverse = vec![usize::MAX; order.len()];
        for (i, &from) in order.iter().enumerate() {
            let is_new = inverse.get(from) == Some(&usize::MAX);
            assert!(is_new, "not a permutation: {order:?}");
            inverse[from] = i;
        }
        Self { order: order.into(), inverse: inverse.into() }
    }

    /// A uniformly random permutation of `d` entries.
    pub fn random(d: usize, rng: &mut impl Rng) -> Self {
        let mut order: Vec<_> = (0..d).collect();
        order.shuffle(rng);
        Self::new(order)
    }

    /// The reversal of `d` entries.
    pub fn reversal(d: usize) -> Self {
        Self::new((0..d).rev().collect())
    }

    /// The permutation, registered as the buffer `name`. If a permutation of the same length is
    /// saved under this name, it is returned instead.
    pub fn registered<T: Scalar>(self, params: &mut Params<T>, name: &str) -> Self {
        let drawn = Buffer::Indices(self.order.iter().map(|&i| i as u32).collect());
        let valid = |saved: &Buffer| {
            let Buffer::Indices(order) = saved else { return false };
            let mut sorted = order.clone();
            sorted.sort_unstable();
            sorted.iter().map(|&i| i as usize).eq(0..self.order.len())
        };
        match params.buffer(name, drawn, valid) {
            Buffer::Indices(order) => Self::new(order.into_iter().map(|i| i as usize).collect()),
            Buffer::Numbers(_) => unreachable!("`{name}` holds indices"),
        }
    }
}

impl<T: Scalar> Bijector<T> for Permutation {
    fn forward<'t>(&self, _: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Permutation", x, self.order.len());
        (x.gather(1, self.order.clone()), zero_ln_det(x))
    }

    fn inverse<'t>(&self, _: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Permutation", y, self.inverse.len());
        (y.gather(1, self.inverse.clone()), zero_ln_det(y))
    }
}
