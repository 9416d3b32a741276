//! Properties, things that must have them, and broken things that must not.
use serde::Serialize;

/// What was measured of a property, and how much of it is allowed. What is not a number is too much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// An error, or a statistic that is large if the property does not hold.
    pub measured: f64,
    /// The most that it may be.
    pub allowed: f64,
    /// Where it was measured, for those who have to find the fault; or why it cannot be judged.
    pub at: String,
    /// Whether it was measured.
    #[serde(skip)]
    pub judged: bool,
}

impl Finding {
    /// Measured and allowed.
    pub fn new(measured: f64, allowed: f64, at: impl Into<String>) -> Self {
        Self { measured, allowed, at: at.into(), judged: true }
    }

    /// A property that cannot be measured here, and why.
    pub fn not_judged(why: impl Into<String>) -> Self {
        Self { judged: false, ..Self::new(f64::NAN, f64::NAN, why) }
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
        self.judged && self.measured <= self.allowed
    }

    /// Whether it was measured and does not hold.
    pub fn failed(&self) -> bool {
        self.judged && !self.passed()
    }

    /// A pass is at most 1; what cannot be judged is worse, and a failure still worse.
    fn badness(&self) -> f64 {
        match (self.passed(), self.allowed > 0.) {
            _ if !self.judged => 1.,
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
    /// Why a fault cannot be noticed on this run, where that is so.
    pub not_judged: Vec<Option<String>>,
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
    /// Why it says nothing about this run, if that is so.
    pub not_judged: Option<String>,
}

impl Checked {
    /// Whether it holds of every subject, and noticed a fault.
    pub fn passed(&self) -> bool {
        self.worst.passed() && self.caught.contains(&true)
    }

    /// Whether it does not hold, or noticed no fault although it could.
    pub fn failed(&self) -> bool {
        self.not_judged.is_none() && !self.passed()
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
    /// Whether every check passed and no fault survived, but for what cannot be judged.
    pub fn passed(&self) -> bool {
        !self.checks.iter().any(Checked::failed) && self.survivors().next().is_none()
    }

    /// Faults that no check noticed and that could have been.
    pub fn survivors(&self) -> impl Iterator<Item = &str> {
        let survives = |i: usize| !self.is_noticed(i) && self.not_judged[i].is_none();
        self.faults.iter().enumerate().filter(move |(i, _)| survives(*i)).map(|(_, f)| &**f)
    }

    /// Faults that no check noticed since none could, and why.
    pub fn without_effect(&self) -> impl Iterator<Item = (&str, &str)> {
        let each = self.faults.iter().zip(&self.not_judged).enumerate();
        each.filter(|(i, _)| !self.is_noticed(*i))
            .filter_map(|(_, (fault, why))| Some((&**fault, why.as_deref()?)))
    }

    fn is_noticed(&self, fault: usize) -> bool {
        self.checks.iter().any(|check| check.caught[fault])
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
            let caught = self.faults.iter().map(|f| (property.measure)(&f.it).failed()).collect();
            let found = self.subjects.iter().map(|s| (s, (property.measure)(&s.it)));
            let (on, worst) = found
                .reduce(|a, b| if b.1.badness() > a.1.badness() { b } else { a })
                .expect("a subject");
            Checked {
                property: property.name,
                proves: property.proves,
                subjects: self.subjects.len(),
                worst_on: on.name.clone(),
                not_judged: (!worst.judged).then(|| worst.at.clone()),
                worst,
                caught,
            }
        };
        Outcome {
            suite: name,
            checks: self.properties.iter().map(check).collect(),
            faults: self.faults.iter().map(|fault| fault.name.clone()).collect(),
            not_judged: vec![None; self.faults.len()],
        }
    }
}

/// A suite of a run, on which a fault may change nothing: a likelihood of 0 has no scale. Such a
/// fault is not judged, and neither is a property if all faults it is for are such.
pub struct OfRun<S> {
    /// With one subject, the run.
    pub suite: Suite<S>,
    /// Why a fault computes what the run computes, if it does, to within less than any property
    /// tells. The properties play no part in that: one that is blind is still found out.
    pub same: fn(sound: &S, broken: &S) -> Option<String>,
    /// The engine's outcome with the same properties and faults, to see which faults a property is
    /// for; all of them if there is none.
    pub engine: Option<fn() -> Outcome>,
}

impl<S: Send + Sync> OfRun<S> {
    /// Which faults `property` is for.
    fn aims(&self, property: &str, faults: &[String]) -> Vec<bool> {
        let Some(engine) = self.engine else { return vec![true; faults.len()] };
        let engine = engine();
        let check = engine.checks.iter().find(|check| check.property == property);
        let noticed = |fault: &String| {
            let at = engine.faults.iter().position(|known| known == fault);
            at.zip(check).is_some_and(|(at, check)| check.caught[at])
        };
        faults.iter().map(noticed).collect()
    }
}

impl<S: Send + Sync> Verify for OfRun<S> {
    fn verify(&self, name: &'static str) -> Outcome {
        let mut outcome = self.suite.verify(name);
        let sound = &self.suite.subjects[0].it;
        let same = |fault: &Subject<S>| (self.same)(sound, &fault.it);
        outcome.not_judged = self.suite.faults.iter().map(same).collect();
        for check in &mut outcome.checks {
            let is_blind = check.worst.passed() && !check.caught.contains(&true);
            if !is_blind && check.not_judged.is_none() {
                continue;
            }
            let aims = self.aims(check.property, &outcome.faults);
            let faults = outcome.not_judged.iter_mut().zip(aims).filter(|(_, aim)| *aim);
            if let Some(why) = &check.not_judged {
                faults.for_each(|(fault, _)| *fault = fault.take().or_else(|| Some(why.clone())));
            } else {
                let reasons: Option<Vec<_>> = faults.map(|(why, _)| why.clone()).collect();
                check.not_judged = reasons.and_then(|reasons| reasons.into_iter().next());
            }
        }
        outcome
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

    /// Only faults that change nothing are excused, and properties all of whose faults are.
    #[test]
    fn what_cannot_be_judged_is_said_and_nothing_else_is_excused() {
        let numbers = |faults: &[f64], least: f64| {
            let named = |it: f64| Subject { name: format!("{it}"), it };
            let property = |name, measure| Property { name, proves: "", measure };
            let small = property("small", |x: &f64| Finding::new(*x, 2., ""));
            let blind = property("blind", |_: &f64| Finding::new(0., 1., ""));
            let dark = property("dark", |_: &f64| Finding::not_judged("it is dark"));
            let properties = match least {
                0. => vec![small],
                1. => vec![small, blind],
                _ => vec![dark],
            };
            let suite = Suite {
                properties,
                subjects: vec![named(1.)],
                faults: faults.iter().map(|&x| named(x)).collect(),
            };
            let same = |sound: &f64, broken: &f64| {
                (sound == broken).then(|| format!("{broken} is {sound}"))
            };
            OfRun { suite, same, engine: None }.verify("numbers")
        };
        assert!(numbers(&[9.], 0.).passed());
        let idle = numbers(&[9., 1.], 0.);
        assert!(idle.passed() && idle.checks[0].passed());
        assert_eq!(idle.without_effect().collect::<Vec<_>>(), [("1", "1 is 1")]);
        let hole = numbers(&[9., 1.5], 0.);
        assert!(!hole.passed() && hole.survivors().eq(["1.5"]));
        // Nothing to notice, and something that the blind property did not notice.
        let all = numbers(&[1.], 1.);
        assert!(all.passed() && !all.checks.iter().any(|check| check.passed() || check.failed()));
        let blind = numbers(&[9., 1.], 1.);
        assert!(!blind.passed() && blind.checks[1].failed());
        let dark = numbers(&[9.], 2.);
        assert!(dark.passed() && dark.checks[0].not_judged.as_deref() == Some("it is dark"));
        assert_eq!(dark.without_effect().collect::<Vec<_>>(), [("9", "it is dark")]);
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
