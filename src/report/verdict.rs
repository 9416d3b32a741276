//! Whether measurements support a claim of the paper.
use crate::stats::{Estimate, LARGE, over_seeds};
use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF, StudentsT};
use std::fmt;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// A measured quantity: a mean over seeds with its standard error, a fraction of seeds, or a single
/// number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean `m = (1/n) Σ vᵢ`.
    pub value: f64,
    /// The standard error `√(Σ (vᵢ − m)² / (n − 1) / n)`; infinite for a single seed.
    pub error: f64,
    /// Number of seeds `n`.
    pub seeds: usize,
    /// Degrees of freedom of the error.
    freedom: f64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Mean,
    Share,
    Number,
}

impl Mean {
    /// The mean of one value for each seed.
    ///
    /// # Panics
    /// If there is no value.
    pub fn of(values: &[f64]) -> Self {
        let Estimate { value, error } = over_seeds(values);
        let (seeds, freedom) = (values.len(), values.len() as f64 - 1.);
        let error = if seeds == 1 { f64::INFINITY } else { error };
        Self { value, error, seeds, freedom, kind: Kind::Mean }
    }

    /// [`Mean::of`] the values; `None` if there is no value.
    pub fn if_any(values: &[f64]) -> Option<Self> {
        (!values.is_empty()).then(|| Self::of(values))
    }

    /// The fraction of seeds with a property; printed as `9 of 10`.
    ///
    /// # Panics
    /// If there is no seed.
    pub fn share(seeds: impl ExactSizeIterator<Item = bool>) -> Self {
        let n = seeds.len();
        assert!(n > 0, "Mean::share: no seeds");
        let value = seeds.filter(|&is| is).count() as f64 / n as f64;
        let error = (value * (1. - value) / n as f64).sqrt();
        Self { value, error, seeds: n, freedom: f64::NAN, kind: Kind::Share }
    }

    /// A single number without an error, estimated from `n` chains, fits or draws together.
    pub fn number(value: f64, n: usize) -> Self {
        Self { value, error: 0., seeds: n, freedom: f64::NAN, kind: Kind::Number }
    }

    /// The mean of `values[seed][item]`, with the errors over seeds and over items, which all seeds
    /// share, added in quadrature. The degrees of freedom are those of Welch and Satterthwaite,
    /// `(a² + b²)²/(a⁴/(n − 1) + b⁴/(N − 1))` for the errors `a` over `n` seeds and `b` over `N`
    /// items.
    ///
    /// ```
    /// use bhn::report::verdict::Mean;
    /// let mean = Mean::over_seeds_and_items(&[vec![1., 3.], vec![2., 4.], vec![3., 5.]]);
    /// // Over seeds 2, 3, 4; over items 2 and 4.
    /// assert!((mean.error - (1_f64 / 3. + 1.).sqrt()).abs() < 1e-12);
    /// ```
    ///
    /// # Panics
    /// If there is no seed or no item, or seeds differ in their number of items.
    pub fn over_seeds_and_items(values: &[Vec<f64>]) -> Self {
        let items = values[0].len();
        assert!(values.iter().all(|seed| seed.len() == items), "items of different numbers");
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let of_item = |i: usize| mean(&values.iter().map(|seed| seed[i]).collect::<Vec<_>>());
        let by_seed = Self::of(&values.iter().map(|seed| mean(seed)).collect::<Vec<_>>());
        let by_item = Self::of(&(0..items).map(of_item).collect::<Vec<_>>());
        let [a, b] = [by_seed, by_item].map(|mean| mean.error.powi(2));
        let freedom = (a + b).powi(2) / (a * a / by_seed.freedom + b * b / by_item.freedom);
        let freedom = if freedom.is_finite() { freedom } else { by_seed.freedom };
        Self { error: (a + b).sqrt(), freedom, ..by_seed }
    }

    /// This quantity, with the independent `error` of a reference added in quadrature to its own
    /// error.
    #[must_use]
    pub fn against(self, error: f64) -> Self {
        Self { error: self.error.hypot(error), ..self }
    }

