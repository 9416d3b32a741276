//! More epochs for a run.
use crate::error::{Error, Result};
use crate::nn::optim::Schedule;
use crate::run::lock::Lock;
use crate::run::trained::read_config;
use crate::run::{Method, atomic};
use std::path::Path;

/// Set the number of epochs of the run in `dir`, which may be finished, to a larger one, and train
/// all of them: `train.patience` becomes 0. The result is a note for the user, if the run will
/// differ from one that had `epochs` epochs from the start.
///
/// # Errors
/// If the folder is not that of a run or is in use, it has as many epochs already, or its method
/// depends on the number of epochs.
pub fn extend(dir: &Path, epochs: usize) -> Result<Option<String>> {
    let mut config = read_config(dir)?;
    let _lock = Lock::take(dir)?;
    let (method, train) = (Method::from(&config), &config.train);
    let what = format!("--epochs for {}", dir.display());
    if method.needs_all_epochs() {
        let expected = format!("{}, the epochs of {}", train.epochs, config.method);
        let advice = "This method depends on the number of epochs: train again.";
        return Err(Error::invalid(what, epochs, expected, advice));
    }
    if epochs <= train.epochs {
        let expected = format!("more than its {}", train.epochs);
        return Err(Error::invalid(what, epochs, expected, "Leave it out to finish the run."));
    }
    let reason = if train.schedule != Schedule::Constant {
        Some("the learning rate, which has decayed, now decays over all epochs")
    } else if !train.epochs.is_multiple_of(train.validate_every) {
        Some("it was also validated after what was its last epoch")
    } else {
        (train.patience > 0).then_some("it no longer ends early")
    };
    config.train.epochs = epochs;
    config.train.patience = 0;
    atomic::write(&dir.join("config.toml"), config.to_toml().as_bytes())?;
    Ok(reason.map(|reason| {
        format!("the run differs from one of {epochs} epochs from the start: {reason}")
    }))
}
