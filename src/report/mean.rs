//! Measured quantities: their errors, intervals and p-values.
use crate::stats::{
    Estimate, LARGE, TwoWay, over_seeds, over_splits, student_p_value, student_quantile, two_way,
};
use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF};
use statrs::function::beta::beta_reg;
use std::fmt;
use std::ops::RangeInclusive;

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
    /// The error over seeds alone, `n − 1` degrees of freedom, if `error` counts more than seeds;
    /// otherwise 0.
    seed_error: f64,
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
        Self { value, error, seeds, freedom, seed_error: 0., kind: Kind::Mean }
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
        Self { value, error, seeds: n, freedom: f64::NAN, seed_error: 0., kind: Kind::Share }
    }

    /// A single number without an error, estimated from `n` chains, fits or draws together.
    pub fn number(value: f64, n: usize) -> Self {
        let (freedom, seed_error, kind) = (f64::NAN, 0., Kind::Number);
        Self { value, error: 0., seeds: n, freedom, seed_error, kind }
    }

    /// The mean of `values[seed][item]` with its error over seeds and over items, which all seeds
    /// share: [`two_way`].
    ///
    /// ```
    /// use bhn::report::verdict::Mean;
    /// let mean = Mean::over_seeds_and_items(&[vec![1., 3.], vec![2., 4.], vec![3., 5.]]);
    /// // Over seeds 2, 3, 4; over items 2 and 4; no residual.
    /// assert!((mean.error - (1_f64 / 3. + 1.).sqrt()).abs() < 1e-12);
    /// ```
    ///
    /// # Panics
    /// If there is no seed or no item, or seeds differ in their number of items.
    pub fn over_seeds_and_items(values: &[Vec<f64>]) -> Self {
        two_way(values).into()
    }

    /// The mean of one value for each of `J` overlapping splits of a data set: [`over_splits`].
    ///
    /// # Panics
    /// If there is no split.
    pub fn over_splits(values: &[f64], test_per_train: f64) -> Self {
        let Estimate { error, .. } = over_splits(values, test_per_train);
        let mean = Self::of(values);
        Self { error: if mean.seeds == 1 { f64::INFINITY } else { error }, ..mean }
    }

    /// This quantity with another value, whose errors are the same.
    #[must_use]
    pub fn at(self, value: f64) -> Self {
        Self { value, ..self }
    }

    /// This quantity, with the independent `error` of a reference added in quadrature to its own
    /// error.
    #[must_use]
    pub fn against(self, error: f64) -> Self {
        Self { error: self.error.hypot(error), ..self }
    }

    /// The 95 % interval; a single number is its own interval. For a mean over seeds, Student's
    /// `m ± t σ`, where `σ` is the standard error and `t` has `n − 1` degrees of freedom: 4.3 for
    /// three seeds, 2.8 for five and 2.1 for twenty. For a mean over seeds and items, that of
    /// [`TwoWay`]. For a fraction, the interval of Clopper and Pearson, "The use of confidence or
    /// fiducial limits", Biometrika 1934. `None` if the value or its error is not finite, or a mean
    /// or fraction has fewer than three seeds.
    #[expect(clippy::missing_panics_doc, reason = "three seeds have degrees of freedom")]
    pub fn interval(&self) -> Option<(f64, f64)> {
        if !self.is_known() {
            return None;
        }
        let (n, value) = (self.seeds as f64, self.value);
        let beta = |a, b, p| Beta::new(a, b).expect("positive").inverse_cdf(p);
        match self.kind {
            Kind::Number => Some((value, value)),
            Kind::Mean => {
                let by_seeds = student_quantile(0.95, n - 1.) * self.seed_error;
                let half = (student_quantile(0.95, self.freedom) * self.error).max(by_seeds);
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

    /// Whether this is a single number without an error.
    pub(super) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }

    /// Whether the value and its error are finite, and there are seeds enough for an interval.
    fn is_known(&self) -> bool {
        let enough = self.kind == Kind::Number || self.seeds >= LEAST_SEEDS;
        enough && self.value.is_finite() && self.error.is_finite()
    }

    /// Two-sided p-value of the hypothesis that the expectation is `at`: the largest `α` for which
    /// `at` is in the interval of level `1 − α`. `None` for a single number, and where there is no
    /// [`interval`](Self::interval).
    pub fn p_value(&self, at: f64) -> Option<f64> {
        if !self.is_known() {
            return None;
        }
        let n = self.seeds as f64;
        match self.kind {
            Kind::Number => None,
            Kind::Mean => {
                let distance = (self.value - at).abs();
                let p = |error: f64, freedom| match error > 0. {
                    true => student_p_value(distance / error, freedom),
                    false => f64::from(distance == 0.),
                };
                let by_seeds = if self.seed_error > 0. { p(self.seed_error, n - 1.) } else { 0. };
                Some(p(self.error, self.freedom).max(by_seeds))
            }
            // No probability.
            Kind::Share if !(0. ..=1.).contains(&at) => Some(0.),
            Kind::Share => {
                // P(K ≥ k) of a binomial K with probability `at`.
                let above = |k: f64| match k {
                    0. => 1.,
                    k if k > n => 0.,
                    k => beta_reg(k, n - k + 1., at),
                };
                let k = (self.value * n).round();
                Some((2. * above(k).min(1. - above(k + 1.))).min(1.))
            }
        }
    }

    /// Whether every possible value is on the inner side of `end`, the `start` or end of a range:
    /// a fraction is never below 0 or above 1.
    pub(super) fn is_bounded_by(&self, end: f64, start: bool) -> bool {
        let of_share = if start { end <= 0. } else { end >= 1. };
        end.is_infinite() || self.kind == Kind::Share && of_share
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

impl From<TwoWay> for Mean {
    fn from(found: TwoWay) -> Self {
        let TwoWay { value, error, freedom, seed_error, seeds } = found;
        if seeds == 1 {
            return Self::of(&[value]);
        }
        Self { value, error, seeds, freedom, seed_error, kind: Kind::Mean }
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
        let one = Mean::over_seeds_and_items(&[vec![0.5, 0.6, 0.7]]);
        assert_eq!((one.judge(0. ..=1.), one.seeds), (Outcome::Undecided, 1));
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
