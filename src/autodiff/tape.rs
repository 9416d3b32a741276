//! Reverse-mode differentiation: a vector of nodes, and `Copy` handles into it.
//!
//! Operations append a node; [`Var::backward`] walks the vector backwards. Recording order is a
//! topological order, so nothing is sorted, and there is no graph beside the vector.
use crate::autodiff::constants::Fixed;
use crate::autodiff::cost::{Op, Operand};
use crate::autodiff::gradient::Gradient;
use crate::autodiff::memory::{Memory, Storage};
use crate::autodiff::profile::{Phase, Profile};
use crate::autodiff::sink::{Cotangent, Input, Sink};
use crate::autodiff::tensor::Tensor;
use crate::kernels::gemm::Precision;
use crate::kernels::scalar::Scalar;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::mem;
use std::sync::Arc;

// ANCHOR: node
type Rule<T> = Box<dyn Fn(&Cotangent<'_, T>, &mut Sink<'_, T>)>;

/// A value, the nodes that it was computed from, and its backward rule.
pub(crate) struct Node<T> {
    pub op: Op,
    pub value: Tensor<T>,
    pub parents: Vec<usize>,
    /// `None` for leaves, and for values to which no gradient flows.
    rule: Option<Rule<T>>,
    needs_grad: bool,
}
// ANCHOR_END: node

/// A record of a computation, in the order it ran.
///
/// `{tape}` prints it as text, one node per line; [`Tape::dot`] draws it.
///
/// ```
/// use bhn::autodiff::{Tape, Tensor};
/// let tape = Tape::<f64>::default();
/// let x = tape.leaf(Tensor::from_elem(&[2][..], 3.));
/// let y = (x * x).sum();
/// assert_eq!(y.backward().wrt(x).unwrap()[0], 6.);
/// assert_eq!(tape.to_string(), "0 leaf [2]\n1 mul [2] of 0 0\n2 sum [] of 1\n");
/// ```
pub struct Tape<T = f32> {
    nodes: RefCell<Vec<Node<T>>>,
    /// The caches of fixed constants, with the index of their node, in the order of the nodes.
    fixed: RefCell<Vec<(usize, Arc<Fixed<T>>)>>,
    memory: Memory<T>,
    profile: Option<Profile>,
    precision: Cell<Precision>,
    /// Distinguishes this tape from any other, even from a dropped tape that had the same address.
    identity: Arc<()>,
}

/// Handle to one value on a tape. `Copy`, and unable to outlive the tape:
///
/// ```compile_fail,E0505
/// # use bhn::autodiff::{Tape, Tensor};
/// let tape = Tape::<f32>::default();
/// let x = tape.leaf(Tensor::zeros(&[2][..]));
/// drop(tape);
/// x.exp();
/// ```
pub struct Var<'t, T = f32> {
    tape: &'t Tape<T>,
    id: usize,
}

impl<T> Clone for Var<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Var<'_, T> {}

impl<T> Default for Tape<T> {
    fn default() -> Self {
        Self::reusing(Storage::default())
    }
}

impl<T> Tape<T> {
    /// An empty tape that reuses the allocations of a finished one.
    pub fn reusing(storage: Storage<T>) -> Self {
        Self {
            nodes: RefCell::default(),
            fixed: RefCell::default(),
            memory: storage.into(),
            profile: None,
            precision: Cell::default(),
            identity: Arc::default(),
        }
    }

    /// This tape, with every operation timed by `profile`, if there is one.
    pub fn profiled(self, profile: Option<Profile>) -> Self {
        Self { profile, ..self }
    }

