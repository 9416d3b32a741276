//! Parameters, named and ordered, which exist outside any tape; and buffers, which are saved but
//! not trained.
use crate::autodiff::Gradient;
use crate::autodiff::{Grads, Owned, Tape, Tensor, Var};
use crate::kernels::scalar::Scalar;
use std::collections::{BTreeMap, HashSet};
use std::ops::Index;

/// Parameters by name, in the order in which they were added. Two runs give bitwise identical
/// results only if this order is the same in both.
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
    /// The names of `parameters`.
    names: HashSet<String>,
    buffers: Buffers,
    /// Buffers from an earlier run. If a buffer is registered under one of these names, the saved
    /// value is used, provided that it is valid.
    saved: Buffers,
}

/// A constant that the model depends on and that is not trained, like PyTorch's `register_buffer`.
#[derive(Clone, Debug, PartialEq)]
pub enum Buffer {
    /// Indices, such as those of a permutation.
    Indices(Vec<u32>),
    /// Numbers, such as the centres of a mixture.
    Numbers(Vec<f32>),
}

/// Buffers by name.
pub type Buffers = BTreeMap<String, Buffer>;

/// The index of a parameter in its [`Params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamId(usize);

/// Parameters bound to a tape: `p[id]` is a [`Var`].
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
pub struct BoundParams<'t, T = f32> {
    tape: &'t Tape<T>,
    vars: Vec<Var<'t, T>>,
}

impl<T: Scalar> Params<T> {
    /// An empty store. A buffer that is registered later takes the value in `saved` under its name,
    /// if that is valid. The values may come from a checkpoint.
    ///
    /// ```
    /// use bhn::nn::{Buffer, Params};
    /// let saved = Buffer::Indices(vec![1, 0]);
    /// let mut params = Params::<f32>::with_buffers([("order".into(), saved.clone())].into());
    /// let used = params.buffer("order", Buffer::Indices(vec![0, 1]), |_| true);
    /// assert_eq!(used, saved);
    /// assert_eq!(params.buffers()["order"], saved);
    /// ```
    pub fn with_buffers(saved: Buffers) -> Self {
        Self { parameters: vec![], names: HashSet::new(), buffers: Buffers::new(), saved }
    }

