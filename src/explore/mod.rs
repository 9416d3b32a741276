//! The interactive page of `bhn explore`: a small regression whose flows and network the browser
//! evaluates, the tape of a training step, and a classifier to draw for.
//!
//! The page is one file: it loads nothing. Rust trains, samples and exports; the scripts of `js/`
//! mirror the code of `flows/`, `primary/` and `predict/`, and `js/check.js` compares their numbers
//! with those computed here.
mod classifier;
mod export;
mod ops;
mod page;
mod tape;
mod toy;

use crate::data::{Options, load};
use crate::error::{Error, Result};
use crate::run::Trained;
use classifier::Classifier;
use rayon::prelude::*;
use serde::Serialize;
use std::path::Path;

/// The maximum size of a page in bytes.
const MOST: usize = 3_000_000;

/// Digits on which the small classifier is trained.
const DIGITS: usize = 10_000;

/// What the page is made from.
pub struct Explore<'a> {
    /// A run folder and its model; without one, a small classifier is trained.
    pub run: Option<(&'a Path, Trained)>,
    /// The number of posterior samples of the classifier.
    pub samples: usize,
    /// Whether to train for a few seconds only.
    pub quick: bool,
    /// The folder of data sets.
    pub data_dir: Option<&'a Path>,
}

/// The data of the page.
#[derive(Serialize)]
struct Data {
    regressions: Vec<toy::Fitted>,
    tapes: [tape::Step; 2],
    classifier: Classifier,
}

/// The number of calls of `step` by [`Explore::page`].
pub const STEPS: u64 = 4 * toy::SETS.len() as u64 + 1;

impl<'a> Explore<'a> {
    /// Load the run in `dir`, if there is one, and check that its network can be drawn for.
    ///
    /// # Errors
    /// If it is no run folder, or not a classifier of grey images by dense layers and scales.
    pub fn new(
        dir: Option<&'a Path>,
        samples: usize,
        quick: bool,
        data_dir: Option<&'a Path>,
    ) -> Result<Self> {
        let load = |dir: &'a Path| {
            let trained = Trained::load(dir)?;
            classifier::check(dir, &trained.header)?;
            Ok::<_, Error>((dir, trained))
        };
        Ok(Self { run: dir.map(load).transpose()?, samples, quick, data_dir })
    }

    /// Train what the page shows, and return the page as HTML. `step` is called [`STEPS`] times.
    ///
    /// # Errors
    /// If data are missing, training diverges, or the page would be too large.
    pub fn page(&self, step: &(dyn Fn() + Sync)) -> Result<String> {
        let &Self { samples, quick, data_dir, .. } = self;
        let classifier = match &self.run {
            Some((dir, trained)) => {
                let (data, config) = (trained.data(data_dir)?, &trained.header.config);
                Classifier::new(dir, &trained.model, config, &data, samples)?
            }
            None => {
                let options = Options { train_subset: Some(DIGITS), ..Options::default() };
                Classifier::small(load("mnist", &options, data_dir)?, quick, samples)?
            }
        };
        step();
        let settings = toy::Settings::new(quick);
        let sets = toy::SETS.par_iter().enumerate();
        let regressions = sets.map(|(i, set)| set.fit(i as u64, &settings, step));
        let regressions = regressions.collect::<Result<Vec<_>>>()?;
        let few = toy::SETS[3].examples(3);
        let tapes = [0, 2].map(|couplings| tape::step(couplings, &few));
        let data = page::json(&Data { regressions, tapes, classifier });
        let page = page::page(&data, self.run.is_some());
        if page.len() > MOST {
            let (found, expected) = (format!("{} bytes", page.len()), format!("at most {MOST}"));
            return Err(Error::invalid("page", found, expected, "Use fewer --samples."));
        }
        Ok(page)
    }
}