    /// This tape, with products in `precision`, see [`Tape::with_precision`].
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision: precision.into(), ..self }
    }

    /// The result of `f`, which records matrix products and convolutions in `precision`. So are
    /// those of their gradients, except products that stay in factors, see [`Gradient`].
    pub fn with_precision<R>(&self, precision: Precision, f: impl FnOnce() -> R) -> R {
        let before = self.precision.replace(precision);
        let result = f();
        self.precision.set(before);
        result
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision.get()
    }

    /// If this tape is profiled, attribute to `name` the time since the last operation, in which at
    /// least `bytes` were read and written.
    pub fn spent_on(&self, name: &str, bytes: usize) {
        if let Some(profile) = &self.profile {
            profile.spent(name, Phase::Around, bytes as f64, 0.);
        }
    }

    /// The handle of node `id`.
    pub(crate) fn var(&self, id: usize) -> Var<'_, T> {
        Var { tape: self, id }
    }

    pub(crate) fn nodes(&self) -> Ref<'_, Vec<Node<T>>> {
        self.nodes.borrow()
    }

    pub(crate) fn memory(&self) -> &Memory<T> {
        &self.memory
    }
}

impl<T: Scalar> Tape<T> {
    /// A value to differentiate with respect to.
    pub fn leaf(&self, value: impl Into<Tensor<T>>) -> Var<'_, T> {
        self.named_leaf("leaf", value)
    }

    /// A leaf, such as a parameter, with a name of its own that [`Tape::dot`] and reports show.
    pub fn named_leaf(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Tensor<T>>,
    ) -> Var<'_, T> {
        let op = Op::from(name.into());
        self.push(Node { op, value: value.into(), parents: vec![], rule: None, needs_grad: true })
    }

    /// A value to which no gradient flows, such as data. Operations on constants alone record no
    /// rule.
    pub fn constant(&self, value: impl Into<Tensor<T>>) -> Var<'_, T> {
        self.named_constant("constant", value)
    }

    /// A [`constant`](Tape::constant) with a name of its own, such as ε.
    pub fn named_constant(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Tensor<T>>,
    ) -> Var<'_, T> {
        let op = Op::from(name.into());
        self.push(Node { op, value: value.into(), parents: vec![], rule: None, needs_grad: false })
    }

    /// A [`constant`](Tape::constant) whose packed transpose and row norms are cached in `fixed`.
    pub fn fixed(&self, fixed: &Arc<Fixed<T>>) -> Var<'_, T> {
        let y = self.constant(fixed.value.clone());
        self.fixed.borrow_mut().push((y.id, fixed.clone()));
        y
    }

    /// A tensor with unspecified entries, to be overwritten. If an allocation of its length is
    /// free, from this tape or the one before, the tensor reuses it.
    pub fn alloc(&self, shape: &[usize]) -> Tensor<T> {
        self.memory.alloc(shape)
    }

    /// The allocations of this tape, except those that a tensor outside of it shares.
    pub fn into_storage(self) -> Storage<T> {
        for node in self.nodes.into_inner() {
            drop(node.rule);
            self.memory.free(node.value);
        }
        self.memory.into_storage()
    }

    /// Frees the values recorded since the tape had `since` nodes, except those of `kept`, if no
    /// gradient flows to `kept`. The others must not be used again, and the values of `kept` must
    /// have been computed from all of them: then no gradient flows to any of them, and no backward
    /// rule reads them.
    pub(crate) fn release(&self, since: usize, kept: &[Var<'_, T>]) {
        if kept.iter().any(|kept| !kept.is_constant()) {
            return;
        }
        for (id, node) in self.nodes.borrow_mut().iter_mut().enumerate().skip(since) {
            if !node.value.is_empty() && kept.iter().all(|kept| kept.id != id) {
                self.memory.free(mem::replace(&mut node.value, Tensor::zeros(&[0][..])));
            }
        }
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&self, node: Node<T>) -> Var<'_, T> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        let id = nodes.len() - 1;
        self.observe(&nodes, id, None);
        Var { tape: self, id }
    }

    /// Call the backward rule of node `id` with `dy`, the gradient of its value.
    fn call(
        &self,
        rule: &Rule<T>,
        (nodes, id): (&[Node<T>], usize),
        dy: Tensor<T>,
        grads: &mut [Option<Gradient<T>>],
    ) {
        let node = &nodes[id];
        let input = |&id: &usize| {
            let Node { op, value, rule, needs_grad, .. } = &nodes[id];
            let (name, is_leaf) = (&*op.name, rule.is_none());
            Input { id, name, value, needs_grad: *needs_grad, is_leaf }
        };
        let inputs: Vec<_> = node.parents.iter().map(input).collect();
        let (inputs, memory) = (&inputs[..], &self.memory);
        let mut sink = Sink { inputs, grads, memory, written: vec![0; inputs.len()] };
        rule(&Cotangent { g: &dy, y: &node.value, inputs, memory }, &mut sink);
        self.observe(nodes, id, Some(&sink.written));
        memory.free(dy);
    }

    /// Report node `id` to the profile, if there is one: its backward rule if `written` gives the
    /// number of entries written to the gradient of each input, otherwise the computation of its
    /// value.
    fn observe(&self, nodes: &[Node<T>], id: usize, written: Option<&[usize]>) {
        let node = &nodes[id];
        let Some(profile) = self.profile.as_ref().filter(|_| !node.parents.is_empty()) else {
            return;
        };
        let input = |(k, &id): (usize, &usize)| Operand {
            shape: nodes[id].value.shape(),
            written: written.map_or(0, |written| written[k]),
        };
        let inputs: Vec<_> = node.parents.iter().enumerate().map(input).collect();
        let (op, y) = (&node.op, node.value.len());
        let (phase, [entries, flops]) = match written {
            None => (Phase::Forward, op.forward(y, &inputs)),
            Some(_) => (Phase::Backward, op.backward(y, &inputs)),
        };
        let bytes = (size_of::<T>() * entries) as f64;
        profile.spent(&op.label(&inputs), phase, bytes, flops as f64);
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The value; cheap to clone.
    pub fn value(self) -> Tensor<T> {
        self.tape.nodes.borrow()[self.id].value.clone()
    }

    /// The shape of the value.
    pub fn shape(self) -> Vec<usize> {
        self.tape.nodes.borrow()[self.id].value.shape().to_vec()
    }

    /// The only entry of a scalar.
    ///
    /// # Panics
    /// Unless there is exactly one entry.
    pub fn item(self) -> T {
        let y = self.value();
        assert_eq!(y.len(), 1, "item: {:?} is not a scalar", y.shape());
        y.as_slice()[0]
    }

    /// The index of the node.
    pub(crate) fn id(self) -> usize {
        self.id
    }

    /// The tape this is on.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// Whether no gradient flows to this value.
    pub(crate) fn is_constant(self) -> bool {
        !self.tape.nodes.borrow()[self.id].needs_grad
    }

    /// The caches of this value, if it is [`Tape::fixed`].
    pub(crate) fn caches(self) -> Option<Arc<Fixed<T>>> {
        let fixed = self.tape.fixed.borrow();
        let i = fixed.binary_search_by_key(&self.id, |(id, _)| *id).ok()?;
        Some(fixed[i].1.clone())
    }

    /// `x` as a constant, through which no gradient flows.
    pub fn detach(self) -> Self {
        self.tape.constant(self.value())
    }

    /// Record `value = f(inputs)` with its backward rule. All operations are defined this way,
    /// including your own. The rule reads the [`Cotangent`] and adds a contribution for each input
    /// to the [`Sink`].
    ///
    /// ```
    /// use bhn::autodiff::gradcheck::{gradcheck, randn};
    /// use bhn::autodiff::Var;
    ///
    /// /// `x³`; `dx = 3x² dy`.
    /// fn cube(x: Var<'_, f64>) -> Var<'_, f64> {
    ///     let y = x.value().mapv(|x| x * x * x);
    ///     Var::record("cube", &[x], y, |c, sink| {
    ///         sink.add(0, || c.g * c.x(0).mapv(|x| 3. * x * x));
    ///     })
    /// }
    ///
    /// gradcheck(&[randn(&[3, 4], 0)], |x| cube(x[0])).assert();
    /// ```
    ///
    /// # Panics
    /// If there is no input, or inputs are on different tapes.
    // ANCHOR: record
    pub fn record(
        op: impl Into<Op>,
        inputs: &[Self],
        value: impl Into<Tensor<T>>,
        rule: impl Fn(&Cotangent<'_, T>, &mut Sink<'_, T>) + 'static,
    ) -> Self {
        let (op, value) = (op.into(), value.into());
        let tape = inputs.first().unwrap_or_else(|| panic!("{}: no input", op.name)).tape;
        assert!(inputs.iter().all(|x| std::ptr::eq(x.tape, tape)), "{}: two tapes", op.name);
        let parents = inputs.iter().map(|x| x.id).collect();
        let needs_grad = inputs.iter().any(|x| !x.is_constant());
        let rule = needs_grad.then(|| Box::new(rule) as Rule<T>);
        tape.push(Node { op, value, parents, rule, needs_grad })
    }
    // ANCHOR_END: record

    /// The gradients of this scalar with respect to the leaves that it depends on.
    ///
    /// # Panics
    /// If this is not a scalar.
    // ANCHOR: backward
    pub fn backward(self) -> Grads<T> {
        self.backward_with(|_, _| ())
    }

    /// As [`backward`](Var::backward), where `see(id, dy)` gets the gradient of each node with a
    /// backward rule, just before the rule is called.
    pub(crate) fn backward_with(self, mut see: impl FnMut(usize, &Tensor<T>)) -> Grads<T> {
        let nodes = self.tape.nodes();
        let y = &nodes[self.id];
        assert!(y.value.len() == 1, "backward: {:?} is not a scalar", y.value.shape());
        let mut grads: Vec<_> = (0..=self.id).map(|_| None).collect();
        grads[self.id] = y.needs_grad.then(|| Tensor::ones(y.value.shape()).into());
        for id in (0..=self.id).rev() {
            let Some(rule) = &nodes[id].rule else { continue };
            let Some(dy) = grads[id].take().and_then(Gradient::into_dense) else { continue };
            see(id, &dy);
            self.tape.call(rule, (&nodes, id), dy, &mut grads[..id]);
        }
        let formed = grads.iter().map(|_| OnceCell::new()).collect();
        Grads { grads, formed, identity: self.tape.identity.clone() }
    }
    // ANCHOR_END: backward
}

