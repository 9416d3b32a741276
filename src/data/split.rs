//! Rows for training, validation and test.
use super::Options;
use crate::bayes::Targets;
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use ndarray::{Array2, Axis, s};
use rand::seq::SliceRandom;

/// Rows and their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// `[N, inputs]`, row major.
    pub x: Array2<f32>,
    /// `[N]`.
    pub y: Targets,
}

impl Split {
    /// `N`.
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` rows.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn subset(&self, n: usize) -> Self {
        let rows: Vec<usize> = (0..n).collect();
        Self { x: self.x.slice(s![..n, ..]).to_owned(), y: self.y.select(&rows) }
    }

    /// `(x [B, inputs], y [B])` of `B` rows, in the order asked for.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn batch(&self, rows: &[usize]) -> (Array2<f32>, Targets) {
        (self.x.select(Axis(0), rows), self.y.select(rows))
    }
}

/// What a reader found: rows not yet divided, targets not yet scaled.
pub(super) struct Rows {
    /// `[N, inputs]`.
    pub x: Array2<f32>,
    /// `[N]`: class numbers or real values.
    pub y: Vec<f64>,
}

impl Rows {
    /// Some of the rows; with a `(mean, std)` the targets are values, without it classes.
    ///
    /// # Errors
    /// If a value is so far from the mean that single precision cannot hold it.
    pub fn split(&self, what: &str, rows: &[usize], scale: Option<(f64, f64)>) -> Result<Split> {
        let y = rows.iter().map(|&row| self.y[row]);
        let y = match scale {
            None => Targets::Classes(y.map(|class| class as usize).collect()),
            Some((mean, std)) => {
                let scaled = |value: f64| match ((value - mean) / std) as f32 {
                    scaled if scaled.is_finite() => Ok(scaled),
                    _ => {
                        let what = format!("{what}, a target");
                        let expected = format!("a value nearer to the training mean {mean}");
                        Err(Error::invalid(what, value, expected, "Mend or remove that row."))
                    }
                };
                Targets::Values(y.map(scaled).collect::<Result<_>>()?)
            }
        };
        Ok(Split { x: self.x.select(Axis(0), rows), y })
    }
}

/// The numbers of the training rows, and `PARTS` times a tenth of `0..rows`, by a seeded shuffle.
pub(super) fn divide<const PARTS: usize>(
    what: &str,
    rows: usize,
    options: &Options,
) -> Result<(Vec<usize>, [Vec<usize>; PARTS])> {
    if rows < 10 {
        return Err(Error::invalid(
            what,
            format!("{rows} rows"),
            "at least 10, to divide into train, validation and test",
            "Add rows.",
        ));
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut stream(options.seed, Purpose::Split, 0));
    let parts = std::array::from_fn(|_| order.split_off(order.len() - rows / 10));
    order.truncate(options.keep(order.len())?);
    Ok((order, parts))
}
