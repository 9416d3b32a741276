//! What was found at one net.
use super::exact::Lazy;
use super::family::Family;
use super::fits::{Found, Study, studies};
use super::source::Source;
use super::truth::Truth;
use crate::error::Result;
use crate::experiments::Lab;
use crate::stats::Estimate;

/// What was found at the directions and biases of one net.
pub(super) struct At {
    pub source: &'static Source,
    pub truth: Truth,
    pub studies: Vec<Study>,
}

impl At {
    pub fn new(lab: &Lab<'_>, lazy: &Lazy<'_>, families: &'static [Family]) -> Result<Self> {
        let source = lazy.source;
        let truth = lab.cell(&source.cell(), || Ok(Truth::new(lazy.get()?)))?;
        Ok(Self { source, truth, studies: studies(lab, lazy, families)? })
    }

    /// The study of a family, if there is one.
    pub fn study(&self, key: &str) -> Option<&Study> {
        self.studies.iter().find(|study| study.family.key == key)
    }

    /// The best fit of a family, if there is one and not all diverged.
    pub fn of(&self, key: &str) -> Option<&Found> {
        self.study(key)?.found()
    }

    /// The best fit of each family; those that diverged are left out.
    pub fn found(&self) -> impl Iterator<Item = (&'static Family, &Found)> {
        self.studies.iter().filter_map(|study| Some((study.family, study.found()?)))
    }

    /// `ln p(D)` by bridge sampling from the posterior that is closest to that of NUTS.
    pub fn second_bridge(&self) -> Option<(&Family, Estimate)> {
        let each = self.found().filter_map(|(family, found)| Some((family, found.above?, found)));
        let closest = each.min_by(|(_, a, _), (_, b, _)| a.value.total_cmp(&b.value));
        closest.and_then(|(family, _, found)| Some((family, found.bridge?)))
    }

    /// `ln p(D)`: by bridge sampling from a Gaussian.
    pub fn evidence(&self) -> Estimate {
        self.truth.bridge
    }

    /// `ln p(D) − ELBO`, with the error of the ELBO. That of the evidence is common to all.
    pub fn gap(&self, found: &Found) -> Estimate {
        Estimate { value: self.evidence().value - found.elbo.value, error: found.elbo.error }
    }
}
