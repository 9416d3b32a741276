//! The transformation from raw inputs to a network's inputs, and from its outputs to the target's
//! unit.
use super::appearance::Appearance;
use super::columns::{Column, Encoding};
use super::scaler::{self, StandardScaler};
use super::training_range::{OutOfRange, TrainingRange};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, CowArray, Ix2};
use serde::{Deserialize, Serialize};

/// How raw inputs become network inputs, and network outputs become values in the target's unit. It
/// is fitted to the training rows and saved with a model, so that prediction transforms a file as
/// training did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Number of features of a row.
    pub inputs: usize,
    /// Standardisation of the features, if any.
    pub x: Option<StandardScaler>,
    /// `(mean, std)` of the training targets of a regression.
    pub y: Option<(f64, f64)>,
    /// Names of the features of a table, `[inputs]`: of its columns or, for a category or an
    /// indicator, of the column with a level or with "missing".
    pub columns: Option<Vec<String>>,
    /// Name of a table's target.
    pub target: Option<String>,
    /// The columns of a table except the target, in their order; `None` for a run of an older
    /// version, whose columns are the features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Vec<Column>>,
    /// Range of the values in the training rows; `None` for a run of an older version, which did
    /// not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<TrainingRange>,
    /// The appearance of the training images; `None` for tables and for runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appearance: Option<Appearance>,
}

impl Preprocess {
    /// Fits standardisation and range to the given rows of a table `x [N, inputs]`; returns the
    /// network inputs of all rows, and the fitted transformation. `what` names the file in
    /// messages.
    ///
    /// # Errors
    /// If a result is not finite in single precision.
    pub(super) fn fit_transform(
        what: &str,
        x: &Array2<f64>,
        rows: &[usize],
    ) -> Result<(Array2<f32>, Self)> {
        let scaler = StandardScaler::fit(x, rows);
        let inputs = scaler.transform((what, 0), x)?;
        let seen = Some(TrainingRange::of_features(x, rows));
        Ok((inputs, Self { inputs: x.ncols(), x: Some(scaler), seen, ..Self::default() }))
    }

    /// The columns that become inputs, in the order of these; `None` if the model was not trained
    /// on a table with names.
    pub(super) fn input_columns(&self) -> Option<Vec<Column>> {
        let is_input = |column: &&Column| !matches!(column.encoding, Encoding::LeftOut { .. });
        let names = || self.columns.as_ref().map(|names| names.iter().map(|n| Column::number(n)));
        match &self.table {
            Some(columns) => Some(columns.iter().filter(is_input).cloned().collect()),
            None => names().map(Iterator::collect),
        }
    }

    /// A network output in the target's unit: `mean + std · y`.
    pub fn in_units(&self, y: f64) -> f64 {
        let (mean, std) = self.y.unwrap_or((0.0, 1.0));
        mean + std * y
    }

