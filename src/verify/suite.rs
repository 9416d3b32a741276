//! Properties, things that must have them, and broken things that must not.
use serde::Serialize;

/// What was measured of a property, and how much of it is allowed. What is not a number is too much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// An error, or a statistic that is large if the property does not hold.
    pub measured: f64,
    /// The most that it may be.
    pub allowed: f64,
    /// Where it was measured, for those who have to find the fault.
    pub at: String,
}

impl Finding {
    /// Measured and allowed.
    pub fn new(measured: f64, allowed: f64, at: impl Into<String>) -> Self {
        Self { measured, allowed, at: at.into() }
    }

    /// A property that holds or does not.
    pub fn of(holds: bool, at: impl Into<String>) -> Self {
        Self::new(if holds { 0. } else { 1. }, 0., at)
    }

    /// The worst of some, as a share of what is allowed.
    ///
    /// # Panics
    /// If there are none.
    pub fn worst(findings: impl IntoIterator<Item = Self>) -> Self {
        let worse = |a: Self, b: Self| if b.badness() > a.badness() { b } else { a };
        findings.into_iter().reduce(worse).expect("a finding")
    }

    /// Whether the property holds.
    pub fn passed(&self) -> bool {
        self.measured <= self.allowed
    }

    /// A pass is at most 1.
    fn badness(&self) -> f64 {
        match (self.passed(), self.allowed > 0.) {
            (true, false) => 0.,
            (true, true) => self.measured / self.allowed,
            (false, true) if self.measured.is_finite() => self.measured / self.allowed,
            (false, _) => f64::INFINITY,
        }
    }
}

/// The largest of some errors, or 0; not a number if one of them is none, which `f64::max` would lose.
pub(super) fn largest(errors: impl IntoIterator<Item = f64>) -> f64 {
    errors.into_iter().fold(0., |m: f64, e| if e > m || e.is_nan() { e } else { m })
}

/// Something to be verified, by name.
pub struct Subject<S> {
    /// What it is called.
    pub name: String,
    /// It.
    pub it: S,
}

/// A property that every sound `S` has.
pub struct Property<S> {
    /// What it is called.
    pub name: &'static str,
    /// What is proved by it.
    pub proves: &'static str,
    /// Measure it.
    pub measure: fn(&S) -> Finding,
}

/// Properties, what has to have them, and broken twins of it. A property that holds of every broken twin proves
/// nothing, and a broken twin that has every property is a hole in the verifier: both count as failures.
pub struct Suite<S> {
    /// Each is measured on every subject.
    pub properties: Vec<Property<S>>,
    /// What must have them.
    pub subjects: Vec<Subject<S>>,
    /// What must lack at least one.
    pub faults: Vec<Subject<S>>,
}

/// What came of a suite.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The suite.
    pub suite: &'static str,
    /// A row a property.
    pub checks: Vec<Checked>,
    /// The faults that were seeded, in the order of [`Checked::caught`].
    pub faults: Vec<String>,
}

/// What came of one property.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The property.
    pub property: &'static str,
    /// What it proves.
    pub proves: &'static str,
    /// On how many subjects.
    pub subjects: usize,
    /// The subject on which it came nearest to failing, or failed.
    pub worst_on: String,
    /// What was found there.
    pub worst: Finding,
    /// Which faults it noticed.
    pub caught: Vec<bool>,
}

impl Checked {
    /// Whether it holds of every subject, and noticed a fault.
    pub fn passed(&self) -> bool {
        self.worst.passed() && self.caught.contains(&true)
    }
}

/// A check that does not apply, said rather than left out.
#[derive(Clone, Debug, Serialize)]
pub struct Absent {
    /// The suite.
    pub suite: &'static str,
    /// The property.
    pub property: &'static str,
    /// Why it does not apply.
    pub why: String,
}

impl Outcome {
    /// Whether every check passed and no fault survived.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(Checked::passed) && self.survivors().next().is_none()
    }

    /// Faults that no check noticed.
    pub fn survivors(&self) -> impl Iterator<Item = &str> {
        let noticed = |i: usize| self.checks.iter().any(|check| check.caught[i]);
        self.faults.iter().enumerate().filter(move |(i, _)| !noticed(*i)).map(|(_, f)| &**f)
    }
}

/// A suite of any subject.
pub trait Verify: Send + Sync {
    /// First the faults, which it must notice; then what must be sound. `name` is what the suite is called.
    fn verify(&self, name: &'static str) -> Outcome;
}

impl<S: Send + Sync> Verify for Suite<S> {
    fn verify(&self, name: &'static str) -> Outcome {
        let check = |property: &Property<S>| {
            let caught = self.faults.iter().map(|f| !(property.measure)(&f.it).passed()).collect();
            let found = self.subjects.iter().map(|s| (s, (property.measure)(&s.it)));
            let (on, worst) = found
                .reduce(|a, b| if b.1.badness() > a.1.badness() { b } else { a })
                .expect("a subject");
            Checked {
                property: property.name,
                proves: property.proves,
                subjects: self.subjects.len(),
                worst_on: on.name.clone(),
                worst,
                caught,
            }
        };
        Outcome {
            suite: name,
            checks: self.properties.iter().map(check).collect(),
            faults: self.faults.iter().map(|fault| fault.name.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(subjects: &[f64], faults: &[f64]) -> Outcome {
        let named = |of: &[f64]| {
            of.iter().map(|&it| Subject { name: format!("{it}"), it }).collect::<Vec<_>>()
        };
        let small = Property {
            name: "small",
            proves: "it is at most 2",
            measure: |x: &f64| Finding::new(*x, 2., ""),
        };
        Suite { properties: vec![small], subjects: named(subjects), faults: named(faults) }
            .verify("numbers")
    }

    #[test]
    fn the_largest_error_may_be_no_number() {
        assert_eq!(largest([1., 3., 2.]), 3.);
        assert_eq!(largest([]), 0.);
        assert!(largest([1., f64::NAN, 2.]).is_nan());
    }

    #[test]
    fn a_check_passes_that_holds_and_has_noticed_a_fault() {
        let good = suite(&[1., 1.5, 0.], &[9., f64::NAN]);
        assert!(good.passed() && good.checks[0].worst_on == "1.5");
        let failed = suite(&[1., f64::NAN, 7.], &[9.]);
        assert!(!failed.passed() && failed.checks[0].worst_on == "NaN");
        let blind = suite(&[1.], &[1.]);
        assert!(!blind.passed() && !blind.checks[0].passed());
        let hole = suite(&[1.], &[9., 1.]);
        assert!(hole.checks[0].passed() && !hole.passed());
        assert_eq!(hole.survivors().collect::<Vec<_>>(), ["1"]);
    }
}
