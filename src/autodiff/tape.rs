//! Reverse-mode differentiation: a `Vec` of nodes, and `Copy` handles into it.
//!
//! Operations append; [`Var::backward`] walks the vector backwards. The order of recording is a
//! topological order, so there is nothing to sort and no graph to own. Every value is row-major.
use crate::autodiff::gradient::{Gradient, width};
use crate::autodiff::profile::{Input, Phase, Profile};
use crate::kernels::scalar::Scalar;
use crate::kernels::{broadcast, gemm, vector};
use ndarray::{ArcArray, Array, ArrayBase, ArrayView2, ArrayViewMut2, Data, IxDyn};
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A tensor shared by the tape and its users; cloning it copies a pointer.
pub type Tensor<T> = ArcArray<T, IxDyn>;
/// A tensor under construction.
pub type Owned<T> = Array<T, IxDyn>;

/// A tape value or a gradient as a matrix: all axes but the last are rows.
pub(crate) fn rows<T: Scalar>(x: &ArrayBase<impl Data<Elem = T>, IxDyn>) -> ArrayView2<'_, T> {
    let k = x.shape().last().copied().unwrap_or(1);
    let n = x.shape().iter().rev().skip(1).product();
    ArrayView2::from_shape((n, k), x.as_slice().expect("row-major")).expect("row-major")
}

pub(crate) fn rows_mut<T: Scalar>(x: &mut Owned<T>) -> ArrayViewMut2<'_, T> {
    let k = x.shape().last().copied().unwrap_or(1);
    let n = x.shape().iter().rev().skip(1).product();
    ArrayViewMut2::from_shape((n, k), x.as_slice_mut().expect("row-major")).expect("row-major")
}

type Rule<T> = Box<dyn Fn(&Cotangent<'_, T>, &mut Sink<'_, T>)>;

struct Node<T> {
    name: Cow<'static, str>,
    value: Tensor<T>,
    parents: Vec<usize>,
    rule: Option<Rule<T>>,
    needs_grad: bool,
    fixed: Option<Arc<Fixed<T>>>,
}

/// A matrix `V` that stays as it is, and what is worked out of it once, for all tapes it is put on
/// by [`Tape::fixed`].
#[derive(Debug)]
pub struct Fixed<T> {
    value: Tensor<T>,
    turned: OnceLock<gemm::Packed<T>>,
    norms: OnceLock<Tensor<T>>,
}

/// What is in the cell, worked out if nothing is: by more than one at a time if they come together. Under
/// a lock a thread that waits for a part of its own work may be given another's, and wait for itself.
fn once<V>(cell: &OnceLock<V>, work_out: impl FnOnce() -> V) -> &V {
    if cell.get().is_none() {
        drop(cell.set(work_out()));
    }
    cell.get().expect("it was set")
}

impl<T> Fixed<T> {
    /// Nothing is worked out yet.
    pub fn new(value: Tensor<T>) -> Self {
        Self { value, turned: OnceLock::new(), norms: OnceLock::new() }
    }
}

impl<T: Scalar> Fixed<T> {
    /// `Vᵀ`.
    pub(crate) fn turned(&self) -> &gemm::Packed<T> {
        once(&self.turned, || gemm::Packed::new(rows(&self.value).reversed_axes()))
    }

    /// `‖vᵢ‖`, given how to work them out.
    pub(crate) fn norms(&self, work_out: impl FnOnce() -> Tensor<T>) -> &Tensor<T> {
        once(&self.norms, work_out)
    }
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
    /// Tells this tape from others, dead ones too: an address may be another's later.
    identity: Arc<()>,
    nodes: RefCell<Vec<Node<T>>>,
    /// From the tape before, and of this one: what neither uses is let go.
    before: RefCell<Storage<T>>,
    storage: RefCell<Storage<T>>,
    profile: Option<Profile>,
}

