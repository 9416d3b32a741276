//! Reverse-mode differentiation: a `Vec` of nodes, and `Copy` handles into it.
//!
//! Operations append; [`Var::backward`] walks the vector backwards. The order of recording is a
//! topological order, so there is nothing to sort and no graph to own. Every value is row-major.
use crate::kernels::broadcast;
use crate::scalar::Scalar;
use ndarray::{ArcArray, Array, IxDyn};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// A tensor shared by the tape and its users; cloning it copies a pointer.
pub type Tensor<T> = ArcArray<T, IxDyn>;
/// A tensor under construction.
pub type Owned<T> = Array<T, IxDyn>;

type Rule<T> = Box<dyn Fn(&Cotangent<'_, T>, &mut Sink<'_, T>)>;

struct Node<T> {
    name: Cow<'static, str>,
    value: Tensor<T>,
    parents: Vec<usize>,
    rule: Option<Rule<T>>,
    needs_grad: bool,
}

/// A record of a computation, in the order it ran.
///
/// `{tape}` prints it as text, a node a line; [`Tape::dot`] draws it.
///
/// ```
/// use bhn::tape::{Tape, Tensor};
/// let tape = Tape::<f64>::default();
/// let x = tape.leaf(Tensor::from_elem(&[2][..], 3.));
/// let y = (x * x).sum();
/// assert_eq!(y.backward().wrt(x).unwrap()[0], 6.);
/// assert_eq!(tape.to_string(), "0 leaf [2]\n1 mul [2] of 0 0\n2 sum [] of 1\n");
/// ```
pub struct Tape<T = f32>(RefCell<Vec<Node<T>>>);

/// Handle to one value on a tape. `Copy`, and unable to outlive the tape:
///
/// ```compile_fail,E0505
/// # use bhn::tape::{Tape, Tensor};
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
        Self(RefCell::default())
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

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first node, in the order of recording, with a value that is not finite, as text:
    /// where a NaN was born, not where it was noticed.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn first_non_finite(&self) -> Option<String> {
        let nodes = self.0.borrow();
        let bad = |node: &Node<T>| node.value.iter().position(|x| !x.is_finite());
        let (id, at) = nodes.iter().enumerate().find_map(|(id, n)| Some((id, bad(n)?)))?;
        let (node, value) = (&nodes[id], nodes[id].value.iter().nth(at).expect("found there"));
        let parents: Vec<_> = node.parents.iter().map(|&p| nodes[p].label(p)).collect();
        let of = if parents.is_empty() { "" } else { " of " };
        Some(format!("{}{of}{} holds {value} at {at}", node.label(id), parents.join(", ")))
    }

    /// The tape as a graph in Graphviz's DOT language.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph tape {\n  node [shape=box];\n");
        for (id, node) in self.0.borrow().iter().enumerate() {
            text += &format!("  {id} [label=\"{} {:?}\"];\n", node.name, node.value.shape());
            text.extend(node.parents.iter().map(|p| format!("  {p} -> {id};\n")));
        }
        text + "}\n"
    }

    fn push(
        &self,
        name: Cow<'static, str>,
        value: Tensor<T>,
        parents: Vec<usize>,
        rule: Option<Rule<T>>,
        needs_grad: bool,
    ) -> Var<'_, T> {
        let value = if value.is_standard_layout() {
            value
        } else {
            value.as_standard_layout().into_owned().into_shared()
        };
        let mut nodes = self.0.borrow_mut();
        nodes.push(Node { name, value, parents, rule, needs_grad });
        Var { tape: self, id: nodes.len() - 1 }
    }
}

impl<T> Node<T> {
    fn label(&self, id: usize) -> String {
        format!("node {id} `{}` {:?}", self.name, self.value.shape())
    }
}

impl<T: Scalar> fmt::Display for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.0.borrow().iter().enumerate() {
            write!(f, "{id} {} {:?}", node.name, node.value.shape())?;
            for (k, parent) in node.parents.iter().enumerate() {
                write!(f, "{}{parent}", if k == 0 { " of " } else { " " })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The value; cheap to clone.
    pub fn value(self) -> Tensor<T> {
        self.tape.0.borrow()[self.id].value.clone()
    }

    /// The shape of the value.
    pub fn shape(self) -> Vec<usize> {
        self.tape.0.borrow()[self.id].value.shape().to_vec()
    }

    /// The one entry of a scalar.
    ///
    /// # Panics
    /// If there are more.
    pub fn item(self) -> T {
        let y = self.value();
        assert_eq!(y.len(), 1, "item: {:?} is not a scalar", y.shape());
        y.iter().copied().next().expect("one entry")
    }

    /// The tape this is on.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// The same value with no gradient flowing back from it.
    pub fn detach(self) -> Self {
        self.tape.constant(self.value())
    }

    /// Record `value = f(inputs)` with its backward rule. All operations are made this way, yours
    /// too. The rule reads the [`Cotangent`] and leaves a contribution for each input in the
    /// [`Sink`], which does the rest.
    ///
    /// ```
    /// use bhn::gradcheck::{gradcheck, randn};
    /// use bhn::tape::Var;
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
        let needs_grad = inputs.iter().any(|x| tape.0.borrow()[x.id].needs_grad);
        let rule = needs_grad.then(|| Box::new(rule) as Rule<T>);
        let parents = inputs.iter().map(|x| x.id).collect();
        tape.push(name.into(), value.into(), parents, rule, needs_grad)
    }

