//! Whether measurements support a claim of the paper.
pub use super::mean::{Mean, Outcome};
use crate::stats::holm;
use serde::Serialize;
use std::ops::{Bound, RangeBounds, RangeInclusive};

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
    /// Whose claim it is.
    pub origin: Origin,
}

/// Whose claim is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The paper's, or its authors'.
    Paper,
    /// Ours: a check of our own methods, which [`corrected`] leaves out.
    Own,
}

/// The outcome of a claim, corrected for the number of claims.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrected {
    /// Holm's adjusted p-value.
    pub p_value: f64,
    /// The outcome at 5 % after the correction.
    pub outcome: Outcome,
}

impl Verdict {
    /// The paper's claim that `mean` lies in `range`, such as `0.5..`, `..=0.1` or `0. ..=1.`. The
    /// ends of the range satisfy the claim.
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
        let (claim, quantity) = (claim.into(), quantity.into());
        Self { claim, quantity, mean, range, origin: Origin::Paper }
    }

    /// This claim as one of ours.
    #[must_use]
    pub fn own(self) -> Self {
        Self { origin: Origin::Own, ..self }
    }

    /// The outcome of the claim.
    pub fn outcome(&self) -> Outcome {
        self.mean.judge(self.range.clone())
    }

    /// The p-value of the claim: the smallest `α` at which the interval of level `1 − α` decides
    /// it, for or against. It is at most 0.05 exactly if the [`outcome`](Self::outcome) is decided.
    ///
    /// If the value is in the range, it is the largest of the two-sided p-values at the range's
    /// ends, or 0 if the quantity does not vary; otherwise it is the p-value at the nearer end.
    /// `None` for a single number, and where there is no interval.
    pub fn p_value(&self) -> Option<f64> {
        let (low, high) = (*self.range.start(), *self.range.end());
        if self.mean.value < low {
            return self.mean.p_value(low);
        } else if self.mean.value > high {
            return self.mean.p_value(high);
        }
        let (from, to) = self.mean.interval()?;
        let p = |end, start| match from == to || self.mean.is_bounded_by(end, start) {
            true => self.mean.p_value(end).map(|_| 0.),
            false => self.mean.p_value(end),
        };
        Some(p(low, true)?.max(p(high, false)?))
    }

    /// The outcome in words.
    pub fn words(&self) -> String {
        words(self.outcome(), self.mean.seeds)
    }
}

/// An outcome from `n` seeds in words.
fn words(outcome: Outcome, n: usize) -> String {
    match (outcome, n) {
        (Outcome::Holds, _) => "holds".into(),
        (Outcome::Fails, _) => "does not hold".into(),
        (Outcome::Undecided, 1) => "not decided by one seed".into(),
        (Outcome::Undecided, n) => format!("not decided by {n} seeds"),
    }
}

/// The outcomes after Holm's correction over the paper's claims among `verdicts`, which are those
/// of one page: if all claims are on the edge of their ranges, the probability that one or more is
/// decided is at most 5 %. `None` for our own claims, and for single numbers, which have no test. A
/// claim without an interval counts as one with a p-value of 1.
#[expect(clippy::missing_panics_doc, reason = "there is a p-value for every tested claim")]
pub fn corrected(verdicts: &[Verdict]) -> Vec<Option<Corrected>> {
    let is_tested = |v: &&Verdict| v.origin == Origin::Paper && !v.mean.is_number();
    let family: Vec<_> = verdicts.iter().filter(is_tested).collect();
    let p: Vec<_> = family.iter().map(|v| v.p_value().unwrap_or(1.)).collect();
    let mut adjusted = holm(&p).into_iter();
    let of = |verdict: &Verdict| {
        let p_value = is_tested(&verdict).then(|| adjusted.next().expect("one for each"))?;
        let outcome = if p_value <= 0.05 { verdict.outcome() } else { Outcome::Undecided };
        Some(Corrected { p_value, outcome })
    };
    verdicts.iter().map(of).collect()
}

impl Corrected {
    /// The outcome in words, with the adjusted p-value: `holds (p = 0.012)`.
    pub fn words(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Holds => "holds",
            Outcome::Fails => "does not hold",
            Outcome::Undecided => "not decided",
        };
        format!("{outcome} (p {})", p_text(self.p_value))
    }
}

