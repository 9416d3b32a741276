//! Inputs and targets of a set of examples.
use crate::bayes::Targets;
use ndarray::{Array2, Axis, s};

/// Inputs and targets of `N` examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Inputs `[N, inputs]`, row-major.
    pub x: Array2<f32>,
    /// Targets `[N]`.
    pub y: Targets,
}

impl Split {
    /// Number of examples `N`.
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` examples.
    ///
    /// # Panics
    /// If `n` exceeds the number of examples.
    pub fn subset(&self, n: usize) -> Self {
        let rows: Vec<usize> = (0..n).collect();
        Self { x: self.x.slice(s![..n, ..]).to_owned(), y: self.y.select(&rows) }
    }

    /// The examples at the given indices, in that order: `(x [B, inputs], y [B])`.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn batch(&self, rows: &[usize]) -> (Array2<f32>, Targets) {
        (self.x.select(Axis(0), rows), self.y.select(rows))
    }
}
