//! 16. Write the check that notices a wrong gradient.

/// A function of several numbers. It is smooth, and its values and derivatives are of order one if
/// its arguments are between −2 and 2.
pub type Function = dyn Fn(&[f64]) -> f64;

/// What is claimed to be its gradient: one derivative for each argument, or, if it is wrong,
/// perhaps another number of them.
pub type Gradient = dyn Fn(&[f64]) -> Vec<f64>;

/// Central differences for every argument, at three irregular points. Their error is about
/// `h² f‴/6 + 10⁻¹⁶/h ≈ 10⁻¹⁰` for `h = 10⁻⁵`.
pub fn accepts(f: &Function, gradient: &Gradient, n: usize) -> bool {
    let h = 1e-5;
    [0.4, 1.3, 4.2].into_iter().all(|start| {
        let x: Vec<f64> = (0..n).map(|i| (1.7 * i as f64 + start).sin()).collect();
        let found = gradient(&x);
        let slope = |i: usize| {
            let (mut above, mut below) = (x.clone(), x.clone());
            above[i] += h;
            below[i] -= h;
            (f(&above) - f(&below)) / (2. * h)
        };
        found.len() == n && (0..n).all(|i| (found[i] - slope(i)).abs() < 1e-7)
    })
}
