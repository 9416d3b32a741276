//! 20. Write the check that notices a wrong average.

/// What is said to be the posterior predictive `p̄ [K]`: from logits `z[s][k]` of one input under each
/// posterior sample, the mean of the samples' class probabilities.
pub type Predict = dyn Fn(&[Vec<f64>]) -> Vec<f64>;

/// Whether it is.
pub fn accepts(predict: &Predict) -> bool {
    let _ = predict;
    todo!("samples that disagree, an order that must not matter, and large logits")
}
