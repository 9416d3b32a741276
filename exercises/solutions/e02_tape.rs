//! 2. Reverse mode in half a screen.

/// A node: for each input, its index and the derivative of the node with respect to it.
pub struct Node(pub Vec<(usize, f64)>);

/// `∂L/∂x` for every node `x` of the tape, where `L` is node `loss`.
pub fn backward(tape: &[Node], loss: usize) -> Vec<f64> {
    let mut gradients = vec![0.; tape.len()];
    gradients[loss] = 1.;
    for id in (0..=loss).rev() {
        for &(input, slope) in &tape[id].0 {
            gradients[input] += gradients[id] * slope;
        }
    }
    gradients
}
