//! From raw values to a network's, and back.
use super::seen::{Outside, Seen};
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
    /// Features of a table that were constant in the training rows: standardised to 0 whatever
    /// their value, since nothing was learned of any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constant: Vec<usize>,
}

impl Standardise {
    /// Fitted to some `rows` of `x [N, inputs]`.
    pub(super) fn fit(x: &Array2<f64>, rows: &[usize]) -> Self {
        let fitted =
            x.axis_iter(Axis(1)).map(|column| moments(rows.iter().map(|&row| column[row])));
        let (mean, std) = fitted.unzip();
        let is_constant = |&i: &usize| {
            let first = rows.first().map(|&row| x[[row, i]]);
            rows.iter().all(|&row| Some(x[[row, i]]) == first)
        };
        Self { mean, std, constant: (0..x.ncols()).filter(is_constant).collect() }
    }

    /// What to say of features that were constant, by their names or numbers.
    pub(super) fn ignored(&self, columns: Option<&[String]>) -> Option<String> {
        let name = |&i: &usize| columns.map_or(i.to_string(), |names| format!("{:?}", names[i]));
        let names: Vec<_> = self.constant.iter().take(10).map(name).collect();
        let more = if self.constant.len() > names.len() { ", …" } else { "" };
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("constant in the training rows, and ignored: {names}{more}")
        })
    }

    /// Fitted to the channels of images `x [N, C·H·W]`.
    pub(super) fn fit_channels(x: &Array2<f32>, channels: usize) -> Self {
        let part = x.ncols() / channels;
        let channels = x.axis_chunks_iter(Axis(1), part);
        let (mean, std) = channels.map(|x| moments(x.iter().map(|&x| f64::from(x)))).unzip();
        Self { mean, std, constant: vec![] }
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
    pub(super) fn apply<T: Copy + Into<f64>>(
        &self,
        what: &str,
        x: ArrayView2<'_, T>,
        first: usize,
    ) -> Result<Array2<f32>> {
        let mut scaled = Array2::from_shape_fn(x.dim(), |(row, column)| {
            let (mean, std) = self.of(column, x.ncols());
            ((x[[row, column]].into() - mean) / std) as f32
        });
        self.constant.iter().for_each(|&i| scaled.column_mut(i).fill(0.));
        match scaled.indexed_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(scaled),
            Some(((row, column), _)) => Err(Error::invalid(
                format!("{what}, row {}, feature {column} (from 0)", first + row),
                x[[row, column]].into(),
                format!("a value nearer to the training mean {}", self.of(column, x.ncols()).0),
                "Mend or remove that row.",
            )),
        }
    }
}

/// Mean and standard deviation; of equal values exactly that value, and 1.
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
        // Squares that underflow or overflow are taken in units of the largest difference.
        _ => {
            let unit = values.clone().map(|value| (value - mean).abs()).fold(0.0, f64::max);
            (mean, unit * variance(unit).sqrt())
        }
    }
}

/// Rows of a file `[N, inputs]`, as they are there.
pub(super) enum Raw {
    /// Numbers of a table or of an array of floats.
    Numbers(Array2<f64>),
    /// `float32`, which is not copied.
    Single(Array2<f32>),
    /// `uint8` of an array, numbers or pixels.
    Bytes(Array2<u8>),
    /// Pixels of a picture or of IDX, from black 0 to white 255.
    Pixels(Array2<u8>),
    /// Pixels from 0 to 1.
    Fractions(Array2<f32>),
}

impl Raw {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(x) => x.nrows(),
            Self::Single(x) | Self::Fractions(x) => x.nrows(),
            Self::Bytes(x) | Self::Pixels(x) => x.nrows(),
        }
    }

    /// `uint8` or `floats`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) | Self::Pixels(_) => "uint8",
            Self::Numbers(_) | Self::Single(_) | Self::Fractions(_) => "floats",
        }
    }

    /// The numbers as they are.
    pub fn numbers(self) -> Array2<f64> {
        match self {
            Self::Numbers(x) => x,
            Self::Single(x) | Self::Fractions(x) => x.mapv(f64::from),
            Self::Bytes(x) | Self::Pixels(x) => x.mapv(f64::from),
        }
    }

    /// The numbers as they are, in single precision.
    pub fn single(self) -> Array2<f32> {
        match self {
            Self::Numbers(x) => x.mapv(|value| value as f32),
            Self::Single(x) | Self::Fractions(x) => x,
            Self::Bytes(x) | Self::Pixels(x) => x.mapv(f32::from),
        }
    }
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
    /// The range of the training rows; none in a run of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

