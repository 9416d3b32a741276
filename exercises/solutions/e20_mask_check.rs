//! 20. Write the check that notices faulty random numbers.

/// A sampler of dropout masks, `masks(n, p, seed)`: `n` entries, each of which is 0 with
/// probability `p` and otherwise `1/(1 − p)`. Entries are independent, and so are the masks of
/// different seeds.
pub type Masks = dyn Fn(usize, f64, u64) -> Vec<f64>;

/// The values; the share of entries that are kept, of neighbours that are both kept, and of entries
/// that are kept under two seeds.
pub fn accepts(masks: &Masks) -> bool {
    let n = 40_000;
    [0.2, 0.5].into_iter().all(|p: f64| {
        let (a, b) = (masks(n, p, 1), masks(n, p, 2));
        let is_value = |x: &f64| *x == 0. || (x - 1. / (1. - p)).abs() < 1e-12;
        let near = |events: Vec<bool>, expected: f64| {
            let n = events.len() as f64;
            let share = events.iter().filter(|event| **event).count() as f64 / n;
            (share - expected).abs() < 4. * (expected * (1. - expected) / n).sqrt()
        };
        let kept = a.iter().map(|x| *x != 0.).collect();
        let neighbours = a.chunks(2).map(|x| x.iter().all(|x| *x != 0.)).collect();
        let seeds = a.iter().zip(&b).map(|(a, b)| a * b != 0.).collect();
        a.len() == n
            && a.iter().chain(&b).all(is_value)
            && near(kept, 1. - p)
            && near(neighbours, (1. - p).powi(2))
            && near(seeds, (1. - p).powi(2))
    })
}
