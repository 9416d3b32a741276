//! 12. The expected calibration error.

/// `Σ_bins |Σ (right − confidence)| / N`: the factor `n_bin` cancels.
pub fn ece(answers: &[(f64, bool)], bins: usize) -> f64 {
    let mut differences = vec![0_f64; bins];
    for &(confidence, right) in answers {
        let bin = (confidence * bins as f64).ceil() as usize - 1;
        differences[bin] += f64::from(right) - confidence;
    }
    differences.iter().map(|d| d.abs()).sum::<f64>() / answers.len() as f64
}
