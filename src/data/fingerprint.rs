//! Comparison of a data set with the one a run was trained on.
use super::dataset::{Dataset, Split, Task};
use super::files;
use super::preprocess::Preprocess;
use super::scaler::StandardScaler;
use crate::bayes::Targets;
use sha2::{Digest, Sha256};

impl Dataset {
    /// SHA-256 of all inputs and targets of the three splits, in order. A run stores it, so that a
    /// file that has changed is detected before training is resumed or a model evaluated.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for Split { x, y } in [&self.train, &self.validation, &self.test] {
            hash.update(bytemuck::cast_slice(x.as_slice().expect("row-major")));
            match y {
                Targets::Classes(y) => {
                    y.iter().for_each(|&y| hash.update((y as u64).to_le_bytes()))
                }
                Targets::Values(y) => hash.update(bytemuck::cast_slice(y)),
            }
        }
        files::hex(&hash.finalize())
    }

    /// The first property that differs from the data of a run although the network's inputs and
    /// targets may be equal: names of classes or columns, or units. Returns `(found, expected)`.
    pub(crate) fn difference(
        &self,
        task: &Task,
        preprocess: &Preprocess,
    ) -> Option<(String, String)> {
        let [found, expected] =
            [(&self.task, &self.preprocess), (task, preprocess)].map(|(t, p)| properties(t, p));
        found.into_iter().zip(expected).find(|(found, expected)| found != expected)
    }
}

/// All that distinguishes two data sets with the same numbers, the most telling first.
fn properties(task: &Task, preprocess: &Preprocess) -> Vec<String> {
    let Preprocess { x, y, columns, target, seen, .. } = preprocess;
    let task = match task {
        Task::Classification { classes } => format!("the classes {classes:?}"),
        Task::Regression => "regression".into(),
    };
    let (names, target) = (columns.as_deref().unwrap_or_default(), target.as_deref());
    let (mean, std) = y.unwrap_or((0., 1.));
    let mut all = vec![
        task,
        format!("the columns {names:?} and the target {:?}", target.unwrap_or_default()),
        format!("targets of mean {mean} and standard deviation {std}"),
    ];
    match x {
        None => all.push("features as they are".into()),
        Some(StandardScaler { mean, std, constant }) => {
            all.extend(mean.iter().zip(std).enumerate().map(|(i, (mean, std))| {
                let name = names.get(i).map_or(i.to_string(), String::clone);
                format!("the feature {name} with mean {mean} and standard deviation {std}")
            }));
            all.push(format!("the constant features {constant:?}"));
        }
    }
    all.push(seen.as_ref().map_or("no range of training values".into(), |range| {
        let unit = if range.bytes { " / 255" } else { "" };
        format!("training values{unit} from {:?} to {:?}", range.low, range.high)
    }));
    all
}
