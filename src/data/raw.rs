//! Rows of a file in the type they are stored in.
use ndarray::Array2;

/// Rows `[N, inputs]` before preprocessing. The variant determines the unit of pixels.
pub(super) enum Raw {
    /// Numbers of a table, or `float64` and integers of an array.
    Numbers(Array2<f64>),
    /// `float32` of an array.
    Single(Array2<f32>),
    /// `uint8` of an array: numbers or pixels.
    Bytes(Array2<u8>),
    /// Pixels of an IDX file, from 0 (black) to 255 (white).
    Pixels(Array2<u8>),
    /// Pixels of a picture, from 0 (black) to 1 (white).
    Fractions(Array2<f32>),
}

impl Raw {
    /// Number of rows `N`.
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