/// The gradients of a scalar with respect to the leaves of its tape.
pub struct Grads<T> {
    grads: Vec<Option<Gradient<T>>>,
    /// The entries that [`Grads::wrt`] computed from factors.
    formed: Vec<OnceCell<Tensor<T>>>,
    /// The identity of the tape.
    identity: Arc<()>,
}

impl<T: Scalar> Grads<T> {
    /// The gradient with respect to the leaf `x`, if the loss depends on it.
    ///
    /// # Panics
    /// If `x` is on another tape.
    pub fn wrt(&self, x: Var<'_, T>) -> Option<&Tensor<T>> {
        self.check(x);
        let grad = self.grads.get(x.id)?.as_ref()?;
        let form = || self.formed[x.id].get_or_init(|| grad.to_dense(&x.value()));
        Some(grad.dense().unwrap_or_else(form))
    }

    /// The gradient with respect to the leaf `x`, possibly in factors. It is moved out: a second
    /// call returns `None`.
    ///
    /// # Panics
    /// If `x` is on another tape.
    pub fn take(&mut self, x: Var<'_, T>) -> Option<Gradient<T>> {
        self.check(x);
        self.grads.get_mut(x.id)?.take()
    }

    fn check(&self, x: Var<'_, T>) {
        assert!(Arc::ptr_eq(&x.tape.identity, &self.identity), "gradients of another tape");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_counts_its_nodes() {
        let tape = Tape::<f64>::default();
        assert!(tape.is_empty());
        assert_eq!(tape.len(), 0);
        let x = tape.leaf(Tensor::ones(vec![3]));
        let (y, data) = (x.exp(), tape.constant(Tensor::ones(vec![3])));
        assert!(!tape.is_empty() && tape.len() == 3);
        let grads = (y * data).sum().backward();
        assert!(grads.wrt(x).is_some() && grads.wrt(data).is_none());
    }
}