/// Memory of a finished tape for the next one, by the number of entries.
///
/// The tensors of a training step have the shapes of the last step's. Without this they would
/// be new memory each time: pages that the system clears, and that are cleared again by whoever
/// must not show old contents.
#[derive(Clone, Debug)]
pub struct Storage<T>(HashMap<usize, Vec<Vec<T>>>);

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
    /// An empty tape that takes its memory from a finished one.
    pub fn reusing(storage: Storage<T>) -> Self {
        Self {
            identity: Arc::default(),
            nodes: RefCell::default(),
            before: RefCell::new(storage),
            storage: RefCell::default(),
            profile: None,
        }
    }

    /// The same tape, telling this stopwatch after each operation.
    pub fn profiled(self, profile: Option<Profile>) -> Self {
        Self { profile, ..self }
    }

    /// Time since the last operation, if it is measured, went into this, which had to read and
    /// write so many bytes.
    pub fn spent_on(&self, name: &str, bytes: usize) {
        if let Some(profile) = &self.profile {
            profile.spent(name, Phase::Around, bytes as f64, 0.);
        }
    }

    /// The memory of all values that nothing else holds.
    pub fn into_storage(self) -> Storage<T> {
        let mut storage = self.storage.into_inner();
        for node in self.nodes.into_inner() {
            drop(node.rule);
            if let Ok(value) = node.value.try_into_owned_nocopy() {
                storage.keep(value);
            }
        }
        storage
    }
}

impl<T> Default for Storage<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Storage<T> {
    /// Smaller tensors are left to the allocator.
    const LEAST: usize = 1 << 10;

    /// Keep the memory of a tensor.
    pub fn keep(&mut self, tensor: Owned<T>) {
        let entries = tensor.into_raw_vec_and_offset().0;
        if entries.len() >= Self::LEAST {
            self.0.entry(entries.len()).or_default().push(entries);
        }
    }

    /// Keep the memory of a gradient.
    pub fn keep_gradient(&mut self, gradient: Gradient<T>) {
        gradient.into_part().into_iter().for_each(|g| self.keep(g));
    }

    fn take(&mut self, n: usize) -> Option<Vec<T>> {
        self.0.get_mut(&n)?.pop()
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

    /// A [`constant`](Tape::constant) that remembers what products and norms make of it.
    pub fn fixed(&self, fixed: &Arc<Fixed<T>>) -> Var<'_, T> {
        let y = self.constant(fixed.value.clone());
        self.nodes.borrow_mut()[y.id].fixed = Some(fixed.clone());
        y
    }

    /// A row-major tensor with any contents, to be written over: from [`Tape::reusing`] if one of this
    /// size is left.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn space(&self, shape: &[usize]) -> Owned<T> {
        let n = shape.iter().product();
        let kept = self.storage.borrow_mut().take(n).or_else(|| self.before.borrow_mut().take(n));
        let entries = kept.unwrap_or_else(|| vec![T::zero(); n]);
        Owned::from_shape_vec(shape, entries).expect("as many entries")
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first node, in the order of recording, with a value that is not finite, as text:
    /// where a NaN was born, not where it was noticed.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn first_non_finite(&self) -> Option<String> {
        let nodes = self.nodes.borrow();
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
        for (id, node) in self.nodes.borrow().iter().enumerate() {
            text += &format!("  {id} [label=\"{} {:?}\"];\n", node.name, node.value.shape());
            text.extend(node.parents.iter().map(|p| format!("  {p} -> {id};\n")));
        }
        text + "}\n"
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
            Input { shape: value.shape(), written }
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
        let value = if value.is_standard_layout() {
            value
        } else {
            value.as_standard_layout().into_owned().into_shared()
        };
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { name, value, parents, rule, needs_grad, fixed: None });
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
        for (id, node) in self.nodes.borrow().iter().enumerate() {
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
        y.iter().copied().next().expect("one entry")
    }

    /// The tape this is on.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// Whether no gradient flows to this value.
    pub(crate) fn is_constant(self) -> bool {
        !self.tape.nodes.borrow()[self.id].needs_grad
    }

    /// What is remembered of this value, if it is [`Tape::fixed`].
    pub(crate) fn remembered(self) -> Option<Arc<Fixed<T>>> {
        self.tape.nodes.borrow()[self.id].fixed.clone()
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
        let needs_grad = inputs.iter().any(|x| tape.nodes.borrow()[x.id].needs_grad);
        let rule = needs_grad.then(|| Box::new(rule) as Rule<T>);
        let parents = inputs.iter().map(|x| x.id).collect();
        let y = tape.push(name.into(), value.into(), parents, rule, needs_grad);
        let nodes = tape.nodes.borrow();
        tape.spent(&nodes, &nodes[y.id], None);
        y
    }

    /// Gradients of this scalar with respect to every leaf before it.
    ///
    /// # Panics
    /// If this is not a scalar.
    pub fn backward(self) -> Grads<T> {
        let nodes = self.tape.nodes.borrow();
        let shape = nodes[self.id].value.shape();
        assert!(nodes[self.id].value.len() == 1, "backward: {shape:?} is not a scalar");
        let mut grads: Vec<_> = (0..=self.id).map(|_| None).collect();
        grads[self.id] = nodes[self.id].needs_grad.then(|| Owned::ones(shape).into());
        for (id, node) in nodes[..=self.id].iter().enumerate().rev() {
            let Some(rule) = &node.rule else { continue };
            let Some(g) = grads[id].take().and_then(Gradient::into_part) else { continue };
            let (parents, grads) = (&node.parents[..], &mut grads[..id]);
            let c = Cotangent { g: &g, y: &node.value, nodes: &nodes, parents };
            let before = self.tape.sizes(parents, grads);
            rule(&c, &mut Sink { grads, tape: self.tape, nodes: &nodes, parents });
            let after = self.tape.sizes(parents, grads);
            self.tape.spent(&nodes, node, Some([before, after]));
            self.tape.storage.borrow_mut().keep(g);
        }
        let formed = grads.iter().map(|_| OnceCell::new()).collect();
        Grads { grads, formed, tape: self.tape.identity.clone() }
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
    grads: &'a mut [Option<Gradient<T>>],
    pub(crate) tape: &'a Tape<T>,
    nodes: &'a [Node<T>],
    parents: &'a [usize],
}

