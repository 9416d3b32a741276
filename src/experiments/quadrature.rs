//! Integrals over a box by the trapezoidal rule, refined until they converge.
use std::array::from_fn;

/// The logarithm of an integral, and its change by the last refinement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogIntegral {
    /// `ln ∫ eᶠ dx`.
    pub value: f64,
    /// Absolute difference from the value with twice the step.
    pub change: f64,
}

/// Initial and maximum number of steps per dimension.
const STEPS: (usize, usize) = (128, 8192);

/// `ln ∫ exp f(x) dx` over the box `bounds`. The step is halved until the value changes by at most
/// `tolerance` nats, or until there are 8192 steps per dimension.
///
/// The trapezoidal rule converges faster than any power of the step if the integrand is smooth and,
/// with all its derivatives, vanishes at the bounds (Trefethen & Weideman 2014). Once the step
/// resolves such an integrand, each halving about doubles the number of correct digits, so the last
/// change far exceeds the remaining error.
///
/// ```
/// use bhn::experiments::quadrature::log_integral;
/// let normal = |[x, y]: [f64; 2]| -0.5 * (x * x + 4. * y * y);
/// let found = log_integral(normal, [(-9., 9.); 2], 1e-9);
/// assert!((found.value - (std::f64::consts::PI).ln()).abs() < 1e-9);
/// ```
pub fn log_integral<const N: usize>(
    f: impl Fn([f64; N]) -> f64,
    bounds: [(f64, f64); N],
    tolerance: f64,
) -> LogIntegral {
    let mut steps = STEPS.0;
    let mut before = trapezoid(&f, bounds, steps);
    loop {
        steps *= 2;
        let value = trapezoid(&f, bounds, steps);
        let change = (value - before).abs();
        if change <= tolerance || steps == STEPS.1 {
            return LogIntegral { value, change };
        }
        before = value;
    }
}

/// The logarithm of the trapezoidal sum over the interior points; the integrand vanishes at the
/// bounds.
fn trapezoid<const N: usize>(
    f: &impl Fn([f64; N]) -> f64,
    bounds: [(f64, f64); N],
    steps: usize,
) -> f64 {
    let widths = bounds.map(|(low, high)| (high - low) / steps as f64);
    // `sum` is relative to `eᵐᵃˣ`, the largest term so far.
    let (mut max, mut sum, mut point) = (f64::NEG_INFINITY, 0., [1; N]);
    loop {
        let v = f(from_fn(|k| bounds[k].0 + point[k] as f64 * widths[k]));
        if v > max {
            sum = sum * (max - v).exp() + 1.;
            max = v;
        } else if v > max - 50. {
            // Ten million terms below e⁻⁵⁰ add up to less than 2·10⁻¹⁵ of the largest term.
            sum += (v - max).exp();
        }
        // The last coordinate varies fastest.
        let Some(k) = (0..N).rev().find(|&k| point[k] + 1 < steps) else { break };
        point[k] += 1;
        point[k + 1..].fill(1);
    }
    max + sum.ln() + widths.iter().product::<f64>().ln()
}
