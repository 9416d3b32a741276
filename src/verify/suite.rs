//! Suites of properties. They are measured on implementations that must have every property, and on
//! broken copies, each of which must lack at least one.
use serde::Serialize;
use std::fmt;
use std::sync::LazyLock;

/// A measured error or statistic, and the largest value at which the property holds. NaN fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// An error, or a statistic that is large if the property does not hold.
    pub measured: f64,
    /// The largest value allowed.
    pub allowed: f64,
    /// Details for the report: the input or quantity that was measured, the numbers compared, or
    /// an error; if nothing could be measured, the reason.
    pub at: String,
    /// Whether the property could be measured.
    #[serde(skip)]
    pub judged: bool,
}

impl Measurement {
    /// The measurement of a value `measured`, which may be at most `allowed`.
    pub fn new(measured: f64, allowed: f64, at: impl Into<String>) -> Self {
        Self { measured, allowed, at: at.into(), judged: true }
    }

    /// A property that cannot be measured here, and why.
    pub fn not_judged(why: impl Into<String>) -> Self {
        Self { judged: false, ..Self::new(f64::NAN, f64::NAN, why) }
    }

    /// The measurement of a property that is true or false: 0 if it holds and 1 if not, where at
    /// most 0 is allowed.
    pub fn holds(holds: bool, at: impl Into<String>) -> Self {
        Self::new(if holds { 0. } else { 1. }, 0., at)
    }

    /// The measurement of `|found − expected|`, which may be at most `tolerance`.
    pub fn close(found: f64, expected: f64, tolerance: f64) -> Self {
        Self::new((found - expected).abs(), tolerance, format!("{found} and {expected}"))
    }

    /// The measurement with the largest ratio of measured to allowed.
    ///
    /// # Panics
    /// If there is none.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        let worse = |a: Self, b: Self| if b.badness() > a.badness() { b } else { a };
        all.into_iter().reduce(worse).expect("a measurement")
    }

    /// Whether the property holds.
    pub fn passed(&self) -> bool {
        self.judged && self.measured <= self.allowed
    }

    /// Whether the property was measured and does not hold.
    pub fn failed(&self) -> bool {
        self.judged && !self.passed()
    }

    /// Panics unless the property holds. For tests.
    ///
    /// # Panics
    /// If the property does not hold or could not be measured.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "{self:?}");
    }

    /// At most 1 for a pass; more than 1 for a failure; 1 if the property could not be measured,
    /// which no pass exceeds.
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

/// The largest error, or 0 if there is none; NaN if any error is NaN, which `f64::max` would drop.
pub(super) fn largest(errors: impl IntoIterator<Item = f64>) -> f64 {
    errors.into_iter().fold(0., |m: f64, e| if e > m || e.is_nan() { e } else { m })
}

/// The largest difference `|found − expected|`, relative to the largest `|expected|` or, if all are
/// smaller than 1, to 1.
pub(super) fn distance<'a>(
    found: impl IntoIterator<Item = &'a f64>,
    expected: impl IntoIterator<Item = &'a f64, IntoIter: Clone>,
) -> f64 {
    let expected = expected.into_iter();
    let size = expected.clone().fold(1., |size: f64, e| size.max(e.abs()));
    largest(found.into_iter().zip(expected).map(|(f, e)| (f - e).abs())) / size
}

/// A named implementation of what a suite verifies.
pub struct Instance<S> {
    /// Its name in reports.
    pub name: String,
    /// The implementation.
    pub value: S,
}

impl<S> Instance<S> {
    /// An instance with the given name and value.
    pub fn new(name: impl Into<String>, value: S) -> Self {
        Self { name: name.into(), value }
    }

    /// The instance with `f` applied to its value, under the same name.
    pub(super) fn map<R>(self, f: impl FnOnce(S) -> R) -> Instance<R> {
        Instance { name: self.name, value: f(self.value) }
    }
}

/// A property that every sound `S` has.
pub struct Property<S> {
    /// Its name in reports.
    pub name: &'static str,
    /// What holds if it passes, as a sentence or a formula.
    pub statement: &'static str,
    /// Measures it on an implementation.
    pub measure: fn(&S) -> Measurement,
}

impl<S> Property<S> {
    /// A property with the given name, statement and measure.
    pub const fn new(
        name: &'static str,
        statement: &'static str,
        measure: fn(&S) -> Measurement,
    ) -> Self {
        Self { name, statement, measure }
    }
}

/// Properties, the implementations that must have them, and broken copies of the implementations.
///
/// A property that holds on every broken copy verifies nothing, and a broken copy with every
/// property is a gap in the suite: both count as failures.
pub struct Suite<S> {
    /// Each property is measured on every instance and on every fault.
    pub properties: Vec<Property<S>>,
    /// Implementations that must have every property.
    pub instances: Vec<Instance<S>>,
    /// Broken implementations, each of which must lack at least one property.
    pub faults: Vec<Instance<S>>,
}

