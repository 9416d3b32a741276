//! Parameters that are constants: all of them in prediction, some of them in training.
use super::{BoundParams, Params};
use crate::autodiff::{Fixed, Tape, Tensor};
use crate::kernels::scalar::Scalar;
use std::sync::Arc;

/// Parameters held fixed, shared by many tapes. The packed form of a matrix, used in products, and
/// its row norms are computed on first use and cached.
///
/// ```
/// use bhn::{autodiff::{Owned, Tape}, nn::{Frozen, Params}};
/// let mut params = Params::<f64>::default();
/// let [v, b] = ["net.v", "net.b"].map(|name| params.add(name, Owned::ones(&[2][..])));
/// let frozen = Frozen::new(&params, |name| name.ends_with(".v"));
/// let tape = Tape::default();
/// let p = frozen.bind(&params, &tape);
/// let grads = p.gradients((p[v] * p[b]).sum().backward());
/// assert!(grads[0].is_none() && grads[1].is_some());
/// params.get_mut(b).as_slice_mut()[0] = 2.;
/// assert!(frozen.is_current(&params));
/// params.get_mut(v).as_slice_mut()[0] = 2.;
/// assert!(!frozen.is_current(&params));
/// ```
#[derive(Debug)]
pub struct Frozen<T = f32>(Vec<Option<Arc<Fixed<T>>>>);

impl<T: Scalar> Frozen<T> {
    /// The parameters in `params` for whose names `is_frozen` holds.
    pub fn new(params: &Params<T>, is_frozen: impl Fn(&str) -> bool) -> Self {
        let fixed = |(name, value): (&str, &Tensor<T>)| {
            is_frozen(name).then(|| Arc::new(Fixed::new(value.clone())))
        };
        Self(params.iter().map(fixed).collect())
    }

    /// Bind `params` to a tape: the frozen parameters as constants, the others as leaves.
    ///
    /// # Panics
    /// Unless the frozen parameters are [current](Frozen::is_current).
    pub fn bind<'t>(&self, params: &Params<T>, tape: &'t Tape<T>) -> BoundParams<'t, T> {
        assert!(self.is_current(params), "Frozen::bind: a frozen parameter was changed");
        let bind = |((name, value), fixed): ((&str, &Tensor<T>), &Option<_>)| match fixed {
            Some(fixed) => tape.fixed(fixed),
            None => tape.named_leaf(name.to_string(), value.clone()),
        };
        BoundParams::from_vars(tape, params.iter().zip(&self.0).map(bind).collect())
    }

    /// Whether the frozen parameters are those of `params`, neither written to nor replaced since.
    pub fn is_current(&self, params: &Params<T>) -> bool {
        // A constant keeps its allocation alive, and writing to a shared tensor copies it first, so
        // equal addresses mean equal entries.
        let pairs = params.iter().zip(&self.0);
        let mut pairs = pairs.filter_map(|((_, w), fixed)| Some((w, &fixed.as_ref()?.value)));
        let is_same = |(w, fixed): (&Tensor<T>, &Tensor<T>)| {
            w.shape() == fixed.shape() && w.as_ptr() == fixed.as_ptr()
        };
        self.0.len() == params.iter().len() && pairs.all(is_same)
    }
}
