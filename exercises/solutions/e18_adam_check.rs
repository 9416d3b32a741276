//! 18. Write the check that notices an Adam with a fault.

/// An implementation of Adam for one parameter: from the gradients of all steps so far, the change
/// of the parameter in the last of them. The learning rate is 0.01, `β₁ = 0.9`, `β₂ = 0.999` and
/// `ε = 10⁻⁸`. For instance, `change(&[2.])` is −0.01 up to rounding and the effect of `ε`.
pub type Change = dyn Fn(&[f64]) -> f64;

/// Adam's definition as sums over the past, for several sequences of gradients.
pub fn accepts(change: &Change) -> bool {
    let sequences: [&[f64]; 5] =
        [&[2.], &[-3., 1.], &[1e-8], &[0.5, -1.5, 2., 0.1, -0.3], &[1e-9, 2e-8, -1e-8]];
    sequences.into_iter().all(|gradients| {
        let moment = |beta: f64, power: i32| {
            let terms = gradients.iter().rev().zip(0..);
            let sum: f64 = terms.map(|(g, age)| (1. - beta) * beta.powi(age) * g.powi(power)).sum();
            sum / (1. - beta.powi(gradients.len() as i32))
        };
        let expected = -0.01 * moment(0.9, 1) / (moment(0.999, 2).sqrt() + 1e-8);
        (change(gradients) - expected).abs() < 1e-9 * expected.abs()
    })
}
