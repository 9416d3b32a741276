//! How long a run will take.
use crate::error::Result;
use crate::predict::evaluate::validate;
use crate::run::resume::Run;
use crate::run::train::Trainer;
use std::time::Instant;

impl Run {
    /// The expected duration of the remaining epochs in seconds, measured on a copy of the model by
    /// a few steps and a small validation.
    ///
    /// # Errors
    /// If these steps diverge.
    pub fn estimate(&self) -> Result<f64> {
        let (data, settings) = (&self.data, &self.config.train);
        let mut copy = Trainer::new(&self.config, data.shape(), &data.task, data.train.len());
        let rows: Vec<_> = (0..data.train.len().min(settings.batch)).collect();
        let mut step = || {
            let (x, y) = data.train.batch(&rows);
            copy.step(x, &y)
        };
        (0..3).try_for_each(|_| step().map(drop))?;
        let start = Instant::now();
        (0..5).try_for_each(|_| step().map(drop))?;
        let step = start.elapsed().as_secs_f64() / 5.;
        let n = data.validation.len().min(500);
        let part = data.validation.subset(n);
        let start = Instant::now();
        let samples = self.config.samples(settings.validation_samples);
        validate(&copy.model, &part, &data.preprocess, samples, (0, 0));
        let validation = start.elapsed().as_secs_f64() * data.validation.len() as f64 / n as f64;
        let epochs = (settings.epochs - self.epoch()) as f64;
        let training = self.trainer.steps_per_epoch() as f64 * step;
        Ok(epochs * (training + validation / settings.validate_every as f64))
    }
}
