//! 11. Two kinds of uncertainty.

/// `[H[p̄], mean H[pₛ], I[y; θ]]` in nats, for the class probabilities `p[s][k]` of one input under
/// each posterior sample: the total, the aleatoric and the epistemic uncertainty.
pub fn uncertainties(p: &[Vec<f64>]) -> [f64; 3] {
    let _ = p;
    todo!("0 ln 0 is 0")
}
