//! Many hypotheses at once.

/// Holm's adjusted p-values `p̃₍ₖ₎ = max_{j ≤ k} min(1, (m − j + 1) p₍ⱼ₎)` of `m` p-values, in the
/// order of `p`; `p₍ⱼ₎` is the `j`-th smallest. If all hypotheses with `p̃ ≤ α` are rejected, the
/// probability of rejecting any true one is at most `α`, whatever the dependence of the tests:
/// Holm, "A simple sequentially rejective multiple test procedure", 1979; R's `p.adjust`. A NaN
/// counts as 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let p: Vec<_> = p.iter().map(|&p| if p.is_nan() { 1.0 } else { p }).collect();
    let mut order: Vec<_> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[i]).min(1.0);
        adjusted[i] = largest;
    }
    adjusted
}