/// A p-value with two digits: `= 0.012`, `= 1`, `< 0.001`.
fn p_text(p: f64) -> String {
    match p {
        ..0.001 => "< 0.001".into(),
        ..0.0995 => format!("= {p:.3}"),
        ..0.995 => format!("= {p:.2}"),
        _ => "= 1".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(values: &[f64], range: impl RangeBounds<f64>) -> Verdict {
        Verdict::new("", "", Mean::of(values), range)
    }

    /// `p ≤ 0.05` exactly if the 95 % interval decides.
    #[test]
    fn p_values_agree_with_intervals() {
        let matrix = [vec![0.9, 1.3, 1.4], vec![1.1, 1.5, 1.9], vec![0.2, 1.8, 1.1]];
        let means = [
            Mean::of(&[1., 1.2, 0.9, 1.3]),
            Mean::of(&[2., 2., 2.]),
            Mean::over_seeds_and_items(&matrix),
            Mean::over_splits(&[1., 1.4, 0.8, 1.2], 1. / 9.),
            Mean::share((0..10).map(|i| i < 8)),
            Mean::share((0..12).map(|_| true)),
        ];
        let (mut decided, mut open) = (0, 0);
        for mean in means {
            for i in 0..300 {
                let end = f64::from(i) / 100.;
                for verdict in [
                    Verdict::new("", "", mean, end..),
                    Verdict::new("", "", mean, ..=end),
                    Verdict::new("", "", mean, end..=end + 0.9),
                ] {
                    let p = verdict.p_value().unwrap();
                    let is_decided = verdict.outcome() != Outcome::Undecided;
                    assert_eq!(p <= 0.05, is_decided, "{mean:?} in {:?}: {p}", verdict.range);
                    if is_decided { decided += 1 } else { open += 1 }
                }
            }
        }
        assert!(decided > 1000 && open > 500, "{decided} {open}");
    }

    #[test]
    fn few_seeds_and_numbers_have_no_p_value() {
        assert_eq!(verdict(&[1., 2.], 0. ..).p_value(), None);
        assert_eq!(verdict(&[f64::NAN; 3], 0. ..).p_value(), None);
        assert_eq!(Verdict::new("", "", Mean::number(1., 5), 0. ..).p_value(), None);
        assert_eq!(verdict(&[1., 2.], 0. ..=9.).words(), "not decided by 2 seeds");
    }

    /// Seeds at m − 1, m, m + 1: the error is 1/√3, t = √3 m, and p = 1 − t/√(2 + t²) for two
    /// degrees of freedom: 0.0351 for m = 3.
    #[test]
    fn corrected_outcomes_are_those_of_holm() {
        let at = |m: f64| verdict(&[m - 1., m, m + 1.], 0. ..);
        let p = |m: f64| 1. - (3. * m * m / (2. + 3. * m * m)).sqrt();
        let single = corrected(&[at(3.)]);
        assert!((single[0].unwrap().p_value - p(3.)).abs() < 1e-12);
        assert_eq!(single[0].unwrap().outcome, Outcome::Holds);
        // Our claim and a number are left out; a claim without an interval counts.
        let number = Verdict::new("", "", Mean::number(1., 1), 0. ..);
        let all = [at(3.), at(-9.), at(9.).own(), verdict(&[1.], 0. ..), number, at(30.)];
        let found = corrected(&all);
        assert!(found[2].is_none() && found[4].is_none());
        let [a, b, c, d] = [0, 1, 3, 5].map(|i| found[i].unwrap());
        for (found, expected) in [(d, 4. * p(30.)), (b, 3. * p(9.)), (a, 2. * p(3.)), (c, 1.)] {
            assert!((found.p_value - expected).abs() < 1e-12, "{found:?} {expected}");
        }
        let outcomes = [a, b, c, d].map(|found| found.outcome);
        use Outcome::{Fails, Holds, Undecided};
        assert_eq!(outcomes, [Undecided, Fails, Undecided, Holds]);
        assert_eq!(all[0].outcome(), Holds);
        assert_eq!(a.words(), format!("not decided (p = {:.3})", 2. * p(3.)));
    }

    #[test]
    fn p_values_are_printed_with_two_digits() {
        let found = [1e-9, 0.0123, 0.0999, 0.5, 1.].map(p_text);
        assert_eq!(found, ["< 0.001", "= 0.012", "= 0.10", "= 0.50", "= 1"]);
    }
}