    /// The 95 % interval; a single number is its own interval. For a mean, Student's `m ± t σ`,
    /// where `σ` is the standard error and `t` has `n − 1` degrees of freedom, or those of
    /// [`Mean::over_seeds_and_items`]; `t` is 4.3 for three seeds, 2.8 for five and 2.1 for twenty.
    /// For a fraction, the interval of Clopper and Pearson, "The use of confidence or fiducial
    /// limits", Biometrika 1934. `None` if the value or its error is not finite, or a mean or
    /// fraction has fewer than three seeds.
    #[expect(clippy::missing_panics_doc, reason = "three seeds have degrees of freedom")]
    pub fn interval(&self) -> Option<(f64, f64)> {
        if !(self.value.is_finite() && self.error.is_finite()) {
            return None;
        }
        let (n, value) = (self.seeds as f64, self.value);
        let beta = |a, b, p| Beta::new(a, b).expect("positive").inverse_cdf(p);
        match self.kind {
            Kind::Number => Some((value, value)),
            _ if self.seeds < LEAST_SEEDS => None,
            Kind::Mean => {
                let student = StudentsT::new(0., 1., self.freedom).expect("degrees of freedom");
                let half = student.inverse_cdf(0.975) * self.error;
                Some((value - half, value + half))
            }
            Kind::Share => {
                let k = (value * n).round();
                let low = if k == 0. { 0. } else { beta(k, n - k + 1., 0.025) };
                let high = if k == n { 1. } else { beta(k + 1., n - k, 0.975) };
                Some((low, high))
            }
        }
    }

    /// Whether the [`interval`](Mean::interval) supports the claim that the quantity is in `range`.
    ///
    /// ```
    /// use bhn::report::verdict::{Mean, Outcome};
    /// let mean = Mean::of(&[0.50, 0.52, 0.54]); // 0.52 ± 0.0115, so 0.470 to 0.570
    /// assert_eq!(mean.judge(0.45..=1.), Outcome::Holds);
    /// assert_eq!(mean.judge(0.51..=1.), Outcome::Undecided);
    /// assert_eq!(mean.judge(0.58..=1.), Outcome::Fails);
    /// ```
    pub fn judge(&self, range: RangeInclusive<f64>) -> Outcome {
        let Some((low, high)) = self.interval() else { return Outcome::Undecided };
        if range.contains(&low) && range.contains(&high) {
            Outcome::Holds
        } else if high < *range.start() || low > *range.end() {
            Outcome::Fails
        } else {
            Outcome::Undecided
        }
    }
}

/// Smallest number of seeds for which there is an interval. The values of two seeds may be equal by
/// chance, and their standard error would then be 0.
const LEAST_SEEDS: usize = 3;

impl fmt::Display for Mean {
    /// Prints a mean with two digits of its error, `0.520 ± 0.012`, a fraction as `9 of 10`, and a
    /// single number with four digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::Share {
            let count = (self.value * self.seeds as f64).round();
            return write!(f, "{count} of {}", self.seeds);
        }
        let shown = self.error.is_finite() && self.kind == Kind::Mean;
        if self.value.abs() >= LARGE {
            write!(f, "{:.2e}", self.value)?;
            return if shown { write!(f, " ± {:.1e}", self.error) } else { Ok(()) };
        }
        let known = self.error.is_finite() && self.error > 0.;
        let (scale, digits) = if known { (self.error, 1) } else { (self.value.abs(), 3) };
        let first = if scale > 0. { scale.log10().floor() } else { 0. };
        let places = (f64::from(digits) - first).clamp(0., 9.) as usize;
        write!(f, "{:.places$}", self.value)?;
        if shown { write!(f, " ± {:.places$}", self.error) } else { Ok(()) }
    }
}

/// The outcome of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The whole interval satisfies the claim.
    Holds,
    /// No part of the interval satisfies the claim.
    Fails,
    /// A part of the interval satisfies the claim, or there is no interval.
    Undecided,
}

/// A claim and its measurement.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The claim, with its threshold in words.
    pub claim: String,
    /// Name of the measured quantity.
    pub quantity: String,
    /// The measurement.
    pub mean: Mean,
    /// The range that satisfies the claim.
    pub range: RangeInclusive<f64>,
}

impl Verdict {
    /// The claim that `mean` lies in `range`, such as `0.5..`, `..=0.1` or `0. ..=1.`. The ends of
    /// the range satisfy the claim.
    pub fn new(
        claim: impl Into<String>,
        quantity: impl Into<String>,
        mean: Mean,
        range: impl RangeBounds<f64>,
    ) -> Self {
        let end = |bound: Bound<&f64>, unbounded| match bound {
            Bound::Included(&end) | Bound::Excluded(&end) => end,
            Bound::Unbounded => unbounded,
        };
        let low = end(range.start_bound(), f64::NEG_INFINITY);
        let range = low..=end(range.end_bound(), f64::INFINITY);
        Self { claim: claim.into(), quantity: quantity.into(), mean, range }
    }

