//! The range of the training rows, and which new rows are far outside of it.
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// The range of the training rows, before standardisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The smallest value of each feature of a table `[inputs]`, or of all pixels `[1]`.
    pub low: Vec<f64>,
    /// The largest.
    pub high: Vec<f64>,
    /// Whether images were bytes, which are divided by 255.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bytes: bool,
}

/// Rows with a value far outside the range of training: beyond it by more than its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// How many rows.
    pub rows: usize,
    /// The first such value, and the range.
    pub first: String,
}

impl Seen {
    /// Bytes, divided by 255.
    pub(super) fn pixels() -> Self {
        Self { low: vec![0.0], high: vec![1.0], bytes: true }
    }

    /// Some `rows` of a table `x [N, inputs]`.
    pub(super) fn of(x: &Array2<f64>, rows: &[usize]) -> Self {
        let (low, high) =
            x.axis_iter(Axis(1)).map(|column| range(rows.iter().map(|&row| column[row]))).unzip();
        Self { low, high, bytes: false }
    }

    /// All pixels of some `rows` of images that were floats.
    pub(super) fn floats(x: &Array2<f32>, rows: &[usize]) -> Self {
        let (low, high) = range(rows.iter().flat_map(|&row| x.row(row)).map(|&x| x.into()));
        Self { low: vec![low], high: vec![high], bytes: false }
    }

    /// Whether all is between 0 and 1, as fractions of white are.
    pub(super) fn is_unit(&self) -> bool {
        self.low.iter().all(|&low| low >= 0.0) && self.high.iter().all(|&high| high <= 1.0)
    }

    /// Rows of `x [N, inputs]` that are far outside; the first is `names[0]`.
    pub(super) fn outside<T: Copy + Into<f64>>(
        &self,
        x: ArrayView2<'_, T>,
        (what, first): (&str, usize),
        columns: Option<&[String]>,
    ) -> Option<Outside> {
        let at = |column: usize| column.min(self.low.len() - 1);
        let is_far = |column: usize, value: f64| {
            let (low, high) = (self.low[at(column)], self.high[at(column)]);
            value < low - (high - low) || value > high + (high - low)
        };
        let far = |(row, values): (usize, ArrayView1<'_, T>)| {
            let column = (0..values.len()).find(|&column| is_far(column, values[column].into()))?;
            Some((row, column, values[column].into()))
        };
        let mut rows = x.outer_iter().enumerate().filter_map(far);
        let (row, column, value) = rows.next()?;
        let name = columns.map_or(format!("feature {column}"), |names| names[column].clone());
        let (low, high) = (self.low[at(column)], self.high[at(column)]);
        let range =
            if low == high { format!("{low} alone") } else { format!("from {low} to {high}") };
        let first = format!("{what}, row {}, {name} = {value}, in training {range}", first + row);
        Some(Outside { rows: 1 + rows.count(), first })
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}
