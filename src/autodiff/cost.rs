//! The name and the cost of an operation: stated where it is recorded, read by the profile.
use std::borrow::Cow;

/// An operation, as [`Var::record`](crate::autodiff::Var::record) takes it: a name, and what the
/// profile counts. A plain name stands for an operation whose value and backward rule read all
/// inputs.
#[derive(Clone, Debug)]
pub struct Op {
    pub(crate) name: Cow<'static, str>,
    reads: Reads,
    /// The number of entries read and written to compute the value; `None` for all entries of the
    /// inputs and the output.
    moved: Option<usize>,
    /// The inner dimension of a product.
    inner: Option<usize>,
}

/// What a backward rule reads beside the incoming gradient.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Nothing,
    /// For the gradient of the first input, the second input, and vice versa.
    Other,
    All,
}

/// An input of an operation that ran.
pub(crate) struct Operand<'a> {
    pub shape: &'a [usize],
    /// The number of entries that the backward rule wrote to its gradient.
    pub written: usize,
}

impl Operand<'_> {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl<N: Into<Cow<'static, str>>> From<N> for Op {
    fn from(name: N) -> Self {
        Self { name: name.into(), reads: Reads::All, moved: None, inner: None }
    }
}

impl Op {
    /// An operation whose backward rule reads the incoming gradient alone, as for a linear map.
    pub fn linear(name: &'static str) -> Self {
        Self { reads: Reads::Nothing, ..Self::from(name) }
    }

    /// A [`linear`](Op::linear) operation whose value reads and writes `entries` in total.
    pub fn moving(name: &'static str, entries: usize) -> Self {
        Self { moved: Some(entries), ..Self::linear(name) }
    }

    /// An operation that is linear in each of its first two inputs: the gradient of one is computed
    /// from the other.
    pub fn bilinear(name: &'static str) -> Self {
        Self { reads: Reads::Other, ..Self::from(name) }
    }

    /// A matrix product or convolution, whose value takes `2 inner` FLOP per output entry. Each
    /// gradient that its backward rule materialises takes the same number. The profile lists it by
    /// the shape of its second input.
    pub fn product(name: &'static str, inner: usize) -> Self {
        Self { inner: Some(inner), ..Self::bilinear(name) }
    }

    /// The name of the row in the profile. Products are listed by shape, because memory limits the
    /// speed of thin ones and arithmetic that of wide ones.
    pub(crate) fn label(&self, inputs: &[Operand]) -> Cow<'static, str> {
        match (self.inner, inputs) {
            (Some(_), [_, Operand { shape: [rows, columns], .. }, ..]) => {
                format!("{} {rows}×{columns}", self.name).into()
            }
            _ => self.name.clone(),
        }
    }

    /// `[entries, FLOP]` to compute a value with `y` entries; `entries` is a lower bound on those
    /// read and written.
    pub(crate) fn forward(&self, y: usize, inputs: &[Operand]) -> [usize; 2] {
        let all = || y + inputs.iter().map(Operand::len).sum::<usize>();
        [self.moved.unwrap_or_else(all), 2 * y * self.inner.unwrap_or(0)]
    }

    /// `[entries, FLOP]` of the backward rule; `entries` is a lower bound on those read and
    /// written.
    pub(crate) fn backward(&self, y: usize, inputs: &[Operand]) -> [usize; 2] {
        let read: usize = match self.reads {
            Reads::Nothing => 0,
            Reads::Other => {
                (0..2).filter(|&k| inputs[1 - k].written > 0).map(|k| inputs[k].len()).sum()
            }
            Reads::All => inputs.iter().map(Operand::len).sum(),
        };
        let written: usize = inputs.iter().map(|x| x.written).sum();
        let formed = inputs.iter().take(2).filter(|x| x.written > 0 && x.written == x.len());
        [y + read + written, formed.count() * 2 * y * self.inner.unwrap_or(0)]
    }
}
