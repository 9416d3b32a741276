//! The predictive distribution of a regression: a mixture of normals, one for each posterior
//! sample.
use ndarray::{Array2, ArrayView3, Axis};
use rayon::prelude::*;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// `p(y | x, D) ≈ (1/S) Σ_s N(y; f_s, σ_s²)` for each of `N` inputs.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// `f_s` `[S, N]`, standardised.
    mean: Array2<f32>,
    /// `σ_s²`, standardised: `[S, N]`, or `[1, N]` if all samples have the same noise level.
    variance: Array2<f64>,
    /// The mean and the standard deviation of the target, to convert to its units.
    units: (f64, f64),
}

/// Newton's iterations for a quantile. Bisections, which replace steps out of the bracket, halve it
/// each time.
const ITERATIONS: usize = 60;
/// The error of a quantile, in total standard deviations.
const ACCURACY: f64 = 1e-7;

impl Mixture {
    /// The mixture of outputs `f [S, B, 1]` with the precision `τ = 1/σ²`, or of outputs
    /// `[S, B, 2]` whose second is `ln τ`, if there is no `precision`.
    ///
    /// # Panics
    /// If there is no sample or no such output.
    pub fn new(outputs: ArrayView3<'_, f32>, precision: Option<f64>) -> Self {
        let output = |k: usize| outputs.index_axis(Axis(2), k);
        let variance = match precision {
            Some(tau) => Array2::from_elem((1, outputs.dim().1), 1. / tau),
            None => output(1).mapv(|log| f64::from(-log).exp()),
        };
        Self { mean: output(0).to_owned(), variance, units: (0., 1.) }
    }

    /// The number of inputs `N`.
    pub fn len(&self) -> usize {
        self.mean.ncols()
    }

    /// Whether there are no inputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// This mixture for targets `μ + σ y`, given `(μ, σ)`.
    pub(super) fn in_units(self, units: (f64, f64)) -> Self {
        Self { units, ..self }
    }

    /// The mixtures of these inputs, followed by those of `other`.
    pub(super) fn and(&mut self, other: &Self) {
        self.mean.append(Axis(1), other.mean.view()).expect("the same samples");
        self.variance.append(Axis(1), other.variance.view()).expect("the same samples");
    }

    /// `mean_s f_s`, `√(mean_s σ_s² + var_s f_s)` and `√var_s f_s`, each `[N]`.
    pub(super) fn moments(&self) -> [Vec<f64>; 3] {
        let (shift, unit) = self.units;
        let f = self.mean.mapv(f64::from);
        let mean = f.mean_axis(Axis(0)).expect("a sample");
        let spread = f.std_axis(Axis(0), 0.);
        let noise = self.variance.mean_axis(Axis(0)).expect("a sample");
        let total = |(noise, s): (&f64, &f64)| unit * (noise + s * s).sqrt();
        let std = noise.iter().zip(&spread).map(total).collect();
        [mean.mapv(|x| shift + unit * x).to_vec(), std, spread.mapv(|s| unit * s).to_vec()]
    }

    /// The components `(f_s, σ_s)` `[S]` of input `n`, in the target's units.
    fn components(&self, n: usize) -> Vec<(f64, f64)> {
        let (shift, unit) = self.units;
        let (mean, variance) = (self.mean.column(n), self.variance.column(n));
        let variance = variance.broadcast(mean.len()).expect("one, or one for each sample");
        let component = |(&f, &v): (&f32, &f64)| (shift + unit * f64::from(f), unit * f64::sqrt(v));
        mean.iter().zip(variance).map(component).collect()
    }

    /// `P(Y ≤ y)` of each input `[N]` for `y [N]`: the probability integral transform.
    ///
    /// # Panics
    /// If the number of values is not that of the inputs.
    pub fn cdf(&self, y: &[f64]) -> Vec<f64> {
        assert_eq!(y.len(), self.len(), "Mixture::cdf: values for {} inputs", self.len());
        let each = |n: usize| cdf(&self.components(n), y[n]);
        (0..self.len()).into_par_iter().map(each).collect()
    }

    /// The quantiles `[N, L]` of `levels [L]`, to 10⁻⁷ total standard deviations.
    ///
    /// # Panics
    /// If a level is not between 0 and 1.
    pub fn quantiles(&self, levels: &[f64]) -> Array2<f64> {
        let each = |n: usize| {
            let components = self.components(n);
            levels.iter().map(|&level| quantile(&components, level)).collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..self.len()).into_par_iter().flat_map_iter(each).collect();
        Array2::from_shape_vec((self.len(), levels.len()), all).expect("a level for each column")
    }

    /// The continuous ranked probability score `E|Y − y| − ½ E|Y − Y′|` `[N]` of `y [N]`, where `Y`
    /// and `Y′` are independent draws; in the target's unit, the lower the better. In closed form,
    /// from pairs of components: Grimit, Gneiting, Berrocal and Johnson, "The continuous ranked
    /// probability score for circular variables and its application to mesoscale forecast ensemble
    /// verification", 2006.
    ///
    /// # Panics
    /// As [`cdf`](Self::cdf).
    pub fn crps(&self, y: &[f64]) -> Vec<f64> {
        assert_eq!(y.len(), self.len(), "Mixture::crps: values for {} inputs", self.len());
        let each = |n: usize| {
            let all = self.components(n);
            let to_target = all.iter().map(|&(m, s)| mean_abs(y[n] - m, s)).sum::<f64>();
            let pair = |(a, b): ((f64, f64), (f64, f64))| mean_abs(a.0 - b.0, a.1.hypot(b.1));
            let pairs = all.iter().flat_map(|&a| all.iter().map(move |&b| pair((a, b))));
            let s = all.len() as f64;
            to_target / s - 0.5 * pairs.sum::<f64>() / (s * s)
        };
        (0..self.len()).into_par_iter().map(each).collect()
    }
}

