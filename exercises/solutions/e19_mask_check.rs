//! 19. Write the check that notices wrong random numbers.

/// A sampler of dropout masks: `n` entries that are 0 with probability `p` and otherwise
/// `1/(1 − p)`, independently, for a seed.
pub type Masks = dyn Fn(usize, f64, u64) -> Vec<f64>;

/// Values, frequencies, and products of neighbours and of two seeds.
pub fn accepts(masks: &Masks) -> bool {
    const N: usize = 40_000;
    [0.2, 0.5].into_iter().all(|p: f64| {
        let (a, b) = (masks(N, p, 1), masks(N, p, 2));
        let kept = 1. / (1. - p);
        let is_value = |x: &f64| *x == 0. || (x - kept).abs() < 1e-12;
        // The mean of kept entries, of neighbours that are both kept, and of both seeds.
        let near = |pairs: &mut dyn Iterator<Item = bool>, expected: f64| {
            let (mut n, mut hits) = (0., 0.);
            for hit in pairs {
                n += 1.;
                hits += f64::from(hit);
            }
            (hits / n - expected).abs() < 4. * (expected * (1. - expected) / n).sqrt()
        };
        let is_kept = |x: f64| x != 0.;
        a.len() == N
            && a.iter().chain(&b).all(is_value)
            && near(&mut a.iter().map(|x| is_kept(*x)), 1. - p)
            && near(&mut a.chunks(2).map(|x| is_kept(x[0]) && is_kept(x[1])), (1. - p).powi(2))
            && near(&mut a.iter().zip(&b).map(|(a, b)| is_kept(*a) && is_kept(*b)), (1. - p).powi(2))
    })
}