/// The result of a suite.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The suite's name.
    pub suite: &'static str,
    /// One check per property.
    pub checks: Vec<Check>,
    /// Names of the seeded faults, in the order of [`Check::caught`].
    pub faults: Vec<String>,
    /// For each fault, the reason why no check can notice it on this run; `None` if one can.
    pub not_judged: Vec<Option<String>>,
}

/// The result of one property.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The property's name.
    pub property: &'static str,
    /// What holds if it passes.
    pub statement: &'static str,
    /// The number of instances.
    pub instances: usize,
    /// The instance with the worst measurement.
    pub worst_on: String,
    /// The worst measurement.
    pub worst: Measurement,
    /// For each fault, whether the property noticed it.
    pub caught: Vec<bool>,
    /// The reason why the property cannot be judged on this run; `None` if it can.
    pub not_judged: Option<String>,
}

impl Check {
    /// Whether the property holds on every instance, and noticed at least one fault.
    pub fn passed(&self) -> bool {
        self.worst.passed() && self.caught.contains(&true)
    }

    /// Whether the property does not hold, or noticed no fault although it could.
    pub fn failed(&self) -> bool {
        self.not_judged.is_none() && !self.passed()
    }
}

/// A property that does not apply to a run, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Absent {
    /// The suite's name.
    pub suite: &'static str,
    /// The property's name.
    pub property: &'static str,
    /// Why it does not apply.
    pub why: String,
}

impl Outcome {
    /// Whether no check failed and no fault survived, except those that cannot be judged.
    pub fn passed(&self) -> bool {
        !self.checks.iter().any(Check::failed) && self.survivors().next().is_none()
    }

    /// The faults that no check noticed although one could.
    pub fn survivors(&self) -> impl Iterator<Item = &str> {
        let survives = |i: usize| !self.is_noticed(i) && self.not_judged[i].is_none();
        self.faults.iter().enumerate().filter(move |(i, _)| survives(*i)).map(|(_, f)| &**f)
    }

    /// The faults that no check can notice on this run, each with the reason.
    pub fn equivalent(&self) -> impl Iterator<Item = (&str, &str)> {
        let each = self.faults.iter().zip(&self.not_judged).enumerate();
        each.filter(|(i, _)| !self.is_noticed(*i))
            .filter_map(|(_, (fault, why))| Some((&**fault, why.as_deref()?)))
    }

    /// Panics unless [`passed`](Self::passed). For tests.
    ///
    /// # Panics
    /// With the report, unless it passed.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "suite {} failed\n{self}", self.suite);
    }

    fn is_noticed(&self, fault: usize) -> bool {
        self.checks.iter().any(|check| check.caught[fault])
    }
}

/// A line per property, with the worst measurement and where it was made, and one per surviving
/// fault.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let Check { property, worst, worst_on, .. } = check;
            let verdict = match &check.not_judged {
                Some(why) => {
                    writeln!(f, "{property}: not judged: {why}")?;
                    continue;
                }
                None if check.passed() => "pass",
                None if worst.passed() => "NOTICES NO FAULT",
                None => "FAIL",
            };
            let Measurement { measured, allowed, at, .. } = worst;
            let numbers = format!("{measured:.1e} of {allowed:.0e} allowed");
            writeln!(f, "{property}: {verdict}, {numbers}, on {worst_on}, at {at}")?;
        }
        self.survivors().try_for_each(|fault| writeln!(f, "no property notices: {fault}"))
    }
}