    /// The outcome of the claim.
    pub fn outcome(&self) -> Outcome {
        self.mean.judge(self.range.clone())
    }

    /// The outcome in words.
    pub fn words(&self) -> String {
        match self.outcome() {
            Outcome::Holds => "holds".into(),
            Outcome::Fails => "does not hold".into(),
            Outcome::Undecided => match self.mean.seeds {
                1 => "not decided by one seed".into(),
                n => format!("not decided by {n} seeds"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_follows_the_confidence_interval() {
        // Σ (v − 1)² = 8 · 1.5² = 18, and √(18 / 8 / 9) = ½; t = 2.306, so −0.153 to 2.153.
        let mean = Mean::of(&[-0.5, -0.5, -0.5, -0.5, 1., 2.5, 2.5, 2.5, 2.5]);
        assert_eq!((mean.value, mean.error, mean.seeds), (1., 0.5, 9));
        let cases = [
            (-0.16..=2.16, Outcome::Holds),
            (-0.15..=2.16, Outcome::Undecided),
            (-0.16..=f64::INFINITY, Outcome::Holds),
            (2.15..=3., Outcome::Undecided),
            (2.16..=3., Outcome::Fails),
            (f64::NEG_INFINITY..=-0.16, Outcome::Fails),
        ];
        for (range, outcome) in cases {
            assert_eq!(mean.judge(range.clone()), outcome, "{range:?}");
        }
    }

    #[test]
    fn few_or_non_finite_values_are_undecided() {
        for values in [&[0.5][..], &[0.5, 0.5], &[f64::NAN; 4], &[0., f64::INFINITY, 0., 0.]] {
            assert_eq!(Mean::of(values).judge(0. ..=1.), Outcome::Undecided, "{values:?}");
        }
        assert_eq!(Mean::of(&[0.5; 3]).judge(0. ..=1.), Outcome::Holds);
        let mean = Mean::of(&[1., 2.]);
        let verdict =
            Verdict { claim: String::new(), quantity: String::new(), mean, range: 0. ..=9. };
        assert_eq!(verdict.words(), "not decided by 2 seeds");
    }

    /// R's `binom.test` gives 0.6915 to 1 for 10 of 10, 0 to 0.7076 for 0 of 3, and 0.1871 to
    /// 0.8129 for 5 of 10.
    #[test]
    fn fractions_have_clopper_pearson_intervals() {
        let share = |k: usize, n: usize| Mean::share((0..n).map(|i| i < k)).interval().unwrap();
        for (k, n, low, high) in [(10, 10, 0.6915, 1.), (0, 3, 0., 0.7076), (5, 10, 0.1871, 0.8129)]
        {
            let found = share(k, n);
            assert!((found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5, "{found:?}");
        }
        let all = Mean::share([true; 3].into_iter());
        assert_eq!(all.judge(0.5..=1.), Outcome::Undecided);
        assert_eq!(Mean::share([true; 10].into_iter()).judge(0.5..=1.), Outcome::Holds);
    }

    #[test]
    fn exact_numbers_are_judged_without_interval() {
        assert_eq!(Mean::number(1.005, 4).judge(0. ..=1.01), Outcome::Holds);
        assert_eq!(Mean::number(1.02, 1).judge(0. ..=1.01), Outcome::Fails);
        assert_eq!(Mean::number(f64::NAN, 4).judge(0. ..=1.01), Outcome::Undecided);
    }

    #[test]
    fn error_is_printed_with_two_digits() {
        let mean = |value, error| Mean { error, ..Mean::of(&[value; 3]) }.to_string();
        assert_eq!(mean(0.52, 0.01154), "0.520 ± 0.012");
        assert_eq!(mean(1234.5, 123.), "1234 ± 123");
        assert_eq!(mean(-0.69214, 0.0), "-0.6921 ± 0.0000");
        assert_eq!(mean(0.6921, f64::INFINITY), "0.6921");
        assert_eq!(mean(0., 0.), "0.000 ± 0.000");
        assert_eq!(Mean::number(0.6921, 4).to_string(), "0.6921");
        assert_eq!(Mean::share([true, false, true].into_iter()).to_string(), "2 of 3");
    }
}