impl<'a, T: Scalar> Sink<'a, T> {
    /// Add `g()` to the gradient of input `k`, summed over any broadcast axes.
    ///
    /// # Panics
    /// If the shape of `g()` is not one the input broadcasts to.
    pub fn add(&mut self, k: usize, g: impl FnOnce() -> Owned<T>) {
        let Some(to) = self.shape(k) else { return };
        let g = g();
        let g = if g.is_standard_layout() { g } else { g.as_standard_layout().into_owned() };
        if g.shape() == to {
            match self.part(k) {
                Some(sum) => *sum += &g,
                slot => *slot = Some(g),
            }
        } else {
            let fits = broadcast::shape(to, g.shape()).is_some_and(|s| s == g.shape());
            assert!(fits, "gradient {:?} for `{}` {to:?}", g.shape(), self.name(k));
            self.add_with(k, |sum| {
                let (g, gs) = (g.as_slice().expect("row-major"), g.shape());
                broadcast::sum_to((g, gs), (sum.as_slice_mut().expect("row-major"), to));
            });
        }
    }

    /// Let `f` add into the gradient of input `k` in place.
    ///
    /// # Panics
    /// If `f` puts something of another shape or layout in its place.
    pub fn add_with(&mut self, k: usize, f: impl FnOnce(&mut Owned<T>)) {
        self.blend(k, |beta, grad| {
            if beta == T::zero() {
                grad.fill(beta);
            }
            f(grad);
        });
    }

    /// Let `f(β, dx)` set the gradient of input `k` to `β dx + …` as [`gemm()`](gemm::gemm) would: the first
    /// time `β` is 0 and `dx` holds anything, later it is 1.
    ///
    /// # Panics
    /// If `f` puts something of another shape or layout in its place.
    pub fn blend(&mut self, k: usize, f: impl FnOnce(T, &mut Owned<T>)) {
        let Some(to) = self.shape(k) else { return };
        let tape = self.tape;
        let slot = self.part(k);
        let beta = if slot.is_some() { T::one() } else { T::zero() };
        let grad = slot.get_or_insert_with(|| tape.space(to));
        f(beta, grad);
        let (found, fits) = (grad.shape().to_vec(), grad.is_standard_layout());
        assert!(fits && found == to, "gradient {found:?} for `{}` {to:?}", self.name(k));
    }

    /// Add `aᵀz` to the gradient of input `k`, a matrix `V`, given `y = z Vᵀ`: as its factors if `V`
    /// is a leaf and they are small.
    pub(crate) fn add_product(&mut self, k: usize, a: &Owned<T>, z: &Tensor<T>, y: &Tensor<T>) {
        let id = self.parents[k];
        let kept = self.wants(k)
            && self.nodes[id].rule.is_none()
            && self.grads[id].get_or_insert_default().add_product(a, z, y);
        if !kept {
            self.blend(k, |beta, g| {
                gemm::gemm(T::one(), rows(a).reversed_axes(), rows(z), beta, rows_mut(g));
            });
        }
    }