    /// Gradients of this scalar with respect to every leaf before it.
    ///
    /// # Panics
    /// If this is not a scalar.
    pub fn backward(self) -> Grads<T> {
        let nodes = self.tape.0.borrow();
        let shape = nodes[self.id].value.shape();
        assert!(nodes[self.id].value.len() == 1, "backward: {shape:?} is not a scalar");
        let mut grads: Vec<Option<Owned<T>>> = (0..=self.id).map(|_| None).collect();
        grads[self.id] = nodes[self.id].needs_grad.then(|| Owned::ones(shape));
        for (id, node) in nodes[..=self.id].iter().enumerate().rev() {
            let Some(rule) = &node.rule else { continue };
            let Some(g) = grads[id].take() else { continue };
            let c = Cotangent { g: &g, y: &node.value, nodes: &nodes, parents: &node.parents };
            rule(&c, &mut Sink { grads: &mut grads[..id], nodes: &nodes, parents: &node.parents });
        }
        Grads { grads, tape: std::ptr::from_ref(self.tape).addr() }
    }
}

/// What a backward rule reads: `g = dL/dy`, the output `y`, and the inputs `x(k)`.
pub struct Cotangent<'a, T> {
    /// `dL/dy`, shaped like `y`.
    pub g: &'a Owned<T>,
    /// The output of the operation.
    pub y: &'a Tensor<T>,
    nodes: &'a [Node<T>],
    parents: &'a [usize],
}

impl<'a, T> Cotangent<'a, T> {
    /// The `k`-th input of the operation.
    pub fn x(&self, k: usize) -> &'a Tensor<T> {
        &self.nodes[self.parents[k]].value
    }
}

/// Where a backward rule leaves the gradients of its inputs.
///
/// Summing over consumers, undoing broadcasts and skipping constants all happen here, once,
/// and never in a rule.
pub struct Sink<'a, T> {
    grads: &'a mut [Option<Owned<T>>],
    nodes: &'a [Node<T>],
    parents: &'a [usize],
}

impl<T: Scalar> Sink<'_, T> {
    /// Add `g()` to the gradient of input `k`, summed over any broadcast axes.
    ///
    /// # Panics
    /// If the shape of `g()` is not one the input broadcasts to.
    pub fn add(&mut self, k: usize, g: impl FnOnce() -> Owned<T>) {
        let (name, id) = (&self.nodes[self.parents[k]].name, self.parents[k]);
        let to = self.nodes[id].value.shape();
        if !self.nodes[id].needs_grad {
            return;
        }
        let g = g();
        if g.shape() == to {
            match &mut self.grads[id] {
                Some(sum) => *sum += &g,
                slot => *slot = Some(g.as_standard_layout().into_owned()),
            }
        } else {
            let fits = broadcast::shape(to, g.shape()).is_some_and(|s| s == g.shape());
            assert!(fits, "gradient {:?} for `{name}` {to:?}", g.shape());
            let g = g.as_standard_layout();
            let sum = self.grads[id].get_or_insert_with(|| Owned::zeros(to));
            let (g, gs) = (g.as_slice().expect("row-major"), g.shape());
            broadcast::sum_to((g, gs), (sum.as_slice_mut().expect("row-major"), to));
        }
    }

    /// Let `f` add into the gradient of input `k` in place: a gemm with `β = 1`, say.
    ///
    /// # Panics
    /// If `f` puts something of another shape or layout in its place.
    pub fn add_with(&mut self, k: usize, f: impl FnOnce(&mut Owned<T>)) {
        let id = self.parents[k];
        let node = &self.nodes[id];
        if node.needs_grad {
            let grad = self.grads[id].get_or_insert_with(|| Owned::zeros(node.value.raw_dim()));
            f(grad);
            let fits = grad.shape() == node.value.shape() && grad.is_standard_layout();
            assert!(
                fits,
                "gradient {:?} for `{}` {:?}",
                grad.shape(),
                node.name,
                node.value.shape()
            );
        }
    }
}

/// Gradients by leaf.
pub struct Grads<T> {
    grads: Vec<Option<Owned<T>>>,
    /// Where the tape lies, to tell its variables from another's.
    tape: usize,
}

impl<T: Scalar> Grads<T> {
    /// The gradient with respect to the leaf `x`, if the loss depends on it.
    ///
    /// # Panics
    /// If `x` is on another tape.
    pub fn wrt(&self, x: Var<'_, T>) -> Option<&Owned<T>> {
        self.check(x);
        self.grads.get(x.id)?.as_ref()
    }

    /// The same, handed over.
    ///
    /// # Panics
    /// If `x` is on another tape.
    pub fn take(&mut self, x: Var<'_, T>) -> Option<Owned<T>> {
        self.check(x);
        self.grads.get_mut(x.id)?.take()
    }

    fn check(&self, x: Var<'_, T>) {
        assert!(std::ptr::from_ref(x.tape).addr() == self.tape, "gradients of another tape");
    }
}
