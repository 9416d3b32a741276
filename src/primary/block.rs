//! Where the weight matrices are within `θ`.
use super::{Layer, Placed};
use std::ops::Range;

/// The weights `[outputs, inputs]` of a dense layer or convolution, row-major and contiguous in
/// `θ`.
///
/// ```
/// use bhn::primary::{AllWeights, Block, BlockKind, Layer, PrimaryNet};
/// let blocks = PrimaryNet::<f32>::blocks(&AllWeights::new(4, &Layer::mlp(&[3], 2)));
/// // 12 weights and 3 biases of the first layer precede the second.
/// let second = Block { offset: 15, outputs: 2, inputs: 3, kind: BlockKind::Dense };
/// assert_eq!(blocks[1], second);
/// assert_eq!(second.weights(), 15..21);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The index in `θ` of the first weight.
    pub offset: usize,
    /// The number of rows: units, or output channels of a convolution.
    pub outputs: usize,
    /// The number of columns: inputs of a unit, or entries of a convolution's window.
    pub inputs: usize,
    /// The kind of layer.
    pub kind: BlockKind,
}

/// The kind of layer that a weight matrix belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// A dense layer.
    Dense,
    /// A convolution.
    Conv,
}

impl Block {
    /// The weights' range in `θ`.
    pub fn weights(&self) -> Range<usize> {
        self.offset..self.offset + self.outputs * self.inputs
    }

    /// The number of factors of the weights in a [multiplicative posterior](crate::bayes::Mnf): one
    /// per input of a dense layer, and one per output channel of a convolution.
    pub fn factors(&self) -> usize {
        match self.kind {
            BlockKind::Dense => self.inputs,
            BlockKind::Conv => self.outputs,
        }
    }

    /// The index of the factor of weight `i`; weights are counted row by row.
    pub fn factor(&self, i: usize) -> usize {
        match self.kind {
            BlockKind::Dense => i % self.inputs,
            BlockKind::Conv => i / self.inputs,
        }
    }
}

impl Placed {
    /// The layer's weights, if it has any, with the first at `offset`.
    pub fn block(&self, offset: usize) -> Option<Block> {
        let [outputs, inputs] = self.weights()?;
        let kind = match self.layer {
            Layer::Conv(..) => BlockKind::Conv,
            _ => BlockKind::Dense,
        };
        Some(Block { offset, outputs, inputs, kind })
    }
}