    /// Add `diag(d) V` to the gradient of input `k`, a matrix `V`, given the norms of its rows: as
    /// `d` if `V` is a leaf.
    pub(crate) fn add_diagonal(&mut self, k: usize, d: Vec<T>, norms: &Tensor<T>) {
        let id = self.parents[k];
        let node = &self.nodes[id];
        if !self.wants(k) {
            return;
        }
        if node.rule.is_none() {
            let norms = norms.as_slice().expect("row-major");
            self.grads[id].get_or_insert_default().add_diagonal(d, norms);
        } else {
            self.blend(k, |beta, dv| {
                let width = width(node.value.shape());
                let v = node.value.as_slice().expect("row-major").chunks_exact(width);
                let dv = dv.as_slice_mut().expect("row-major").chunks_exact_mut(width);
                for ((dv, v), &d) in dv.zip(v).zip(&d) {
                    match beta == T::zero() {
                        true => vector::scaled_sum(None, d, v, dv),
                        false => gemm::axpy(d, v, dv),
                    }
                }
            });
        }
    }

    /// Whether input `k` takes a gradient.
    pub fn wants(&self, k: usize) -> bool {
        self.nodes[self.parents[k]].needs_grad
    }

    /// The shape of input `k`, if it takes a gradient.
    pub(crate) fn shape(&self, k: usize) -> Option<&'a [usize]> {
        self.wants(k).then(|| self.nodes[self.parents[k]].value.shape())
    }

    fn part(&mut self, k: usize) -> &mut Option<Owned<T>> {
        self.grads[self.parents[k]].get_or_insert_default().part()
    }

    fn name(&self, k: usize) -> &'a str {
        &self.nodes[self.parents[k]].name
    }
}

/// Gradients by leaf.
pub struct Grads<T> {
    grads: Vec<Option<Gradient<T>>>,
    /// What [`Grads::wrt`] had to form.
    formed: Vec<OnceCell<Owned<T>>>,
    /// The tape's identity.
    tape: Arc<()>,
}

impl<T: Scalar> Grads<T> {
    /// The gradient with respect to the leaf `x`, if the loss depends on it.
    ///
    /// # Panics
    /// If `x` is on another tape.
    pub fn wrt(&self, x: Var<'_, T>) -> Option<&Owned<T>> {
        self.check(x);
        let grad = self.grads.get(x.id)?.as_ref()?;
        Some(
            grad.dense()
                .unwrap_or_else(|| self.formed[x.id].get_or_init(|| grad.to_dense(&x.value()))),
        )
    }

    /// The same as it came, handed over.
    ///
    /// # Panics
    /// If `x` is on another tape.
    pub fn take(&mut self, x: Var<'_, T>) -> Option<Gradient<T>> {
        self.check(x);
        self.grads.get_mut(x.id)?.take()
    }

