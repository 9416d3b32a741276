//! 2. Reverse mode in ten lines.

/// A node of a tape of numbers: for each of its inputs, the index of the input, and the derivative
/// of the node with respect to it. For `a = 2` and `b = 3` as nodes 0 and 1, the product `ab` is
/// `vec![(0, 3.), (1, 2.)]`, and the square `a²` as a product `a·a` is `vec![(0, 2.), (0, 2.)]`.
pub type Node = Vec<(usize, f64)>;

/// `∂L/∂x` for every node `x` of the tape, where `L` is node number `loss`.
///
/// Inputs come before the nodes that use them. A node may be used by several nodes, or twice by the
/// same one. Nodes that `L` does not depend on, such as those after it, have the gradient 0.
pub fn backward(tape: &[Node], loss: usize) -> Vec<f64> {
    todo!("return a vector of tape.len() gradients; that of node `loss` is 1")
}
