//! 15. Write the check that notices a wrong gradient.

/// A function of several numbers and what is said to be its gradient.
pub struct Claim {
    pub value: Box<dyn Fn(&[f64]) -> f64>,
    pub gradient: Box<dyn Fn(&[f64]) -> Vec<f64>>,
    /// The number of arguments.
    pub arguments: usize,
}

/// Central differences of every argument, at three irregular points.
pub fn accepts(claim: &Claim) -> bool {
    (0..3).all(|point| {
        let at = |i: usize| (1.7 * i as f64 + 0.9 * f64::from(point) + 0.4).sin();
        let x: Vec<f64> = (0..claim.arguments).map(at).collect();
        let gradient = (claim.gradient)(&x);
        gradient.len() == x.len()
            && gradient.iter().enumerate().all(|(i, slope)| {
                let moved = |t: f64| {
                    let mut x = x.clone();
                    x[i] += t;
                    (claim.value)(&x)
                };
                ((moved(1e-5) - moved(-1e-5)) / 2e-5 - slope).abs() < 1e-6
            })
    })
}
