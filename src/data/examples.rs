//! The division of a file's examples into those for training, validation and test.
use super::dataset::{Dataset, Options, Split, Task};
use super::preprocess::Preprocess;
use super::scaler;
use super::target::Chosen;
use crate::bayes::Targets;
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use std::ops::Range;

/// All examples of a file, before they are split.
pub(super) struct Examples<'a> {
    /// Name of the file in messages.
    pub what: &'a str,
    /// Name of the data set.
    pub name: String,
    /// `[C, H, W]` if each row of `x` is an image.
    pub image: Option<[usize; 3]>,
    /// Network inputs `[N, inputs]`.
    pub x: Array2<f32>,
    /// Task and targets.
    pub chosen: Chosen,
    /// Number of rows left out for missing values.
    pub dropped: usize,
    /// Other notes for the user.
    pub notes: Vec<String>,
    /// The transformation that produced `x`. `split` adds the standardisation of the targets.
    pub preprocess: Preprocess,
}

impl Examples<'_> {
    /// Selects the rows `parts` of training, validation and test, and standardises the targets of a
    /// regression by the mean and standard deviation of the training targets.
    ///
    /// # Errors
    /// If a standardised target is not finite in single precision.
    pub fn split(self, parts: &[Vec<usize>; 3]) -> Result<Dataset> {
        let Self { what, name, image, x, chosen: Chosen { task, y, guess }, .. } = self;
        let (dropped, notes) = (self.dropped, self.notes);
        let moments = || scaler::moments(parts[0].iter().map(|&row| y[row]));
        let scale = (task == Task::Regression).then(moments);
        let part = |rows: &Vec<usize>| -> Result<Split> {
            Ok(Split { x: x.select(Axis(0), rows), y: targets(what, &y, rows, scale)? })
        };
        let (train, validation, test) = (part(&parts[0])?, part(&parts[1])?, part(&parts[2])?);
        let preprocess = Preprocess { inputs: x.ncols(), y: scale, ..self.preprocess };
        let dropped = (dropped > 0).then(|| format!("{dropped} rows with missing values left out"));
        let columns = preprocess.columns.as_deref();
        let ignored = preprocess.x.as_ref().and_then(|scaler| scaler.ignored(columns));
        let notes = notes.into_iter().chain(dropped).chain(guess).chain(ignored).collect();
        Ok(Dataset { name, task, image, preprocess, notes, train, validation, test })
    }
}

/// The targets of the given rows: values standardised by `scale = (mean, std)`, or classes if there
/// is no scale.
fn targets(what: &str, y: &[f64], rows: &[usize], scale: Option<(f64, f64)>) -> Result<Targets> {
    let y = rows.iter().map(|&row| y[row]);
    let Some((mean, std)) = scale else {
        return Ok(Targets::Classes(y.map(|class| class as usize).collect()));
    };
    let standardised = |value: f64| match ((value - mean) / std) as f32 {
        scaled if scaled.is_finite() => Ok(scaled),
        _ => {
            let what = format!("{what}, a target");
            let expected = format!("a value nearer to the training mean {mean}");
            Err(Error::invalid(what, value, expected, "Correct or remove that row."))
        }
    };
    Ok(Targets::Values(y.map(standardised).collect::<Result<_>>()?))
}

/// Indices of the training, validation and test rows. The rows `0..rows` are shuffled by the seed
/// and divided 80/10/10; if the range `test` is not empty, it gives the test rows, and `0..rows`
/// are divided 90/10 into training and validation. If `options` ask for a subset, only that many
/// training rows are kept.
///
/// # Errors
/// If there are fewer than 10 rows, or fewer training rows than the subset in `options`.
pub(super) fn divide(
    what: &str,
    rows: usize,
    test: Range<usize>,
    options: &Options,
) -> Result<[Vec<usize>; 3]> {
    if rows < 10 {
        let expected = "at least 10, to divide into train, validation and test";
        return Err(Error::invalid(what, format!("{rows} rows"), expected, "Add rows."));
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut stream(options.seed, Purpose::Split, 0));
    let mut tenth = || order.split_off(order.len() - rows / 10);
    let validation = tenth();
    let test = if test.is_empty() { tenth() } else { test.collect() };
    order.truncate(options.keep(order.len())?);
    Ok([order, validation, test])
}
