//! What was found at one net.
use super::family::Family;
use super::fits::{Found, Study, studies};
use super::source::{Net, Settings, Source, net};
use super::truth::{Truth, truth};
use crate::error::Result;
use crate::experiments::Lab;
use crate::stats::Estimate;

/// What was found at the directions and biases of one net.
pub(super) struct At {
    pub net: Net,
    pub truth: Truth,
    pub studies: Vec<Study>,
}

impl At {
    pub fn new(
        lab: &Lab<'_>,
        settings: &Settings,
        source: &'static Source,
        is_first: bool,
        families: &'static [Family],
    ) -> Result<Self> {
        let net = net(lab, settings, source, is_first)?;
        let truth = truth(lab, settings, &net)?;
        let studies = studies(lab, settings, &net, &truth, families)?;
        Ok(Self { net, truth, studies })
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

/// The recipes, and the net at which they are compared.
pub(super) type Recipes<'a> = (&'a At, Vec<Study>);
