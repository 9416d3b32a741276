//! The range of the training values, and new rows far outside it.
use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

/// Smallest and largest values of the training rows before standardisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRange {
    /// Minimum of each feature of a table, `[inputs]`, or of all pixels, `[1]`.
    pub low: Vec<f64>,
    /// Maximum of each feature of a table, `[inputs]`, or of all pixels, `[1]`.
    pub high: Vec<f64>,
    /// Whether the training images were bytes. These are divided by 255, so the range is 0 to 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bytes: bool,
}

/// Rows far outside the training range: some value is below the minimum or above the maximum by
/// more than the width of the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Number of such rows.
    pub rows: usize,
    /// Whether each row is far outside.
    pub each: Vec<bool>,
    /// A description of the first such value: its row, its feature and the training range.
    pub first: String,
}

impl TrainingRange {
    /// The range of bytes divided by 255.
    pub(super) fn bytes() -> Self {
        Self { low: vec![0.0], high: vec![1.0], bytes: true }
    }

    /// The range of each feature over the given rows of a table `x [N, inputs]`.
    pub(super) fn of_features(x: &Array2<f64>, rows: &[usize]) -> Self {
        let (low, high) =
            x.axis_iter(Axis(1)).map(|column| range(rows.iter().map(|&row| column[row]))).unzip();
        Self { low, high, bytes: false }
    }

    /// The range of all pixels over the given rows of float images `x [N, C·H·W]`.
    pub(super) fn of_pixels(x: &Array2<f32>, rows: &[usize]) -> Self {
        let (low, high) = range(rows.iter().flat_map(|&row| x.row(row)).map(|&x| x.into()));
        Self { low: vec![low], high: vec![high], bytes: false }
    }

    /// Whether all values lie in `[0, 1]`.
    pub(super) fn is_unit(&self) -> bool {
        self.low.iter().all(|&low| low >= 0.0) && self.high.iter().all(|&high| high <= 1.0)
    }

    /// The rows of `x [N, inputs]` that are far outside; `None` if there are none. For messages,
    /// `what` is the name of the file, `first` the index in it of row 0 of `x`, and `columns` the
    /// names of the features.
    pub(super) fn outside<T: Copy + Into<f64>>(
        &self,
        x: &Array2<T>,
        (what, first): (&str, usize),
        columns: Option<&[String]>,
    ) -> Option<OutOfRange> {
        let bounds = |column: usize| {
            let i = column.min(self.low.len() - 1);
            (self.low[i], self.high[i])
        };
        let is_far = |column: usize, value: f64| {
            let (low, high) = bounds(column);
            value < low - (high - low) || value > high + (high - low)
        };
        let far = |values: ArrayView1<'_, T>| {
            let mut values = values.iter().map(|&value| value.into()).enumerate();
            values.find(|&(column, value)| is_far(column, value))
        };
        let found: Vec<_> = x.outer_iter().map(far).collect();
        let (row, (column, value)) =
            found.iter().enumerate().find_map(|(row, found)| Some((row, (*found)?)))?;
        let name = columns.map_or(format!("feature {column}"), |names| names[column].clone());
        let range = match bounds(column) {
            (low, high) if low == high => format!("{low} alone"),
            (low, high) => format!("from {low} to {high}"),
        };
        let first = format!("{what}, row {}, {name} = {value}, in training {range}", first + row);
        let each: Vec<_> = found.iter().map(Option::is_some).collect();
        Some(OutOfRange { rows: each.iter().filter(|far| **far).count(), each, first })
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}
