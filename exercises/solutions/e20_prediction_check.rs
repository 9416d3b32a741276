//! 20. Write the check that notices a wrong average.

/// What is said to be the posterior predictive `p̄ [K]`: from logits `z[s][k]` of one input under each
/// posterior sample, the mean of the samples' class probabilities.
pub type Predict = dyn Fn(&[Vec<f64>]) -> Vec<f64>;

fn softmax(z: &[f64]) -> Vec<f64> {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = z.iter().map(|z| (z - max).exp()).sum();
    z.iter().map(|z| (z - max).exp() / sum).collect()
}

/// The definition, on one sample, on samples that disagree, and on logits of 1000.
pub fn accepts(predict: &Predict) -> bool {
    let cases = [
        vec![vec![0.3, -1., 2.]],
        vec![vec![3., 0.], vec![0., 5.], vec![1., 1.]],
        vec![vec![1000., 0., 999.], vec![-1000., 2., 0.]],
    ];
    cases.into_iter().all(|z| {
        let p: Vec<_> = z.iter().map(|z| softmax(z)).collect();
        let mean = |k: usize| p.iter().map(|p| p[k]).sum::<f64>() / p.len() as f64;
        let found = predict(&z);
        found.len() == z[0].len()
            && found.iter().enumerate().all(|(k, found)| (found - mean(k)).abs() < 1e-12)
    })
}
