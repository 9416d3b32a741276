//! Operations: the rules of the tape against differences.
use super::faults;
use super::suite::{Finding, Property, Subject, Suite};
use crate::autodiff::gradcheck::{Case, Report, TOLERANCE, Verdict, operations};

/// All of it.
pub fn suite() -> Suite<Case> {
    Suite {
        properties: vec![Property {
            name: "differences",
            proves: "each rule fits its value along random directions, with a random cotangent and a second consumer",
            measure: |case| finding(&case.check()),
        }],
        subjects: operations().map(|case| Subject { name: case.name.into(), it: *case }).collect(),
        faults: faults::operations(),
    }
}

/// A gradient check, whose worst input counts.
pub(super) fn finding(report: &Report) -> Finding {
    Finding::worst(report.0.iter().enumerate().map(|(k, verdict)| {
        let at = format!("input {k}");
        match *verdict {
            Verdict::Pass { error } | Verdict::Mismatch { error, .. } => {
                Finding::new(error, TOLERANCE, at)
            }
            Verdict::NotCheckable { .. } => Finding::new(f64::NAN, TOLERANCE, at),
        }
    }))
}
