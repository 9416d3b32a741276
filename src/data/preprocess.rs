//! From raw values to a network's, and back.
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};
use serde::{Deserialize, Serialize};

/// `(x − mean) / std`, feature by feature, or channel by channel of images `[C, H, W]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardise {
    /// `[inputs]` or `[C]`: means over the training rows.
    pub mean: Vec<f64>,
    /// As many: standard deviations over the training rows; 1 for a constant feature.
    pub std: Vec<f64>,
}

impl Standardise {
    /// Fitted to some `rows` of `x [N, inputs]`.
    pub(super) fn fit(x: &Array2<f64>, rows: &[usize]) -> Self {
        let fitted =
            x.axis_iter(Axis(1)).map(|column| moments(rows.iter().map(|&row| column[row])));
        let (mean, std) = fitted.unzip();
        Self { mean, std }
    }

    /// Fitted to the channels of images `x [N, C·H·W]`.
    pub(super) fn fit_channels(x: &Array2<f32>, channels: usize) -> Self {
        let part = x.ncols() / channels;
        let channels = x.axis_chunks_iter(Axis(1), part);
        let (mean, std) = channels.map(|x| moments(x.iter().map(|&x| f64::from(x)))).unzip();
        Self { mean, std }
    }

    /// Mean and standard deviation of a column of `inputs`.
    fn of(&self, column: usize, inputs: usize) -> (f64, f64) {
        let i = column / (inputs / self.mean.len());
        (self.mean[i], self.std[i])
    }

    /// `x [N, inputs]` of bytes standardised in place, as [`Standardise::apply`] would.
    pub(super) fn apply_to(&self, x: &mut Array2<f32>) {
        let inputs = x.ncols();
        for (column, mut x) in x.columns_mut().into_iter().enumerate() {
            let (mean, std) = self.of(column, inputs);
            x.mapv_inplace(|x| ((f64::from(x) - mean) / std) as f32);
        }
    }

    /// `x [N, inputs]` standardised, in double precision until the end: a feature such as a date
    /// in seconds has no digits to spare. For messages, `first` is the number of its first row.
    pub(super) fn apply(&self, what: &str, x: &Array2<f64>, first: usize) -> Result<Array2<f32>> {
        let scaled = Array2::from_shape_fn(x.dim(), |(row, column)| {
            let (mean, std) = self.of(column, x.ncols());
            ((x[[row, column]] - mean) / std) as f32
        });
        match scaled.indexed_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(scaled),
            Some(((row, column), _)) => Err(Error::invalid(
                format!("{what}, row {}, feature {column} (from 0)", first + row),
                x[[row, column]],
                format!("a value nearer to the training mean {}", self.of(column, x.ncols()).0),
                "Mend or remove that row.",
            )),
        }
    }
}

/// Mean and standard deviation; of equal values exactly that value, and 1, which is also that of values
/// whose squared differences underflow.
pub(super) fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let first = values.clone().next().unwrap_or_default();
    if values.clone().all(|value| value == first) {
        return (first, 1.0);
    }
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

/// How raw inputs become network inputs, and outputs the target's units; saved with a model, so
/// that prediction treats a user's file just as training did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// How many features a row has.
    pub inputs: usize,
    /// What is done to the features, if anything.
    pub x: Option<Standardise>,
    /// `(mean, std)` of the training targets of a regression.
    pub y: Option<(f64, f64)>,
    /// The names of a CSV file's features, `[inputs]`.
    pub columns: Option<Vec<String>>,
    /// The name of a CSV file's target.
    pub target: Option<String>,
}

impl Preprocess {
    /// A network's output in the target's own units: `mean + std · y`.
    pub fn in_units(&self, y: f64) -> f64 {
        let (mean, std) = self.y.unwrap_or((0.0, 1.0));
        mean + std * y
    }

    /// Rows from the number `first` on of a table or array, as the training rows were treated.
    pub(super) fn apply(&self, what: &str, x: Array2<f64>, first: usize) -> Result<Array2<f32>> {
        match &self.x {
            Some(scale) => scale.apply(what, &x, first),
            None => Ok(x.mapv(|value| value as f32)),
        }
    }

    /// Inputs `[N, inputs]` as they were before.
    pub fn raw<'a>(&self, x: ArrayView2<'a, f32>) -> CowArray<'a, f32, Ix2> {
        let Some(scale) = &self.x else { return x.into() };
        let raw = Array2::from_shape_fn(x.dim(), |(row, column)| {
            let (mean, std) = scale.of(column, x.ncols());
            (mean + std * f64::from(x[[row, column]])) as f32
        });
        raw.into()
    }

    /// Whether the parts, which may come from a damaged file, fit each other.
    pub(super) fn check(&self, image: Option<[usize; 3]>) -> Result<()> {
        let channels = |n: usize| match image {
            Some([c, ..]) if n == c => self.inputs,
            _ => n,
        };
        let scale = self.x.as_ref();
        let lengths = [
            scale.map(|x| channels(x.mean.len())),
            scale.map(|x| channels(x.std.len())),
            scale.filter(|x| x.mean.len() != x.std.len()).map(|x| x.mean.len().min(x.std.len())),
            self.columns.as_ref().map(Vec::len),
            image.map(|[c, h, w]| c.saturating_mul(h).saturating_mul(w)),
        ];
        match lengths.into_iter().flatten().find(|&length| length != self.inputs) {
            None => Ok(()),
            Some(length) => Err(Error::invalid(
                "preprocessing of the saved model",
                format!("a part for {length} inputs"),
                format!("{} inputs, as the model has", self.inputs),
                "The run's files do not belong together; train again.",
            )),
        }
    }
}