impl Preprocess {
    /// A network's output in the target's own units: `mean + std · y`.
    pub fn in_units(&self, y: f64) -> f64 {
        let (mean, std) = self.y.unwrap_or((0.0, 1.0));
        mean + std * y
    }

    /// Rows from the number `first` on, as the training rows were treated, and those that are far
    /// outside their range.
    pub(super) fn prepare(
        &self,
        what: &str,
        raw: Raw,
        is_image: bool,
        first: usize,
    ) -> Result<(Array2<f32>, Option<Outside>)> {
        let seen = self.seen.as_ref();
        if is_image {
            let x = self.pixels(what, raw)?;
            let outside = seen.and_then(|seen| seen.outside(x.view(), (what, first), None));
            let x = match &self.x {
                Some(scale) => scale.apply(what, x.view(), first)?,
                None => x,
            };
            return Ok((x, outside));
        }
        if self.x.is_none() && raw.kind() == "uint8" {
            let expected = "float32, since an older version trained the model and does not say \
                            whether it divided bytes by 255";
            let advice = "Save what it was trained on as float32, or train again.";
            return Err(Error::invalid(what, "uint8", expected, advice));
        }
        match raw {
            Raw::Numbers(x) => self.table(what, x.view(), first),
            Raw::Single(x) | Raw::Fractions(x) => self.table(what, x.view(), first),
            Raw::Bytes(x) | Raw::Pixels(x) => self.table(what, x.view(), first),
        }
    }

    /// As [`Preprocess::prepare`], of numbers.
    fn table<T: Copy + Into<f64>>(
        &self,
        what: &str,
        x: ArrayView2<'_, T>,
        first: usize,
    ) -> Result<(Array2<f32>, Option<Outside>)> {
        let (seen, columns) = (self.seen.as_ref(), self.columns.as_deref());
        let outside = seen.and_then(|seen| seen.outside(x, (what, first), columns));
        let x = match &self.x {
            Some(scale) => scale.apply(what, x, first)?,
            None => {
                let single = x.mapv(|value| value.into() as f32);
                if let Some(((row, column), _)) =
                    single.indexed_iter().find(|(_, x)| !x.is_finite())
                {
                    return Err(Error::invalid(
                        format!("{what}, row {}, feature {column} (from 0)", first + row),
                        x[[row, column]].into(),
                        "a number that single precision can hold",
                        "Mend or remove that row.",
                    ));
                }
                single
            }
        };
        Ok((x, outside))
    }

    /// Images in the unit of the training images. The same numbers are the same image whatever
    /// their type, or an error.
    fn pixels(&self, what: &str, raw: Raw) -> Result<Array2<f32>> {
        let unlike = |found: &str, expected: String, advice| {
            Err(Error::invalid(what, found, expected, advice))
        };
        let fractions = |x: Array2<u8>| x.mapv(|byte| f32::from(byte) / 255.0);
        // An older version says nothing: bytes are divided by 255, floats are as they are.
        let (bytes, unit) = match &self.seen {
            Some(seen) => (seen.bytes, seen.is_unit()),
            None => (true, true),
        };
        let as_trained = || {
            let [low, high] = self.seen.as_ref().map_or([0.0, 1.0], |s| [s.low[0], s.high[0]]);
            format!("floats from {low} to {high}, as in training")
        };
        match raw {
            Raw::Bytes(x) if bytes => Ok(fractions(x)),
            Raw::Bytes(ref x) if unit && x.iter().any(|&byte| byte > 1) => {
                unlike("uint8 above 1", as_trained(), "Save x.astype('float32') / 255.")
            }
            Raw::Bytes(_) => Ok(raw.single()),
            Raw::Pixels(x) if unit => Ok(fractions(x)),
            Raw::Pixels(_) => {
                unlike("pixels", as_trained(), "Save them as training's were, in an NPY file.")
            }
            Raw::Fractions(x) if unit => Ok(x),
            Raw::Fractions(_) => {
                unlike("a picture", as_trained(), "Save it as training's were, in an NPY file.")
            }
            Raw::Numbers(_) | Raw::Single(_) => self.floats(what, raw.single()),
        }
    }

    /// Floats, which are not bytes in disguise.
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
            scale.and_then(|x| x.constant.iter().max()).map(|&i| self.inputs.max(i + 1)),
            self.seen.as_ref().filter(|x| x.low.len() != x.high.len()).map(|_| 0),
            self.seen.as_ref().map(|x| {
                if image.is_some() { self.inputs.saturating_mul(x.low.len()) } else { x.low.len() }
            }),
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
