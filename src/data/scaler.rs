//! Standardisation of features to mean 0 and variance 1.
use crate::error::{Error, Result};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

/// `(x − mean) / std` for each feature of a table, or each channel of images `[C, H, W]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    /// Means over the training rows, `[inputs]` or `[C]`.
    pub mean: Vec<f64>,
    /// Standard deviations over the training rows (divisor `N`), `[inputs]` or `[C]`; 1 for a
    /// constant feature.
    pub std: Vec<f64>,
    /// Indices of the features that were constant in the training rows. They become 0 whatever
    /// their value, since the model was trained on a single value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constant: Vec<usize>,
}

impl StandardScaler {
    /// Fits the mean and the standard deviation of each feature to the given rows of
    /// `x [N, inputs]`.
    pub(super) fn fit(x: &Array2<f64>, rows: &[usize]) -> Self {
        let column = |column: usize| rows.iter().map(move |&row| x[[row, column]]);
        let (mean, std) = (0..x.ncols()).map(|i| moments(column(i))).unzip();
        let is_constant = |&i: &usize| {
            let first = column(i).next();
            column(i).all(|value| Some(value) == first)
        };
        Self { mean, std, constant: (0..x.ncols()).filter(is_constant).collect() }
    }

    /// Fits the mean and the standard deviation of each channel to images `x [N, C·H·W]`.
    pub(super) fn fit_channels(x: &Array2<f32>, channels: usize) -> Self {
        let planes = x.axis_chunks_iter(Axis(1), x.ncols() / channels);
        let (mean, std) = planes.map(|x| moments(x.iter().map(|&x| f64::from(x)))).unzip();
        Self { mean, std, constant: vec![] }
    }

    /// A note on the features that were constant, by name or index; `None` if there are none.
    pub(super) fn ignored(&self, columns: Option<&[String]>) -> Option<String> {
        let name = |&i: &usize| columns.map_or(i.to_string(), |names| format!("{:?}", names[i]));
        let names: Vec<_> = self.constant.iter().take(10).map(name).collect();
        let more = if self.constant.len() > names.len() { ", …" } else { "" };
        (!names.is_empty()).then(|| {
            format!("constant in the training rows, and ignored: {}{more}", names.join(", "))
        })
    }

    /// Mean and standard deviation by which the input with index `column` is standardised: those of
    /// its feature or, for images, of its channel. `inputs` is the number of inputs.
    pub(super) fn of(&self, column: usize, inputs: usize) -> (f64, f64) {
        let i = column / (inputs / self.mean.len());
        (self.mean[i], self.std[i])
    }

    /// Standardises images `x [N, C·H·W]` in place.
    pub(super) fn transform_in_place(&self, x: &mut Array2<f32>) {
        let inputs = x.ncols();
        for (column, mut x) in x.columns_mut().into_iter().enumerate() {
            let (mean, std) = self.of(column, inputs);
            x.mapv_inplace(|x| ((f64::from(x) - mean) / std) as f32);
        }
    }

    /// Standardises `x [N, inputs]` in double precision, then rounds to single precision: if `x`
    /// were rounded first, a feature such as a date in seconds would lose its digits. `at` is the
    /// name of the file and the index in it of the first row, for messages.
    ///
    /// # Errors
    /// If a result is not finite in single precision.
    pub(super) fn transform<T: Copy + Into<f64>>(
        &self,
        at: (&str, usize),
        x: &Array2<T>,
    ) -> Result<Array2<f32>> {
        let inputs = x.ncols();
        let mut scaled = Array2::from_shape_fn(x.dim(), |(row, column)| {
            let (mean, std) = self.of(column, inputs);
            ((x[[row, column]].into() - mean) / std) as f32
        });
        self.constant.iter().for_each(|&i| scaled.column_mut(i).fill(0.));
        finite(scaled, at, x, |column| {
            format!("a value nearer to the training mean {}", self.of(column, inputs).0)
        })
    }
}

/// `x` if all its elements are finite; `raw` are the values from the file, for the message.
pub(super) fn finite<T: Copy + Into<f64>>(
    x: Array2<f32>,
    (what, first): (&str, usize),
    raw: &Array2<T>,
    expected: impl Fn(usize) -> String,
) -> Result<Array2<f32>> {
    let Some(((row, column), _)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) else {
        return Ok(x);
    };
    let what = format!("{what}, row {}, feature {column} (from 0)", first + row);
    let found: f64 = raw[[row, column]].into();
    Err(Error::invalid(what, found, expected(column), "Correct or remove that row."))
}

/// Mean and standard deviation (divisor `N`). If all values are equal, the mean is exactly that
/// value and the standard deviation is 1.
pub(super) fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let first = values.clone().next().unwrap_or_default();
    if values.clone().all(|value| value == first) {
        return (first, 1.0);
    }
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = |unit: f64| {
        values.clone().map(|value| ((value - mean) / unit).powi(2)).sum::<f64>() / count
    };
    match variance(1.0) {
        plain if plain.is_normal() => (mean, plain.sqrt()),
        // If squares underflow or overflow, deviations are divided by the largest before they are
        // squared.
        _ => {
            let unit = values.clone().map(|value| (value - mean).abs()).fold(0.0, f64::max);
            (mean, unit * variance(unit).sqrt())
        }
    }
}