    /// Network inputs `x [N, inputs]` before standardisation: `mean + std · x`.
    pub fn inverse_transform<'a>(&self, x: ArrayView2<'a, f32>) -> CowArray<'a, f32, Ix2> {
        let Some(scaler) = &self.x else { return x.into() };
        let raw = Array2::from_shape_fn(x.dim(), |(row, column)| {
            let (mean, std) = scaler.of(column, x.ncols());
            (mean + std * f64::from(x[[row, column]])) as f32
        });
        raw.into()
    }

    /// Network inputs of the rows `raw`, and a report of the rows far outside the training range.
    /// `at` is the name of the file and the index in it of the first row, for messages.
    ///
    /// # Errors
    /// If the unit of the values is not that of training, or a result is not finite.
    pub(super) fn transform(
        &self,
        at: (&str, usize),
        raw: Raw,
        image: Option<Pixels>,
    ) -> Result<(Array2<f32>, Option<OutOfRange>)> {
        if image.is_none() && self.x.is_none() && raw.kind() == "uint8" {
            let expected = "float32, since an older version trained the model and did not record \
                            whether it divided bytes by 255";
            let advice = "Save the data as the float32 array it was trained on, or train again.";
            return Err(Error::invalid(at.0, "uint8", expected, advice));
        }
        if let Some(Pixels { invert }) = image {
            let mut pixels = self.pixels(at.0, raw)?;
            if invert {
                let sum = self.seen.as_ref().map_or(1., |seen| seen.low[0] + seen.high[0]) as f32;
                pixels.mapv_inplace(|x| sum - x);
            }
            let (x, outside) = self.features(at, &pixels)?;
            let unlike = || self.appearance.and_then(|training| training.unlike(&x, at));
            let outside = outside.or_else(unlike);
            return Ok((x, outside));
        }
        match raw {
            Raw::Numbers(x) => self.features(at, &x),
            Raw::Single(x) | Raw::Fractions(x) => self.features(at, &x),
            Raw::Bytes(x) | Raw::Pixels(x) => self.features(at, &x),
        }
    }

    /// Network inputs of the rows `x`, which are in the unit of training, and a report of those far
    /// outside the training range. Generic in the element type, since a copy of `x` in double
    /// precision would be the largest array of all.
    fn features<T: Copy + Into<f64>>(
        &self,
        at: (&str, usize),
        x: &Array2<T>,
    ) -> Result<(Array2<f32>, Option<OutOfRange>)> {
        let (seen, columns) = (self.seen.as_ref(), self.columns.as_deref());
        let outside = seen.and_then(|seen| seen.outside(x, at, columns));
        let inputs = match &self.x {
            Some(scaler) => scaler.transform(at, x)?,
            None => scaler::finite(x.mapv(|value| value.into() as f32), at, x, |_| {
                "a number within the range of single precision".into()
            })?,
        };
        Ok((inputs, outside))
    }

    /// Images in the unit of the training images. Equal pixels give equal inputs in every accepted
    /// type; a type whose unit is ambiguous is an error.
    fn pixels(&self, what: &str, raw: Raw) -> Result<Array2<f32>> {
        let (bytes, unit) = match &self.seen {
            Some(seen) => (seen.bytes, seen.is_unit()),
            // An older version recorded nothing: bytes were divided by 255, floats were not.
            None => (true, true),
        };
        let refuse = |found: &str, advice: &str| {
            let [low, high] = self.seen.as_ref().map_or([0.0, 1.0], |s| [s.low[0], s.high[0]]);
            let expected = format!("floats from {low} to {high}, as in training");
            Err(Error::invalid(what, found, expected, advice))
        };
        let fractions = |x: Array2<u8>| x.mapv(|byte| f32::from(byte) / 255.0);
        match raw {
            Raw::Bytes(x) if bytes => Ok(fractions(x)),
            Raw::Bytes(ref x) if unit && x.iter().any(|&byte| byte > 1) => {
                refuse("uint8 above 1", "Save x.astype('float32') / 255.")
            }
            Raw::Bytes(_) => Ok(raw.single()),
            Raw::Pixels(x) if unit => Ok(fractions(x)),
            Raw::Pixels(_) => refuse("pixels", "Save them in the unit of training as NPY."),
            Raw::Fractions(x) if unit => Ok(x),
            Raw::Fractions(_) => refuse("a picture", "Save it in the unit of training as NPY."),
            Raw::Numbers(_) | Raw::Single(_) => self.floats(what, raw.single()),
        }
    }

    /// The float images `x`. If training divided bytes by 255 and all values of `x` are whole
    /// numbers from 0 to 255, at least one of them above 1, they seem to be bytes stored as floats:
    /// an error.
    fn floats(&self, what: &str, x: Array2<f32>) -> Result<Array2<f32>> {
        let is_byte = |&v: &f32| v.fract() == 0.0 && (0.0..=255.0).contains(&v);
        let trained_on_bytes = self.seen.as_ref().is_some_and(|seen| seen.bytes);
        if trained_on_bytes && x.iter().all(is_byte) && x.iter().any(|&v| v > 1.0) {
            let found = "floats that are whole numbers up to 255";
            let expected = "bytes, or floats from 0 to 1, since training divided bytes by 255";
            let advice = "Save x.astype('uint8'), or x / 255.";
            return Err(Error::invalid(what, found, expected, advice));
        }
        Ok(x)
    }

    /// Checks that the length of every field fits the number of inputs: the fields of a damaged
    /// file may have any length.
    pub(crate) fn check(&self, image: Option<[usize; 3]>) -> Result<()> {
        let channels = |n: usize| match image {
            Some([c, ..]) if n == c => self.inputs,
            _ => n,
        };
        let (scaler, seen) = (self.x.as_ref(), self.seen.as_ref());
        let lengths = [
            scaler.map(|x| channels(x.mean.len())),
            scaler.map(|x| channels(x.std.len())),
            scaler.filter(|x| x.mean.len() != x.std.len()).map(|x| x.mean.len().min(x.std.len())),
            scaler.and_then(|x| x.constant.iter().max()).map(|&i| self.inputs.max(i + 1)),
            seen.filter(|x| x.low.len() != x.high.len()).map(|_| 0),
            seen.map(|x| match image {
                Some(_) => self.inputs.saturating_mul(x.low.len()),
                None => x.low.len(),
            }),
            self.columns.as_ref().map(Vec::len),
            self.table.as_ref().map(|table| table.iter().map(|c| c.encoding.width()).sum()),
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

/// What is done with the pixels of images.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    /// Whether dark and light are exchanged.
    pub invert: bool,
}

/// Rows `[N, inputs]` before preprocessing. The variant determines the unit of pixels.
pub(super) enum Raw {
    /// Numbers of a CSV file or, in an array that is a table, `float64` and integers other than
    /// `uint8`.
    Numbers(Array2<f64>),
    /// `float32` of an array, and `float64` of images.
    Single(Array2<f32>),
    /// `uint8` of an array: numbers or pixels.
    Bytes(Array2<u8>),
    /// Pixels of an IDX file, from 0 (black) to 255 (white).
    Pixels(Array2<u8>),
    /// Pixels of a picture, from 0 (black) to 1 (white).
    Fractions(Array2<f32>),
}

impl Raw {
    /// The kind of elements: `uint8`, or `floats` for all other types.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) | Self::Pixels(_) => "uint8",
            Self::Numbers(_) | Self::Single(_) | Self::Fractions(_) => "floats",
        }
    }

    /// The values in double precision, not rescaled.
    pub fn double(self) -> Array2<f64> {
        match self {
            Self::Numbers(x) => x,
            Self::Single(x) | Self::Fractions(x) => x.mapv(f64::from),
            Self::Bytes(x) | Self::Pixels(x) => x.mapv(f64::from),
        }
    }

    /// The values in single precision, not rescaled.
    pub fn single(self) -> Array2<f32> {
        match self {
            Self::Numbers(x) => x.mapv(|value| value as f32),
            Self::Single(x) | Self::Fractions(x) => x,
            Self::Bytes(x) | Self::Pixels(x) => x.mapv(f32::from),
        }
    }
}
