//! Integrals over a rectangle by the trapezoidal rule, refined until they stand still.

/// The logarithm of an integral, and what the last refinement changed in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogIntegral {
    /// `ln ∫∫ eᶠ dx dy`.
    pub value: f64,
    /// Its difference from the same with steps twice as long.
    pub change: f64,
}

/// Steps a side at first and at the most.
const STEPS: (usize, usize) = (128, 8192);

/// `ln ∫∫ exp f(x, y) dx dy` over `x` and `y` within these bounds, to `tolerance` nats.
///
/// For smooth functions that vanish at the bounds with all their derivatives the trapezoidal rule
/// converges faster than any power of its step (Trefethen & Weideman 2014): once the step resolves
/// the function, each halving doubles the digits. So the last change is far above the error left.
///
/// ```
/// use bhn::experiments::quadrature::log_integral;
/// let normal = |x: f64, y: f64| -0.5 * (x * x + 4. * y * y);
/// let found = log_integral(normal, (-9., 9.), (-9., 9.), 1e-9);
/// assert!((found.value - (std::f64::consts::PI).ln()).abs() < 1e-9);
/// ```
pub fn log_integral(
    f: impl Fn(f64, f64) -> f64,
    x: (f64, f64),
    y: (f64, f64),
    tolerance: f64,
) -> LogIntegral {
    let mut steps = STEPS.0;
    let mut before = trapezoid(&f, x, y, steps);
    loop {
        steps *= 2;
        let value = trapezoid(&f, x, y, steps);
        let change = (value - before).abs();
        if change <= tolerance || steps == STEPS.1 {
            return LogIntegral { value, change };
        }
        before = value;
    }
}

/// The bounds are left out: the function vanishes there.
fn trapezoid(
    f: &impl Fn(f64, f64) -> f64,
    (x0, x1): (f64, f64),
    (y0, y1): (f64, f64),
    steps: usize,
) -> f64 {
    let n = steps as f64;
    let (dx, dy) = ((x1 - x0) / n, (y1 - y0) / n);
    let mut sum = LogSum::default();
    for i in 1..steps {
        let x = x0 + i as f64 * dx;
        (1..steps).for_each(|j| sum.add(f(x, y0 + j as f64 * dy)));
    }
    sum.value() + (dx * dy).ln()
}

/// `ln Σ eᵛ` of values as they come.
struct LogSum {
    max: f64,
    sum: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self { max: f64::NEG_INFINITY, sum: 0. }
    }
}

impl LogSum {
    fn add(&mut self, v: f64) {
        if v > self.max {
            self.sum = self.sum * (self.max - v).exp() + 1.;
            self.max = v;
        } else if v > self.max - 50. {
            // e⁻⁵⁰ of ten million terms is below the last bit.
            self.sum += (v - self.max).exp();
        }
    }

    fn value(&self) -> f64 {
        self.max + self.sum.ln()
    }
}
