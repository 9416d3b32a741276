//! An ordered store of named tensors, outside any tape, and of buffers, which are not trained.
use crate::autodiff::Gradient;
use crate::autodiff::{Fixed, Grads, Owned, Tape, Tensor, Var};
use crate::kernels::scalar::Scalar;
use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

/// Names and values, in the order they were added. The order is part of what "same bits" means.
///
/// ```
/// use bhn::nn::{Init, Params};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, mut rng) = (Params::<f64>::default(), ChaCha8Rng::seed_from_u64(0));
/// let w = params.add("w", Init::He.sample(&[3, 4], &mut rng));
/// let b = params.add("b", Init::Constant(0.5).sample(&[3], &mut rng));
/// assert_eq!((params.count(), params.get(b)[2]), (15, 0.5));
/// assert_eq!(params.cast::<f32>().get(w)[[0, 0]], params.get(w)[[0, 0]] as f32);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Params<T = f32> {
    parameters: Vec<(String, Tensor<T>)>,
    buffers: Buffers,
    /// Buffers to be used in place of those that will be drawn.
    given: Buffers,
}

/// What a function depends on and nothing trains, as PyTorch's `register_buffer` has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Buffer {
    /// Indices, such as those of a permutation.
    Indices(Vec<u32>),
    /// Numbers, such as the centres of a mixture.
    Numbers(Vec<f32>),
}

/// Buffers by name.
pub type Buffers = BTreeMap<String, Buffer>;

/// Where a parameter is in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamId(usize);

/// The parameters on one tape: `p[id]` is a [`Var`].
///
/// ```
/// use bhn::{nn::Params, autodiff::{Owned, Tape}};
/// let mut params = Params::<f64>::default();
/// let [w, unused] = ["w", "unused"].map(|name| params.add(name, Owned::ones(&[2][..])));
/// let tape = Tape::default();
/// let p = params.bind(&tape);
/// let grads = p.gradients((p[w] * 3.).sum().backward());
/// assert_eq!(grads[0].as_ref().unwrap().dense().unwrap()[1], 3.);
/// assert!(grads[1].is_none(), "the loss does not depend on it");
/// ```
pub struct BoundParams<'t, T = f32>(Vec<Var<'t, T>>);

impl<T: Scalar> Params<T> {
    /// An empty store in which buffers registered under these names take these values, such as a
    /// checkpoint's.
    ///
    /// ```
    /// use bhn::nn::{Buffer, Params};
    /// let saved = Buffer::Indices(vec![1, 0]);
    /// let mut params = Params::<f32>::with_buffers([("order".into(), saved.clone())].into());
    /// let used = params.buffer("order", Buffer::Indices(vec![0, 1]), |_| true);
    /// assert_eq!(used, saved);
    /// assert_eq!(params.buffers()["order"], saved);
    /// ```
    pub fn with_buffers(given: Buffers) -> Self {
        Self { parameters: vec![], buffers: Buffers::new(), given }
    }

    /// Register a buffer and return its value: the one that the store was given under this name, if
    /// it `fits`, otherwise `drawn`.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn buffer(
        &mut self,
        name: impl Into<String>,
        drawn: Buffer,
        fits: impl FnOnce(&Buffer) -> bool,
    ) -> Buffer {
        let name = name.into();
        let buffer = self.given.remove(&name).filter(fits).unwrap_or(drawn);
        let before = self.buffers.insert(name.clone(), buffer.clone());
        assert!(before.is_none(), "two buffers named {name}");
        buffer
    }

    /// The buffers that were registered.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Add a parameter.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn add(&mut self, name: impl Into<String>, value: Owned<T>) -> ParamId {
        let name = name.into();
        assert!(self.parameters.iter().all(|(n, _)| *n != name), "two parameters named {name}");
        self.parameters.push((name, value.into()));
        ParamId(self.parameters.len() - 1)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor<T>)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Names and values in order, to be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Tensor<T>)> {
        self.parameters.iter_mut().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of `id`.
    pub fn get(&self, id: ParamId) -> &Tensor<T> {
        &self.parameters[id.0].1
    }

    /// The value of `id`, to be changed.
    pub fn get_mut(&mut self, id: ParamId) -> &mut Tensor<T> {
        &mut self.parameters[id.0].1
    }

    /// The number of parameters, counting every entry.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(|(_, value)| value.len()).sum()
    }

    /// Put them on a tape to be differentiated.
    pub fn bind<'t>(&self, tape: &'t Tape<T>) -> BoundParams<'t, T> {
        BoundParams(
            self.parameters.iter().map(|(n, v)| tape.named_leaf(n.clone(), v.clone())).collect(),
        )
    }

    /// Put them on a tape as constants: nothing records a rule.
    pub fn freeze<'t>(&self, tape: &'t Tape<T>) -> BoundParams<'t, T> {
        BoundParams(self.parameters.iter().map(|(_, v)| tape.constant(v.clone())).collect())
    }

    /// The same for many tapes, on which what is worked out of them is shared.
    pub fn frozen(&self) -> Frozen<T> {
        Frozen(self.parameters.iter().map(|(_, v)| Arc::new(Fixed::new(v.clone()))).collect())
    }

    /// The same parameters in another precision.
    pub fn cast<U: Scalar>(&self) -> Params<U> {
        let cast = |v: &Tensor<T>| v.mapv(|x| U::of(x.f64())).into();
        let parameters = self.parameters.iter().map(|(n, v)| (n.clone(), cast(v))).collect();
        Params { parameters, buffers: self.buffers.clone(), given: self.given.clone() }
    }
}

/// Parameters that do not change, for many tapes: packed for products once.
#[derive(Debug)]
pub struct Frozen<T>(Vec<Arc<Fixed<T>>>);

impl<T: Scalar> Frozen<T> {
    /// Put them on a tape as constants.
    pub fn bind<'t>(&self, tape: &'t Tape<T>) -> BoundParams<'t, T> {
        BoundParams(self.0.iter().map(|fixed| tape.fixed(fixed)).collect())
    }
}

impl<'t, T: Scalar> BoundParams<'t, T> {
    /// Variables standing for the parameters of a store, in its order: what a gradient check of a
    /// whole model perturbs.
    pub fn from_vars(vars: Vec<Var<'t, T>>) -> Self {
        Self(vars)
    }

    /// The gradient of every parameter, in order; `None` where the loss does not depend on it.
    pub fn gradients(&self, mut grads: Grads<T>) -> Vec<Option<Gradient<T>>> {
        self.0.iter().map(|&var| grads.take(var)).collect()
    }
}

impl<'t, T> Index<ParamId> for BoundParams<'t, T> {
    type Output = Var<'t, T>;
    fn index(&self, id: ParamId) -> &Var<'t, T> {
        &self.0[id.0]
    }
}
