//! 11. Two kinds of uncertainty.

fn entropy(p: &[f64]) -> f64 {
    -p.iter().filter(|p| **p > 0.).map(|p| p * p.ln()).sum::<f64>()
}

/// `[H[p̄], mean H[pₛ], H[p̄] − mean H[pₛ]]`.
pub fn uncertainties(p: &[Vec<f64>]) -> [f64; 3] {
    let samples = p.len() as f64;
    let mean = |k: usize| p.iter().map(|p| p[k]).sum::<f64>() / samples;
    let mean: Vec<f64> = (0..p[0].len()).map(mean).collect();
    let total = entropy(&mean);
    let aleatoric = p.iter().map(|p| entropy(p)).sum::<f64>() / samples;
    [total, aleatoric, total - aleatoric]
}
