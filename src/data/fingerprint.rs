//! Is this the data a run was trained on?
use super::{Dataset, Preprocess, Split, Standardise, Targets, Task};
use sha2::{Digest, Sha256};

impl Dataset {
    /// SHA-256 of every number in the three splits, in order. Saved with a run, so that a file that
    /// changed under it is noticed and not silently trained on.
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
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What differs in meaning from the data of a run where the numbers that a network sees do not:
    /// the names of classes and columns, and the units. `(found, expected)`.
    pub(crate) fn difference(
        &self,
        task: &Task,
        preprocess: &Preprocess,
    ) -> Option<(String, String)> {
        let own = &self.preprocess;
        if self.task != *task {
            return Some((words(&self.task), words(task)));
        }
        if own.columns != preprocess.columns || own.target != preprocess.target {
            let columns = |p: &Preprocess| {
                let columns = p.columns.as_deref().unwrap_or_default();
                let target = p.target.as_deref().unwrap_or_default();
                format!("the columns {columns:?} and the target {target:?}")
            };
            return Some((columns(own), columns(preprocess)));
        }
        if own.y != preprocess.y {
            let unit = |p: &Preprocess| {
                let (mean, std) = p.y.unwrap_or((0., 1.));
                format!("targets of mean {mean} and standard deviation {std}")
            };
            return Some((unit(own), unit(preprocess)));
        }
        if own.x != preprocess.x {
            let moments = |p: &Preprocess, column: usize| match &p.x {
                None => "features as they are".to_string(),
                Some(Standardise { mean, std, .. }) => {
                    let names = p.columns.as_ref();
                    let name = names.map_or(column.to_string(), |names| names[column].clone());
                    let (mean, std) = (mean[column], std[column]);
                    format!("the feature {name} with mean {mean} and standard deviation {std}")
                }
            };
            let column = match (&own.x, &preprocess.x) {
                (Some(a), Some(b)) => (0..a.mean.len().min(b.mean.len()))
                    .find(|&i| (a.mean[i], a.std[i]) != (b.mean[i], b.std[i]))
                    .unwrap_or(0),
                _ => 0,
            };
            return Some((moments(own, column), moments(preprocess, column)));
        }
        (own != preprocess).then(|| {
            let seen = |p: &Preprocess| format!("{:?}", p.seen);
            (seen(own), seen(preprocess))
        })
    }
}

fn words(task: &Task) -> String {
    match task {
        Task::Classification { classes } => format!("the classes {classes:?}"),
        Task::Regression => "regression".into(),
    }
}
