//! Networks for cross-validation: each is trained as a run was, without one part of its data.
use crate::bayes::Targets;
use crate::data::{Dataset, Split};
use crate::error::Result;
use crate::run::{Progress, Run, Trained};
use ndarray::{Axis, concatenate};
use std::path::Path;

/// The number of folds.
pub const FOLDS: usize = 5;

/// A fold: the network that was trained without it, and its data, whose test part is the fold.
pub struct Fold {
    /// The network.
    pub trained: Trained,
    /// All examples of the run, divided anew.
    pub data: Dataset,
}

/// Train a network without fold `k`, from 0, in a folder of the run `dir`; a network that has been
/// trained is loaded. The folds divide all of the run's examples, and the others train and validate
/// the network in the proportion of the run. Inputs are transformed as in the run.
///
/// # Errors
/// As [`Run::complete`].
pub fn fold(
    (dir, trained): (&Path, &Trained),
    data: &Dataset,
    k: usize,
    progress: impl FnMut(Progress<'_>),
) -> Result<Fold> {
    let data = divided(data, k);
    let dir = dir.join("folds").join((k + 1).to_string());
    let (_, trained) = Run::complete(&dir, trained.header.config.clone(), data.clone(), progress)?;
    Ok(Fold { trained, data })
}

/// The examples of `data` with the fold `k` as the test part.
fn divided(data: &Dataset, k: usize) -> Dataset {
    let all = joined([&data.train, &data.validation, &data.test]);
    let (fold, rest): (Vec<_>, Vec<_>) = (0..all.len()).partition(|i| i % FOLDS == k);
    let of_run = data.train.len() + data.validation.len();
    let every = of_run.div_ceil(data.validation.len().max(1)).max(2);
    let part = |is_in: &dyn Fn(usize) -> bool| -> Vec<_> {
        rest.iter().enumerate().filter(|(j, _)| is_in(*j)).map(|(_, &i)| i).collect()
    };
    let split = |rows: &[usize]| {
        let (x, y) = all.batch(rows);
        Split { x, y }
    };
    Dataset {
        train: split(&part(&|j| j % every != 0)),
        validation: split(&part(&|j| j % every == 0)),
        test: split(&fold),
        notes: vec![],
        ..data.clone()
    }
}

fn joined(parts: [&Split; 3]) -> Split {
    let x = concatenate(Axis(0), &parts.map(|part| part.x.view())).expect("the same inputs");
    let y = match &parts[0].y {
        Targets::Classes(_) => {
            Targets::Classes(parts.iter().flat_map(|part| part.y.classes().to_vec()).collect())
        }
        Targets::Values(_) => {
            let values = parts.iter().flat_map(|part| match &part.y {
                Targets::Values(y) => y.clone(),
                Targets::Classes(_) => unreachable!("targets of one task"),
            });
            Targets::Values(values.collect())
        }
    };
    Split { x, y }
}