    /// Register a buffer and return its value: the one saved under this name if it is `valid`,
    /// otherwise `drawn`.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn buffer(
        &mut self,
        name: impl Into<String>,
        drawn: Buffer,
        valid: impl FnOnce(&Buffer) -> bool,
    ) -> Buffer {
        let name = name.into();
        let buffer = self.saved.remove(&name).filter(valid).unwrap_or(drawn);
        let before = self.buffers.insert(name.clone(), buffer.clone());
        assert!(before.is_none(), "two buffers named {name}");
        buffer
    }

    /// Keep the present value of `id` as the buffer of the same name, in single precision, in place
    /// of the value kept before. If a value of this length is saved under the name, that is kept.
    ///
    /// ```
    /// use bhn::{nn::Params, autodiff::{Owned, Tensor}};
    /// let mut params = Params::<f64>::default();
    /// let w = params.add("w", Owned::ones(&[2][..]));
    /// params.keep(w);
    /// *params.get_mut(w) = Tensor::zeros(&[2][..]);
    /// assert_eq!(params.kept(w), Tensor::ones(&[2][..]));
    /// ```
    pub fn keep(&mut self, id: ParamId) {
        let (name, value) = &self.parameters[id.0];
        let present = Buffer::Numbers(value.iter().map(|x| x.f64() as f32).collect());
        let fits = |saved: &Buffer| matches!(saved, Buffer::Numbers(x) if x.len() == value.len());
        let buffer = self.saved.remove(name).filter(fits).unwrap_or(present);
        self.buffers.insert(name.clone(), buffer);
    }

    /// The value of `id` that was [kept](Params::keep).
    ///
    /// # Panics
    /// If there is none.
    pub fn kept(&self, id: ParamId) -> Tensor<T> {
        let (name, value) = &self.parameters[id.0];
        let Some(Buffer::Numbers(kept)) = self.buffers.get(name) else {
            panic!("no value of {name} was kept")
        };
        let kept = kept.iter().map(|&x| T::of(x.into())).collect();
        Tensor::from_shape_vec(value.shape(), kept).expect("as many entries")
    }

    /// The registered buffers.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Add a parameter.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn add(&mut self, name: impl Into<String>, value: Owned<T>) -> ParamId {
        let name = name.into();
        assert!(self.names.insert(name.clone()), "two parameters named {name}");
        self.parameters.push((name, value.into()));
        ParamId(self.parameters.len() - 1)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor<T>)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Names and mutable values in order.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Tensor<T>)> {
        self.parameters.iter_mut().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of `id`.
    pub fn get(&self, id: ParamId) -> &Tensor<T> {
        &self.parameters[id.0].1
    }

    /// The value of `id`, mutable.
    pub fn get_mut(&mut self, id: ParamId) -> &mut Tensor<T> {
        &mut self.parameters[id.0].1
    }

    /// The number of scalar parameters: the entries of all tensors.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(|(_, value)| value.len()).sum()
    }

    /// Bind the parameters to a tape as leaves, to be differentiated. [`Frozen`](super::Frozen)
    /// binds some of them as constants.
    pub fn bind<'t>(&self, tape: &'t Tape<T>) -> BoundParams<'t, T> {
        let leaf = |(n, v): &(String, Tensor<T>)| tape.named_leaf(n.clone(), v.clone());
        BoundParams::from_vars(tape, self.parameters.iter().map(leaf).collect())
    }

    /// Bind the parameters to a tape as constants: operations on them record no backward rule.
    pub fn freeze<'t>(&self, tape: &'t Tape<T>) -> BoundParams<'t, T> {
        let constants = self.parameters.iter().map(|(_, v)| tape.constant(v.clone()));
        BoundParams::from_vars(tape, constants.collect())
    }

    /// The parameters in another precision.
    pub fn cast<U: Scalar>(&self) -> Params<U> {
        let cast = |v: &Tensor<T>| v.mapv(|x| U::of(x.f64())).into();
        let parameters = self.parameters.iter().map(|(n, v)| (n.clone(), cast(v))).collect();
        let (names, buffers) = (self.names.clone(), self.buffers.clone());
        Params { parameters, names, buffers, saved: self.saved.clone() }
    }
}

impl<'t, T: Scalar> BoundParams<'t, T> {
    /// Binds the variables `vars` of `tape` in place of the parameters, in the same order. In a
    /// gradient check of a whole model, these variables are perturbed.
    pub fn from_vars(tape: &'t Tape<T>, vars: Vec<Var<'t, T>>) -> Self {
        Self { tape, vars }
    }

    /// The parameters as constants of the same values on the same tape: no gradient flows to them.
    pub fn detached(&self) -> Self {
        let constant = |&var: &Var<'t, T>| if var.is_constant() { var } else { var.detach() };
        Self { tape: self.tape, vars: self.vars.iter().map(constant).collect() }
    }

    /// The tape.
    pub fn tape(&self) -> &'t Tape<T> {
        self.tape
    }

    /// The gradient of every parameter, in order; `None` where the loss does not depend on it.
    pub fn gradients(&self, mut grads: Grads<T>) -> Vec<Option<Gradient<T>>> {
        self.vars.iter().map(|&var| grads.take(var)).collect()
    }
}

impl<'t, T> Index<ParamId> for BoundParams<'t, T> {
    type Output = Var<'t, T>;
    fn index(&self, id: ParamId) -> &Var<'t, T> {
        &self.vars[id.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Comparing each name with all others would take minutes.
    #[test]
    fn parameters_are_added_in_linear_time() {
        let (mut params, start) = (Params::<f32>::default(), Instant::now());
        for i in 0..200_000 {
            params.add(format!("posterior.coupling.{i}.v"), Owned::zeros(vec![1]));
        }
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
        let names = params.iter().enumerate();
        assert!(
            names
                .map(|(i, (name, _))| (i, name.to_string()))
                .all(|(i, name)| { name == format!("posterior.coupling.{i}.v") })
        );
    }

    #[test]
    #[should_panic(expected = "two parameters named w")]
    fn equal_names_panic() {
        let mut params = Params::<f32>::default();
        for _ in 0..2 {
            params.add("w", Owned::zeros(vec![1]));
        }
    }
}