fn standard() -> Normal {
    Normal::standard()
}

/// `E|X|` for `X ~ N(m, s²)`: `2 s φ(m/s) + m (2Φ(m/s) − 1)`.
fn mean_abs(m: f64, s: f64) -> f64 {
    if s == 0. {
        return m.abs();
    }
    let z = m / s;
    2. * s * standard().pdf(z) + m * (2. * standard().cdf(z) - 1.)
}

fn cdf(components: &[(f64, f64)], y: f64) -> f64 {
    let each = |&(m, s): &(f64, f64)| standard().cdf((y - m) / s);
    components.iter().map(each).sum::<f64>() / components.len() as f64
}

/// The root of `cdf − level`. It lies between the lowest and the highest of the components'
/// quantiles.
fn quantile(components: &[(f64, f64)], level: f64) -> f64 {
    assert!(level > 0. && level < 1., "Mixture::quantiles: the level {level}");
    let z = standard().inverse_cdf(level);
    let each = components.iter().map(|(m, s)| m + z * s);
    let (mut low, mut high) =
        each.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let mut y = 0.5 * (low + high);
    let widest = components.iter().map(|(_, s)| *s).fold(0., f64::max);
    let close = ACCURACY * widest.max(high - low);
    for _ in 0..ITERATIONS {
        if high - low <= close {
            break;
        }
        let excess = cdf(components, y) - level;
        if excess > 0. {
            high = y
        } else {
            low = y
        }
        let density = components.iter().map(|&(m, s)| standard().pdf((y - m) / s) / s).sum::<f64>();
        let step = excess * components.len() as f64 / density;
        let next = y - step;
        if step.abs() <= close {
            return next.clamp(low, high);
        }
        y = if next > low && next < high { next } else { 0.5 * (low + high) };
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, arr3};

    fn two() -> Mixture {
        // Two components of equal noise for one input: N(−2, 1) and N(2, 1).
        Mixture::new(arr3(&[[[-2.]], [[2.]]]).view(), Some(1.))
    }

    #[test]
    fn quantiles_of_a_normal_are_those_of_tables() {
        let one = Mixture::new(arr3(&[[[1_f32], [0.]]]).view(), Some(0.25)).in_units((10., 3.));
        let found = one.quantiles(&[0.025, 0.5, 0.975]);
        for (row, mean) in [13., 10.].into_iter().enumerate() {
            for (k, z) in [-1.959_964, 0., 1.959_964].into_iter().enumerate() {
                assert!((found[[row, k]] - (mean + 6. * z)).abs() < 1e-5, "{found}");
            }
        }
    }

    /// The distribution function of each quantile is its level, and the median of a symmetric
    /// mixture is its centre.
    #[test]
    fn quantiles_invert_the_distribution_function() {
        let random = Array3::from_shape_fn((7, 5, 2), |(s, n, k)| {
            (1.3 * s as f32 + 0.7 * n as f32 + 2.1 * k as f32).sin()
        });
        let mixture = Mixture::new(random.view(), None).in_units((-4., 2.));
        let levels = [0.01, 0.3, 0.5, 0.9];
        let found = mixture.quantiles(&levels);
        for (k, level) in levels.into_iter().enumerate() {
            for share in mixture.cdf(&found.column(k).to_vec()) {
                assert!((share - level).abs() < 1e-6, "{share} for {level}");
            }
        }
        assert!(two().quantiles(&[0.5])[[0, 0]].abs() < 1e-6);
    }

    /// By quadrature of `∫ (F(x) − 1[x ≥ y])² dx`, the definition.
    #[test]
    fn crps_is_the_integral_of_its_definition() {
        let mixture = two();
        let (low, high, steps) = (-12., 12., 48_000);
        let width = (high - low) / f64::from(steps);
        for y in [-3., 0., 0.7] {
            let square = |i: i32| {
                let x = low + (f64::from(i) + 0.5) * width;
                (mixture.cdf(&[x])[0] - f64::from(x >= y)).powi(2)
            };
            let expected = (0..steps).map(square).sum::<f64>() * width;
            let found = mixture.crps(&[y])[0];
            // The midpoint rule is off by at most half a step at the jump.
            assert!((found - expected).abs() < width, "{found} for {expected}");
        }
    }

    /// Noise levels that depend on the input are those of the second output.
    #[test]
    fn second_output_is_the_logarithm_of_the_precision() {
        let mixture = Mixture::new(arr3(&[[[0., 4_f32.ln()]], [[2., 0.]]]).view(), None);
        let [mean, std, spread] = mixture.moments().map(|v| v[0]);
        assert_eq!((mean, spread), (1., 1.));
        assert!((std - (0.5_f64 * (0.25 + 1.) + 1.).sqrt()).abs() < 1e-7, "{std}");
    }
}
