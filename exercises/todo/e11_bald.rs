//! 11. Two kinds of uncertainty.

/// `[total, aleatoric, epistemic]` uncertainty in nats, for the class probabilities `p[s][k]` of
/// one input under each posterior sample `s`.
///
/// ```text
/// total      H[p̄]              of the mean p̄ of the samples
/// aleatoric  (1/S) Σₛ H[pₛ]
/// epistemic  the difference, I[y; θ] (BALD)
/// ```
///
/// `H[p] = −Σₖ pₖ ln pₖ`, where `0 ln 0` is 0.
pub fn uncertainties(p: &[Vec<f64>]) -> [f64; 3] {
    todo!("write a function for the entropy first")
}
