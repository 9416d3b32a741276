//! Reverse-mode differentiation: a vector of nodes, and `Copy` handles into it.
//!
//! Operations append a node; [`Var::backward`] walks the vector backwards. Recording order is a
//! topological order, so nothing is sorted and no graph is owned.
use crate::autodiff::constants::Fixed;
use crate::autodiff::gradient::Gradient;
use crate::autodiff::memory::{Memory, Storage};
use crate::autodiff::profile::{self, Phase, Profile};
use crate::autodiff::sink::{Cotangent, Input, Sink};
use crate::autodiff::tensor::Tensor;
use crate::kernels::scalar::Scalar;
use std::borrow::Cow;
use std::cell::{OnceCell, Ref, RefCell};
use std::sync::Arc;

type Rule<T> = Box<dyn Fn(&Cotangent<'_, T>, &mut Sink<'_, T>)>;

/// A value, and how its gradient flows to the nodes that it was computed from.
pub(crate) struct Node<T> {
    pub name: Cow<'static, str>,
    pub value: Tensor<T>,
    pub parents: Vec<usize>,
    rule: Option<Rule<T>>,
    needs_grad: bool,
    fixed: Option<Arc<Fixed<T>>>,
}

/// A record of a computation, in the order it ran.
///
/// `{tape}` prints it as text, a node a line; [`Tape::dot`] draws it.
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
    memory: Memory<T>,
    profile: Option<Profile>,
    /// Distinguishes this tape from any other, dropped ones included; an address would not.
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
        let (nodes, memory) = (RefCell::default(), storage.into());
        Self { nodes, memory, profile: None, identity: Arc::default() }
    }

    /// The same tape, with each operation timed by `profile`.
    pub fn profiled(self, profile: Option<Profile>) -> Self {
        Self { profile, ..self }
    }

    /// Attribute the time since the last operation, if it is measured, to `name`, which had to read
    /// and write at least so many bytes.
    pub fn spent_on(&self, name: &str, bytes: usize) {
        if let Some(profile) = &self.profile {
            profile.spent(name, Phase::Around, bytes as f64, 0.);
        }
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

    /// A leaf with a name of its own for [`Tape::dot`] and reports: a parameter.
    pub fn named_leaf(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Tensor<T>>,
    ) -> Var<'_, T> {
        self.push(name.into(), value.into(), vec![], None, true)
    }

    /// A value no gradient flows to: data. Operations on constants record no rule.
    pub fn constant(&self, value: impl Into<Tensor<T>>) -> Var<'_, T> {
        self.push("constant".into(), value.into(), vec![], None, false)
    }

    /// A [`constant`](Tape::constant) whose packed transpose and row norms are cached in `fixed`.
    pub fn fixed(&self, fixed: &Arc<Fixed<T>>) -> Var<'_, T> {
        let y = self.constant(fixed.value.clone());
        self.nodes.borrow_mut()[y.id].fixed = Some(fixed.clone());
        y
    }

    /// A tensor with unspecified entries, to be written over: an allocation of [`Tape::reusing`] if
    /// one of its size is left.
    pub fn alloc(&self, shape: &[usize]) -> Tensor<T> {
        self.memory.alloc(shape)
    }

    /// The allocations of all values that nothing else shares.
    pub fn into_storage(self) -> Storage<T> {
        for node in self.nodes.into_inner() {
            drop(node.rule);
            self.memory.free(node.value);
        }
        self.memory.into_storage()
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How large the gradients of these nodes are so far, if that is to be profiled.
    fn sizes(&self, ids: &[usize], grads: &[Option<Gradient<T>>]) -> Vec<usize> {
        let size = |&id: &usize| grads[id].as_ref().map_or(0, Gradient::entries);
        if self.profile.is_some() { ids.iter().map(size).collect() } else { vec![] }
    }

    /// Tell the stopwatch, if there is one; of a backward rule also the sizes before and after it.
    fn spent(&self, nodes: &[Node<T>], node: &Node<T>, rule: Option<[Vec<usize>; 2]>) {
        let Some(profile) = &self.profile else { return };
        let pass = if rule.is_some() { Phase::Backward } else { Phase::Forward };
        let input = |(k, &id): (usize, &usize)| {
            let value = &nodes[id].value;
            let written = rule.as_ref().map_or(0, |[before, after]| match after[k] - before[k] {
                0 if after[k] > 0 => value.len(),
                more => more,
            });
            profile::Input { shape: value.shape(), written }
        };
        let inputs: Vec<_> = node.parents.iter().enumerate().map(input).collect();
        profile.operation(&node.name, pass, node.value.len(), &inputs, size_of::<T>());
    }

    fn push(
        &self,
        name: Cow<'static, str>,
        value: Tensor<T>,
        parents: Vec<usize>,
        rule: Option<Rule<T>>,
        needs_grad: bool,
    ) -> Var<'_, T> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { name, value, parents, rule, needs_grad, fixed: None });
        Var { tape: self, id: nodes.len() - 1 }
    }

    /// Call the rule of a node, given its gradient and the gradients of the nodes before it.
    fn propagate(
        &self,
        nodes: &[Node<T>],
        (node, rule): (&Node<T>, &Rule<T>),
        g: Tensor<T>,
        grads: &mut [Option<Gradient<T>>],
    ) {
        let input = |&id: &usize| {
            let Node { name, value, rule, needs_grad, .. } = &nodes[id];
            Input { id, name, value, needs_grad: *needs_grad, is_leaf: rule.is_none() }
        };
        let inputs: Vec<_> = node.parents.iter().map(input).collect();
        let before = self.sizes(&node.parents, grads);
        let c = Cotangent { g: &g, y: &node.value, inputs: &inputs };
        rule(&c, &mut Sink { inputs: &inputs, grads, memory: &self.memory });
        let after = self.sizes(&node.parents, grads);
        self.spent(nodes, node, Some([before, after]));
        self.memory.free(g);
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

    /// The one entry of a scalar.
    ///
    /// # Panics
    /// If there are more.
    pub fn item(self) -> T {
        let y = self.value();
        assert_eq!(y.len(), 1, "item: {:?} is not a scalar", y.shape());
        y.as_slice()[0]
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
        self.tape.nodes.borrow()[self.id].fixed.clone()
    }

    /// The same value with no gradient flowing back from it.
    pub fn detach(self) -> Self {
        self.tape.constant(self.value())
    }

    /// Record `value = f(inputs)` with its backward rule. All operations are made this way, yours
    /// too. The rule reads the [`Cotangent`] and adds a contribution for each input to the
    /// [`Sink`].
    ///
    /// ```
    /// use bhn::autodiff::gradcheck::{gradcheck, randn};
    /// use bhn::autodiff::Var;
    ///
    /// /// `x³`; `dx = 3x² dy`.
    /// fn cube(x: Var<'_, f64>) -> Var<'_, f64> {
    ///     let y = x.value().mapv(|x| x * x * x);
    ///     Var::record("cube", &[x], y, |c, sink| sink.add(0, || c.g * &c.x(0).mapv(|x| 3. * x * x)))
    /// }
    ///
    /// gradcheck(&[randn(&[3, 4], 0)], |x| cube(x[0])).assert();
    /// ```
    ///
    /// # Panics
    /// If there is no input, or inputs are on different tapes.
    pub fn record(
        name: &'static str,
        inputs: &[Self],
        value: impl Into<Tensor<T>>,
        rule: impl Fn(&Cotangent<'_, T>, &mut Sink<'_, T>) + 'static,
    ) -> Self {
        let tape = inputs.first().unwrap_or_else(|| panic!("{name}: no input")).tape;
        assert!(inputs.iter().all(|x| std::ptr::eq(x.tape, tape)), "{name}: two tapes");
        let needs_grad = inputs.iter().any(|x| !x.is_constant());
        let rule = needs_grad.then(|| Box::new(rule) as Rule<T>);
        let parents = inputs.iter().map(|x| x.id).collect();
        let y = tape.push(name.into(), value.into(), parents, rule, needs_grad);
        let nodes = tape.nodes.borrow();
        tape.spent(&nodes, &nodes[y.id], None);
        y
    }

    /// The gradients of this scalar with respect to every leaf it depends on.
    ///
    /// # Panics
    /// If this is not a scalar.
    pub fn backward(self) -> Grads<T> {
        let nodes = self.tape.nodes.borrow();
        let y = &nodes[self.id];
        assert!(y.value.len() == 1, "backward: {:?} is not a scalar", y.value.shape());
        let mut grads: Vec<_> = nodes[..=self.id].iter().map(|_| None).collect();
        grads[self.id] = y.needs_grad.then(|| Tensor::ones(y.value.shape()).into());
        for (id, node) in nodes[..=self.id].iter().enumerate().rev() {
            let Some(rule) = &node.rule else { continue };
            let Some(g) = grads[id].take().and_then(Gradient::into_dense) else { continue };
            self.tape.propagate(&nodes, (node, rule), g, &mut grads[..id]);
        }
        Grads::new(grads, &self.tape.identity)
    }
}

/// Gradients by leaf.
pub struct Grads<T> {
    grads: Vec<Option<Gradient<T>>>,
    /// The entries that [`Grads::wrt`] formed from factors.
    formed: Vec<OnceCell<Tensor<T>>>,
    /// That of the tape.
    identity: Arc<()>,
}

impl<T: Scalar> Grads<T> {
    fn new(grads: Vec<Option<Gradient<T>>>, identity: &Arc<()>) -> Self {
        let formed = grads.iter().map(|_| OnceCell::new()).collect();
        Self { grads, formed, identity: identity.clone() }
    }

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

    /// The gradient with respect to the leaf `x`, moved out and possibly in factors.
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