/// A suite of instances of any type.
pub trait Verify: Send + Sync {
    /// Measures every property on every fault and on every instance; `name` is the suite's name.
    fn verify(&self, name: &'static str) -> Outcome;
}

impl<S: Send + Sync> Verify for Suite<S> {
    fn verify(&self, name: &'static str) -> Outcome {
        let check = |property: &Property<S>| {
            let measure = |instance: &Instance<S>| (property.measure)(&instance.value);
            let caught = self.faults.iter().map(|fault| measure(fault).failed()).collect();
            let all = self.instances.iter().map(|instance| (instance, measure(instance)));
            let (on, worst) = all
                .reduce(|a, b| if b.1.badness() > a.1.badness() { b } else { a })
                .expect("an instance");
            Check {
                property: property.name,
                statement: property.statement,
                instances: self.instances.len(),
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

/// A suite whose only instance is a run. A fault may have no effect on a run: if the log-likelihood
/// is 0, for example, a wrong scale of the likelihood changes nothing. Such a fault (an equivalent
/// mutant) is not judged, and neither is a property whose faults are all equivalent.
pub struct RunSuite<S> {
    /// The properties, the run and its broken copies.
    pub suite: Suite<S>,
    /// The reason why a fault is equivalent to the run, if no property can resolve the difference
    /// between their results. The properties have no part in this decision, so that a property that
    /// notices nothing still fails.
    pub equivalent: fn(run: &S, fault: &S) -> Option<String>,
    /// The outcome of the engine's suite with the same properties and faults. It says which faults
    /// each property is expected to notice; if it is `None`, each is expected to notice every
    /// fault.
    pub engine: Option<&'static LazyLock<Outcome>>,
}

impl<S: Send + Sync> RunSuite<S> {
    /// For each fault, whether `property` is expected to notice it.
    fn targets(&self, property: &str, faults: &[String]) -> Vec<bool> {
        let Some(engine) = self.engine else { return vec![true; faults.len()] };
        let check = engine.checks.iter().find(|check| check.property == property);
        let noticed = |fault: &String| {
            let at = engine.faults.iter().position(|known| known == fault);
            at.zip(check).is_some_and(|(at, check)| check.caught[at])
        };
        faults.iter().map(noticed).collect()
    }
}

impl<S: Send + Sync> Verify for RunSuite<S> {
    fn verify(&self, name: &'static str) -> Outcome {
        let mut outcome = self.suite.verify(name);
        let run = &self.suite.instances[0].value;
        let equivalent = |fault: &Instance<S>| (self.equivalent)(run, &fault.value);
        outcome.not_judged = self.suite.faults.iter().map(equivalent).collect();
        for check in &mut outcome.checks {
            let is_blind = check.worst.passed() && !check.caught.contains(&true);
            if !is_blind && check.not_judged.is_none() {
                continue;
            }
            let targets = self.targets(check.property, &outcome.faults);
            let faults = outcome.not_judged.iter_mut().zip(targets).filter(|(_, target)| *target);
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

    fn numbers(values: &[f64]) -> Vec<Instance<f64>> {
        values.iter().map(|&x| Instance::new(format!("{x}"), x)).collect()
    }

    fn property(name: &'static str, measure: fn(&f64) -> Measurement) -> Property<f64> {
        Property { name, statement: "", measure }
    }

    fn small() -> Property<f64> {
        property("small", |x| Measurement::new(*x, 2., ""))
    }

    /// Only equivalent faults, and properties whose faults are all equivalent, are excused.
    #[test]
    fn only_equivalent_faults_are_excused() {
        let verify = |properties, faults: &[f64]| {
            let suite = Suite { properties, instances: numbers(&[1.]), faults: numbers(faults) };
            let equivalent =
                |run: &f64, fault: &f64| (run == fault).then(|| format!("{fault} is {run}"));
            RunSuite { suite, equivalent, engine: None }.verify("numbers")
        };
        let blind = || property("blind", |_| Measurement::new(0., 1., ""));
        let dark = || property("dark", |_| Measurement::not_judged("it is dark"));
        assert!(verify(vec![small()], &[9.]).passed());
        let equivalent = verify(vec![small()], &[9., 1.]);
        assert!(equivalent.passed() && equivalent.checks[0].passed());
        assert_eq!(equivalent.equivalent().collect::<Vec<_>>(), [("1", "1 is 1")]);
        let gap = verify(vec![small()], &[9., 1.5]);
        assert!(!gap.passed() && gap.survivors().eq(["1.5"]));
        // The only fault, 1, equals the run: neither property is judged. With the fault 9 as well,
        // which `small` notices and `blind` misses, `blind` fails.
        let all = verify(vec![small(), blind()], &[1.]);
        assert!(all.passed() && !all.checks.iter().any(|check| check.passed() || check.failed()));
        let blind = verify(vec![small(), blind()], &[9., 1.]);
        assert!(!blind.passed() && blind.checks[1].failed());
        let dark = verify(vec![dark()], &[9.]);
        assert!(dark.passed() && dark.checks[0].not_judged.as_deref() == Some("it is dark"));
        assert_eq!(dark.equivalent().collect::<Vec<_>>(), [("9", "it is dark")]);
    }

    #[test]
    fn largest_is_nan_if_any_error_is_nan() {
        assert_eq!(largest([1., 3., 2.]), 3.);
        assert_eq!(largest([]), 0.);
        assert!(largest([1., f64::NAN, 2.]).is_nan());
    }

    #[test]
    fn check_passes_if_it_holds_and_detects_a_fault() {
        let verify = |instances: &[f64], faults: &[f64]| {
            let (instances, faults) = (numbers(instances), numbers(faults));
            Suite { properties: vec![small()], instances, faults }.verify("numbers")
        };
        let good = verify(&[1., 1.5, 0.], &[9., f64::NAN]);
        assert!(good.passed() && good.checks[0].worst_on == "1.5");
        let failed = verify(&[1., f64::NAN, 7.], &[9.]);
        assert!(!failed.passed() && failed.checks[0].worst_on == "NaN");
        let blind = verify(&[1.], &[1.]);
        assert!(!blind.passed() && !blind.checks[0].passed());
        let gap = verify(&[1.], &[9., 1.]);
        assert!(gap.checks[0].passed() && !gap.passed());
        assert_eq!(gap.survivors().collect::<Vec<_>>(), ["1"]);

        good.assert();
        assert_eq!(good.to_string(), "small: pass, 1.5e0 of 2e0 allowed, on 1.5, at \n");
        assert!(failed.to_string().starts_with("small: FAIL, NaN of 2e0 allowed, on NaN"));
        let blind = blind.to_string();
        assert!(blind.contains("NOTICES NO FAULT") && blind.contains("no property notices: 1\n"));
    }
}
