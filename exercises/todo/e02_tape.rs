//! 2. Reverse mode in half a screen.

/// A node: for each input, its index and the derivative of the node with respect to it.
pub struct Node(pub Vec<(usize, f64)>);

/// `∂L/∂x` for every node `x` of the tape, where `L` is node `loss`. Inputs come before the nodes
/// that use them. A node may be used several times, and nodes after `loss` do not matter.
pub fn backward(tape: &[Node], loss: usize) -> Vec<f64> {
    let _ = (tape, loss);
    todo!("start with ∂L/∂L = 1 and walk backwards")
}
