//! The division of a file's examples into those for training, validation and test.
use super::appearance::Appearance;
use super::dataset::{Dataset, Missing, Options, Split, Task};
use super::preprocess::Preprocess;
use super::scaler;
use super::target::Chosen;
use crate::bayes::Targets;
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;

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
    /// Notes for the user.
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
        let moments = || scaler::moments(parts[0].iter().map(|&row| y[row]));
        let scale = (task == Task::Regression).then(moments);
        let part = |rows: &Vec<usize>| -> Result<Split> {
            Ok(Split { x: x.select(Axis(0), rows), y: targets(what, &y, rows, scale)? })
        };
        let (train, validation, test) = (part(&parts[0])?, part(&parts[1])?, part(&parts[2])?);
        let appearance = image.map(|_| Appearance::of(&train.x));
        let preprocess = Preprocess { inputs: x.ncols(), y: scale, appearance, ..self.preprocess };
        let columns = preprocess.columns.as_deref();
        let ignored = preprocess.x.as_ref().and_then(|scaler| scaler.ignored(columns));
        let notes = self.notes.into_iter().chain(guess).chain(ignored).collect();
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

/// A note on the rows that were left out for missing values; `None` if there are none.
pub(super) fn left_out(rows: usize, missing: Missing) -> Option<String> {
    let what = match missing {
        Missing::Drop => "with missing values",
        Missing::Impute | Missing::Refuse => "without a target",
    };
    (rows > 0).then(|| format!("{rows} rows {what} left out"))
}

/// Indices of rows, before those that have no part yet are divided.
#[derive(Default)]
pub(super) struct Parts {
    /// Rows for training, and for the other parts if these are empty.
    pub pool: Vec<usize>,
    /// Rows given for validation.
    pub validation: Vec<usize>,
    /// Rows given for the test.
    pub test: Vec<usize>,
}

impl Parts {
    /// The rows `0..rows`, all of them to be divided.
    pub fn of(rows: usize) -> Self {
        Self { pool: (0..rows).collect(), ..Self::default() }
    }
}

/// Indices of the training, validation and test rows, and a note if a tenth of the rows were too
/// few for validation. The pool of `parts` is shuffled by the seed; validation and test, unless
/// given, take a tenth of it each. Validation takes at least `options.validation_rows` where these
/// are at most a fifth. If `options` ask for a subset, only that many training rows are kept.
///
/// # Errors
/// If the pool has fewer than 10 rows, or fewer training rows than the subset in `options`.
pub(super) fn divide(
    what: &str,
    parts: Parts,
    options: &Options,
) -> Result<([Vec<usize>; 3], Option<String>)> {
    let Parts { pool: mut order, mut validation, mut test } = parts;
    let rows = order.len();
    if rows < 10 {
        let expected = "at least 10, to divide into train, validation and test";
        return Err(Error::invalid(what, format!("{rows} rows"), expected, "Add rows."));
    }
    order.shuffle(&mut stream(options.seed, Purpose::Split, 0));
    let mut take = |count: usize| order.split_off(order.len() - count);
    let mut note = None;
    if validation.is_empty() {
        let count = (rows / 10).max(options.validation_rows.min(rows / 5));
        note = (count > rows / 10)
            .then(|| format!("{count} of {rows} rows are for validation, as a tenth would be few"));
        validation = take(count);
    }
    if test.is_empty() {
        test = take(rows / 10);
    }
    order.truncate(options.keep(order.len())?);
    Ok(([order, validation, test], note))
}
