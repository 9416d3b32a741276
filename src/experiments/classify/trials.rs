//! Batch size and learning rate of each method, chosen on validation by short trials.
use super::protocol::Variant;
use crate::error::Result;
use crate::experiments::{Cell, Lab};
use crate::predict::evaluate::Scores;
use crate::report::experiment::Table;
use crate::run::config::Config;
use crate::run::load_data;
use serde::{Deserialize, Serialize};

/// Batch sizes and initial learning rates that are tried for every method: ours, and those of the
/// authors' two scripts.
const CANDIDATES: [(usize, f64); 3] = [(64, 1e-3), (20, 1e-3), (32, 1e-4)];

/// The seed of all trials, which is not among those of an experiment.
const SEED: u64 = 1000;

/// Result of one trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trial {
    /// The best validation accuracy.
    accuracy: f64,
    /// Its epoch.
    epoch: usize,
}

/// `variants` with the batch size and the learning rate of the best validation accuracy in trials
/// of `epochs` epochs, and the table of all trials. The learning rate decays over a trial as over a
/// run. Of equal accuracies the first is chosen.
///
/// # Errors
/// As [`Lab::cells`], or if the data cannot be loaded.
pub(super) fn choose(
    lab: &Lab<'_>,
    mut variants: Vec<Cell<Variant>>,
    epochs: usize,
) -> Result<(Vec<Cell<Variant>>, Table)> {
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    let trial = |row: &Cell<Variant>, (batch, rate): (usize, f64)| {
        let mut config = with(&row.input.config, (batch, rate));
        (config.seed, config.train.epochs) = (SEED, epochs);
        let key = format!("trial-{}-{batch}-{rate}", row.key);
        let share = epochs as f64 / row.input.config.train.epochs as f64;
        Cell { key: key.clone(), cost: row.cost * share, input: (key, config) }
    };
    let trials = variants.iter().flat_map(|row| CANDIDATES.map(|of| trial(row, of)));
    let found = lab.cells(&trials.collect::<Vec<_>>(), |(key, config)| {
        let (run, _) = lab.run(key, config, data.clone())?;
        let best = run.best().map(|(epoch, Scores { accuracy, .. })| (*epoch, *accuracy));
        let (epoch, accuracy) = best.expect("a validation");
        Ok(Trial { accuracy: accuracy.expect("a classification"), epoch })
    })?;
    let header = ["method", "batch", "learning rate", "best validation", "at epoch", "chosen"];
    let mut table = Table::new("trials", CAPTION, header);
    for (row, trials) in variants.iter_mut().zip(found.chunks(CANDIDATES.len())) {
        let chosen = best(trials);
        row.input.config = with(&row.input.config, CANDIDATES[chosen]);
        for (i, (Trial { accuracy, epoch }, (batch, rate))) in
            trials.iter().zip(CANDIDATES).enumerate()
        {
            let accuracy = format!("{:.2}", 100. * accuracy);
            let is_chosen = if i == chosen { "yes" } else { "" };
            table.row(&[&row.input.name, &batch, &rate, &accuracy, epoch, &is_chosen]);
        }
    }
    Ok((variants, table))
}

const CAPTION: &str = "Trials. Best validation accuracy in per cent of each batch size and initial \
    learning rate; one seed, which no other run has.";

fn with(config: &Config, (batch, rate): (usize, f64)) -> Config {
    let mut config = config.clone();
    (config.train.batch, config.train.learning_rate) = (batch, rate);
    config
}

/// The index of the highest accuracy, the first of equal ones.
fn best(trials: &[Trial]) -> usize {
    let better = |best: usize, i: usize| {
        if trials[i].accuracy > trials[best].accuracy { i } else { best }
    };
    (0..trials.len()).reduce(better).expect("a trial")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_the_highest_accuracies_is_chosen() {
        let trials = |accuracies: [f64; 3]| accuracies.map(|accuracy| Trial { accuracy, epoch: 1 });
        assert_eq!(best(&trials([0.5, 0.7, 0.6])), 1);
        assert_eq!(best(&trials([0.7, 0.5, 0.7])), 0);
        assert_eq!(best(&trials([0.1, 0.5, 0.7])), 2);
    }

    /// A chosen setting changes batch and learning rate alone.
    #[test]
    fn setting_changes_batch_and_rate_alone() {
        let base = Config::default();
        let mut found = with(&base, (20, 1e-4));
        assert_eq!((found.train.batch, found.train.learning_rate), (20, 1e-4));
        (found.train.batch, found.train.learning_rate) =
            (base.train.batch, base.train.learning_rate);
        assert_eq!(found, base);
    }
}