    fn check(&self, x: Var<'_, T>) {
        assert!(Arc::ptr_eq(&x.tape.identity, &self.tape), "gradients of another tape");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::Window;

    /// Values and gradients of a network with the operations that write into [`Tape::space`], bit by
    /// bit, and the tape's memory. Many a gradient has one contribution alone, which must write all of it.
    fn pass(storage: Storage<f64>) -> (Vec<u64>, Storage<f64>) {
        let tape = Tape::reusing(storage);
        let leaf = |shape: &[usize], seed: usize| {
            let entry = |i: usize| ((i * i + seed) as f64).sin();
            tape.leaf(
                Owned::from_shape_vec(shape, (0..shape.iter().product()).map(entry).collect())
                    .unwrap(),
            )
        };
        let leaves = [
            leaf(&[40, 60], 1),
            leaf(&[50, 60], 2),
            leaf(&[2, 50], 3),
            leaf(&[50], 4),
            leaf(&[30, 50], 5),
            leaf(&[30], 6),
            leaf(&[30, 1100], 7),
            leaf(&[1100, 2], 8),
        ];
        let [x, v, s, b, w, c, wide, tall] = leaves;
        let [scale, own] = [s / v.row_norms(), s].map(|s| s.reshape(&[2, 1, 50]));
        let h = x.matmul_t(v).affine_relu(scale, b);
        let y = h.affine(own, b).linear(w, c).tanh().reshape(&[80, 30]).matmul(wide);
        let image = x.reshape(&[2, 8, 15, 10]);
        let (window, kernel) = (Window::new([1, 6]), v.reshape(&[1, 50, 60]));
        let convolved = image.conv2d(v, window) + image.conv2d_each(kernel, window);
        let pool = Window::squares(2);
        let pooled = (convolved.max_pool2d(pool) * convolved.avg_pool2d(pool)).sum();
        let one = || v * 2. + 1.;
        let both = Var::stack(&[one(), one().square()], 0);
        let moved = [
            one().slice(0, 5..45),
            one().slice(1, 5..55),
            one().masked((0..3000).map(|i| i % 3 > 0).collect::<Vec<_>>()),
            one().gather(0, [3, 3, 7]),
            Var::concat(&[one(), one()], 1),
            one().permute_axes(&[1, 0]),
            one().max_axis(0),
            one().sum_axis(1),
            one().log_softmax(),
            (x * 2.).matmul_each(both),
            one().reshape(&[2, 25, 60]).matmul_each(both),
            one().reshape(&[2, 25, 60]) / (one().reshape(&[2, 25, 60]).square() + 1.),
            one().root([], |y, []| (y * y * y + y, 3. * y * y + 1., [])),
            one().standard_normal_log_prob(),
            one().relu().softplus() - one(),
        ];
        let moved = moved.map(|y| (y * y).sum()).into_iter().reduce(|a, b| a + b).unwrap();
        let loss = (y * tall.row_norms()).sum() + (h * h).sum() + x.sum() + pooled + moved;
        let grads = loss.backward();
        let values = [h, y, loss].map(Var::value);
        let grads: Vec<_> = leaves.iter().map(|&x| grads.wrt(x).unwrap().clone()).collect();
        let numbers = values.iter().flatten().chain(grads.iter().flatten());
        let bits = numbers.map(|x| x.to_bits()).collect();
        drop((values, grads));
        (bits, tape.into_storage())
    }

    #[test]
    fn old_memory_does_not_show() {
        let (fresh, mut storage) = pass(Storage::default());
        let kept = storage.0.values().map(Vec::len).sum::<usize>();
        assert!(kept > 8, "a test of nothing: {kept} tensors");
        storage.0.values_mut().flatten().for_each(|old| old.fill(f64::NAN));
        let (again, mut storage) = pass(storage);
        assert!(again == fresh);
        storage.0.values_mut().flatten().for_each(|old| old.fill(f64::INFINITY));
        assert!(pass(storage).0 == fresh);
    }

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

    #[test]
    fn gradients_are_kept_for_the_next_tape() {
        let tape = Tape::<f64>::default();
        let (large, small) =
            (tape.leaf(Tensor::ones(vec![1024])), tape.leaf(Tensor::ones(vec![1023])));
        let mut grads = (large.exp().sum() + small.exp().sum()).backward();
        let mut storage = Storage::default();
        for x in [large, small] {
            storage.keep_gradient(grads.take(x).unwrap());
        }
        assert_eq!((storage.0.len(), storage.0[&1024].len()), (1, 1));
    }

    /// A gradient of the right shape in another layout, and of another shape in the right one.
    #[test]
    fn what_a_rule_puts_in_a_gradients_place_is_checked() {
        let wrong: [fn(&mut Owned<f64>); 2] = [
            |dx| *dx = Owned::zeros(vec![4, 3]).reversed_axes(),
            |dx| *dx = Owned::zeros(vec![4, 3]),
        ];
        for wrong in wrong {
            let tape = Tape::<f64>::default();
            let x = tape.leaf(Tensor::ones(vec![3, 4]));
            let y = Var::record("mine", &[x], x.value(), move |_, sink| sink.add_with(0, wrong));
            let backward = std::panic::AssertUnwindSafe(|| drop(y.sum().backward()));
            assert!(std::panic::catch_unwind(backward).is_err());
        }
    }

    /// What a tape did not use is let go when it ends, so that varying shapes do not add up.
    #[test]
    fn unused_memory_is_let_go() {
        let mut storage = Storage::<f64>::default();
        for n in (2000..4000).step_by(100) {
            storage.keep(Owned::zeros(vec![n + 1]));
            let tape = Tape::reusing(storage);
            for n in [n, 1023] {
                tape.constant(tape.space(&[n]));
            }
            storage = tape.into_storage();
            // Of this tape's two tensors, the one worth keeping.
            assert!(storage.0.iter().all(|(size, kept)| *size == n && kept.len() == 1));
            assert_eq!(storage.0.len(), 1);
        }
        // A tensor that someone still holds is not taken from them.
        let tape = Tape::reusing(storage);
        let held = tape.constant(tape.space(&[2000])).value();
        assert!(tape.into_storage().0.is_empty() && held.len() == 2000);
    }

    #[test]
    fn memory_is_taken_over() {
        let mut storage = Storage::<f64>::default();
        let old = Owned::zeros(vec![2000]);
        let at = old.as_ptr();
        storage.keep(old);
        let tape = Tape::reusing(storage);
        let same = tape.space(&[40, 50]);
        assert!(same.as_ptr() == at && tape.space(&[40, 50]).as_ptr() != at);
    }
}
