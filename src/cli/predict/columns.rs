//! Predictions as named columns, and the formats that they are written in.
use super::round::{place, rounded, significant};
use crate::data::{Inputs, Task};
use crate::metrics::predictions;
use crate::predict::Predictive;
use ndarray::s;
use serde_json::{Value, json};

/// The levels of the quantiles of a regression, in per cent.
const QUANTILES: [f64; 5] = [2.5, 25., 50., 75., 97.5];

/// A column of the output.
pub enum Column {
    Index(Vec<usize>),
    Text(Vec<String>),
    /// Classes of each input.
    Set(Vec<Vec<String>>),
    Number(Vec<f64>),
}

/// Named columns with the same number of rows.
pub type Columns = Vec<(String, Column)>;

/// The columns that identify the inputs of `block`, the first of which has the index `first`: those
/// that are kept, under their names, too.
pub fn start(block: &Inputs, first: usize, keep: &[String]) -> Columns {
    let index = Column::Index((first..first + block.names.len()).collect());
    let input = Column::Text(block.names.clone());
    let kept = block.kept.iter().cloned().map(Column::Text);
    let kept = keep.iter().cloned().zip(kept);
    [("index".into(), index), ("input".into(), input)].into_iter().chain(kept).collect()
}

/// The column of the inputs with a value far outside the range of training: 1, or 0.
pub fn end(block: &Inputs) -> Columns {
    let none = || vec![false; block.names.len()];
    let far = block.outside.as_ref().map_or_else(none, |found| found.each.clone());
    vec![("far".into(), Column::Index(far.into_iter().map(usize::from).collect()))]
}

/// The columns of the predictions. Numbers have at most `digits` significant digits; means and
/// quantiles have more if their standard deviation needs them.
pub fn columns(
    found: &Predictive,
    sets: Option<Vec<Vec<usize>>>,
    task: &Task,
    digits: usize,
) -> Columns {
    let mut all: Columns = vec![];
    let mut add = |name: &str, column| all.push((name.to_string(), column));
    let short =
        |v: Vec<f64>| Column::Number(v.into_iter().map(|x| significant(x, digits)).collect());
    let single = |v: &[f32]| short(v.iter().map(|&x| x.into()).collect());
    match (found, task) {
        (
            Predictive::Classes { p, entropy, bald, mean_std, .. },
            Task::Classification { classes },
        ) => {
            let label = |i: usize| classes[predictions(p.slice(s![i..=i, ..]))[0]].clone();
            add("label", Column::Text((0..p.nrows()).map(label).collect()));
            if let Some(sets) = sets {
                let names = |set: Vec<usize>| set.into_iter().map(|k| classes[k].clone()).collect();
                add("set", Column::Set(sets.into_iter().map(names).collect()));
            }
            for (class, p) in classes.iter().zip(p.columns()) {
                add(&format!("p_{class}"), single(&p.to_vec()));
            }
            add("entropy", single(entropy));
            add("bald", single(bald));
            add("mean_std", single(mean_std));
        }
        (Predictive::Values { mean, std, spread, mixture }, _) => {
            let near = |v: &[f64]| {
                let each = |(&x, &std): (&f64, &f64)| rounded(x, place(x, std, digits), digits);
                Column::Number(v.iter().zip(std).map(each).collect())
            };
            add("mean", near(mean));
            add("std", short(std.clone()));
            add("model_std", short(spread.clone()));
            let quantiles = mixture.quantiles(&QUANTILES.map(|percent| percent / 100.));
            for (percent, q) in QUANTILES.iter().zip(quantiles.columns()) {
                add(&format!("q{percent}"), near(&q.to_vec()));
            }
        }
        _ => unreachable!("a classifier predicts classes"),
    }
    all
}

impl Column {
    /// The entry of a row for JSON.
    pub fn value(&self, row: usize) -> Value {
        match self {
            Self::Index(v) => json!(v[row]),
            Self::Text(v) => json!(v[row]),
            Self::Set(v) => json!(v[row]),
            Self::Number(v) => json!(v[row]),
        }
    }

    /// The entry of a row as text; the classes of a set are separated by `|`.
    pub fn text(&self, row: usize) -> String {
        match self {
            Self::Index(v) => v[row].to_string(),
            Self::Text(v) => v[row].clone(),
            Self::Set(v) => v[row].join("|"),
            Self::Number(v) => json!(v[row]).to_string(),
        }
    }

    /// Append the rows of the same column of the next block.
    ///
    /// # Panics
    /// If it is of another kind.
    pub fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Index(a), Self::Index(b)) => a.extend(b),
            (Self::Text(a), Self::Text(b)) => a.extend(b),
            (Self::Set(a), Self::Set(b)) => a.extend(b),
            (Self::Number(a), Self::Number(b)) => a.extend(b),
            _ => unreachable!("the columns of one model"),
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Index(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Set(v) => v.len(),
            Self::Number(v) => v.len(),
        }
    }

    /// The column as an NPY array `[N]`: `uint64`, `float64` or text.
    pub fn npy(&self) -> Vec<u8> {
        let rows = self.rows();
        let (kind, bytes) = match self {
            Self::Index(v) => {
                ("<u8".into(), v.iter().flat_map(|&i| (i as u64).to_le_bytes()).collect())
            }
            Self::Number(v) => ("<f8".into(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::Text(_) | Self::Set(_) => {
                let texts: Vec<Vec<char>> =
                    (0..rows).map(|row| self.text(row).chars().collect()).collect();
                let width = texts.iter().map(Vec::len).max().unwrap_or(0).max(1);
                let padded = |text: &Vec<char>| {
                    let mut codes: Vec<u32> = text.iter().map(|&c| c.into()).collect();
                    codes.resize(width, 0);
                    codes
                };
                let codes = texts.iter().flat_map(padded);
                (format!("<U{width}"), codes.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
            }
        };
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows},), }}");
        // The magic string, the version and the length take 10 bytes, and data are aligned to 64.
        let length = (header.len() + 1 + 10).next_multiple_of(64) - 10;
        let mut npy = b"\x93NUMPY\x01\x00".to_vec();
        npy.extend((length as u16).to_le_bytes());
        npy.extend(format!("{header:<width$}\n", width = length - 1).bytes());
        npy.extend(bytes);
        npy
    }
}
