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
    /// The classifier of a run; without one, a small classifier is trained.
    run: Option<Classifier>,
    samples: usize,
    quick: bool,
    data_dir: Option<&'a Path>,
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
    /// A page with the classifier of the run in `dir`, if there is one, and `samples` posterior
    /// samples of the classifier. If it is to be made `quick`, training takes a few seconds.
    ///
    /// # Errors
    /// If `dir` is no run folder, not a classifier of grey images by dense layers and scales, or
    /// too large for a page.
    pub fn new(
        dir: Option<&Path>,
        samples: usize,
        quick: bool,
        data_dir: Option<&'a Path>,
    ) -> Result<Self> {
        let load = |dir: &Path| {
            let trained = Trained::load(dir)?;
            classifier::check(dir, &trained.header)?;
            let data = trained.data(data_dir)?;
            Classifier::new(dir, &trained.model, &trained.header.config, &data, samples)
        };
        Ok(Self { run: dir.map(load).transpose()?, samples, quick, data_dir })
    }

    /// Train what the page shows, and return the page as HTML. `step` is called [`STEPS`] times.
    ///
    /// # Errors
    /// If data are missing, training diverges, or the page would be too large.
    pub fn page(self, step: &(dyn Fn() + Sync)) -> Result<String> {
        let Self { run, samples, quick, data_dir } = self;
        let is_run = run.is_some();
        let classifier = match run {
            Some(classifier) => classifier,
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
        let page = page::page(&data, is_run);
        if page.len() > MOST {
            let (found, expected) = (format!("{} bytes", page.len()), format!("at most {MOST}"));
            return Err(Error::invalid("page", found, expected, "Use fewer --samples."));
        }
        Ok(page)
    }
}
