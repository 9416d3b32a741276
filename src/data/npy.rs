//! NPY, NumPy's format of an array.
use super::blocks::Blocks;
use super::files;
use super::preprocess::Raw;
use super::target::Targets;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayD, Axis, Dimension, IntoDimension, ShapeBuilder};
use ndarray_npy::{ReadableElement, npy::header::Header};
use num_traits::Float;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{Read, Seek, SeekFrom};

/// Longest header in bytes; the arrays that are accepted need less.
const HEADER: usize = 4096;

/// Element types without byte order.
const KINDS: [&str; 11] = ["u1", "b1", "i1", "i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8"];

/// An open NPY file, read in blocks of rows.
pub(super) struct Array<R> {
    blocks: Blocks<R>,
    header: Header,
    /// Element type without byte order, such as `f4`.
    kind: String,
    /// Size of an element in bytes.
    width: usize,
    /// Position of the first element in the file.
    start: usize,
}

impl<R: Read + Seek> Array<R> {
    /// Reads the header and compares its shape with the size of the file.
    pub fn open(what: &str, mut reader: R) -> Result<Self> {
        let mut bytes = files::bounded(what, reader.by_ref().take(12), 12)?;
        let start = match *bytes {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
                10 + usize::from(u16::from_le_bytes([a, b]))
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d] => {
                12 + u32::from_le_bytes([a, b, c, d]) as usize
            }
            _ => return Err(unlike(what, "other bytes at the start", "a NumPy array")),
        };
        let rest = start.min(HEADER).saturating_sub(bytes.len()) as u64;
        bytes.extend(files::bounded(what, reader.by_ref().take(rest), rest)?);
        // The parser's time doubles with each nested bracket: 22 take seconds, 40 take weeks.
        let brackets = bytes.iter().filter(|byte| b"([{".contains(byte)).count();
        if bytes.len() != start || brackets > 2 {
            return Err(unlike(what, "a header cut short, too long or nested", "a plain array"));
        }
        let header = Header::from_reader(&mut &*bytes)
            .map_err(|error| unlike(what, error, "the header of a NumPy array"))?;
        let kind = header.type_descriptor.as_string().and_then(|kind| kind.get(1..)).unwrap_or("");
        let kind = kind.to_owned();
        let width = kind.get(1..).and_then(|width| width.parse().ok()).unwrap_or(0);
        if !KINDS.contains(&&*kind) {
            let (found, advice) = match kind.get(..1) {
                Some("U" | "S" | "T") => {
                    ("text", "Save numbers, such as numpy.unique(…, return_inverse=True)[1].")
                }
                Some("O") => ("Python objects", "Convert it by .astype('float32')."),
                Some("f") => ("floats of another size", "Convert it by .astype('float32')."),
                _ => ("other elements", "Convert it by .astype('float32')."),
            };
            let found = format!("{found} ({kind:?})");
            return Err(Error::invalid(what, found, "float32, float64 or integers", advice));
        }
        let present = files::left(&mut reader);
        let blocks = Blocks::new(what, reader, header.shape.clone(), (&kind, width), present)?;
        Ok(Self { blocks, header, kind, width, start })
    }

    /// The shape of one row.
    pub fn example(&self) -> &[usize] {
        self.blocks.example()
    }

    /// Reads all rows, and returns the shape of one row and the array.
    pub fn whole(what: &str, reader: R) -> Result<(Vec<usize>, Npy)> {
        let mut array = Self::open(what, reader)?;
        let all = array.next(usize::MAX)?.expect("at least one row: see `Blocks::new`");
        Ok((array.example().to_vec(), all))
    }

    /// The next rows, at most `limit`; `None` at the end.
    pub fn next(&mut self, limit: usize) -> Result<Option<Npy>> {
        let (all, columns) = (self.header.shape[0], self.example().iter().product::<usize>());
        let (width, start, is_fortran) = (self.width, self.start, self.header.layout.is_fortran());
        let block = self.blocks.next(limit, |what, reader, rows| {
            let count = (rows.len() * width) as u64;
            if !is_fortran || rows.len() == all {
                return files::exactly(what, reader, count * columns as u64);
            }
            let mut bytes = vec![];
            for column in 0..columns {
                let at = SeekFrom::Start((start + (column * all + rows.start) * width) as u64);
                reader.seek(at).map_err(|error| files::unreadable(what, &error))?;
                bytes.extend(files::exactly(what, &mut *reader, count)?);
            }
            Ok(bytes)
        })?;
        block.map(|(rows, bytes)| self.parse(rows, &bytes)).transpose()
    }

    /// An array of `rows` rows from the bytes of its elements.
    fn parse(&self, rows: usize, bytes: &[u8]) -> Result<Npy> {
        let shape = [&[rows], self.example()].concat();
        let count = shape.iter().product();
        let shape = shape.into_dimension().set_f(self.header.layout.is_fortran());
        macro_rules! array {
            ($element:ty) => {{
                let kind = &self.header.type_descriptor;
                let elements = <$element>::read_to_end_exact_vec(bytes, kind, count)
                    .map_err(|error| unlike(&self.blocks.what, error, "a NumPy array"))?;
                ArrayD::from_shape_vec(shape, elements).expect("all elements")
            }};
        }
        Ok(match &*self.kind {
            "u1" => Npy::Bytes(array!(u8)),
            "b1" => Npy::Integers(array!(bool).mapv(i128::from)),
            "i1" => Npy::Integers(array!(i8).mapv(i128::from)),
            "i2" => Npy::Integers(array!(i16).mapv(i128::from)),
            "i4" => Npy::Integers(array!(i32).mapv(i128::from)),
            "i8" => Npy::Integers(array!(i64).mapv(i128::from)),
            "u2" => Npy::Integers(array!(u16).mapv(i128::from)),
            "u4" => Npy::Integers(array!(u32).mapv(i128::from)),
            "u8" => Npy::Integers(array!(u64).mapv(i128::from)),
            "f4" => Npy::Single(array!(f32)),
            "f8" => Npy::Double(array!(f64)),
            kind => unreachable!("{kind} is not one of the types that `open` accepts"),
        })
    }
}

fn unlike(what: &str, found: impl ToString, expected: &str) -> Error {
    Error::invalid(what, found, expected, "Save it again with numpy.save or numpy.savez.")
}

/// Rows of an array by the kind of their elements.
pub(super) enum Npy {
    /// `uint8`.
    Bytes(ArrayD<u8>),
    /// Other integers and booleans.
    Integers(ArrayD<i128>),
    /// `float32`.
    Single(ArrayD<f32>),
    /// `float64`.
    Double(ArrayD<f64>),
}

/// Evaluates an expression with `$x` bound to the array, whatever the type of its elements.
macro_rules! with_array {
    ($npy:expr, $x:ident => $value:expr) => {
        match $npy {
            Npy::Bytes($x) => $value,
            Npy::Integers($x) => $value,
            Npy::Single($x) => $value,
            Npy::Double($x) => $value,
        }
    };
}

impl Npy {
    /// Number of rows `N`.
    pub fn len(&self) -> usize {
        with_array!(self, x => x.len_of(Axis(0)))
    }

    /// Rows that contain a NaN, which marks a missing value.
    pub fn missing(&self) -> BTreeSet<usize> {
        fn nan<T: Float>(x: &ArrayD<T>) -> BTreeSet<usize> {
            x.indexed_iter().filter(|(_, value)| value.is_nan()).map(|(at, _)| at[0]).collect()
        }
        match self {
            Self::Bytes(_) | Self::Integers(_) => BTreeSet::new(),
            Self::Single(x) => nan(x),
            Self::Double(x) => nan(x),
        }
    }

    /// Keeps the given rows.
    pub fn select(&mut self, rows: &[usize]) {
        with_array!(self, x => *x = x.select(Axis(0), rows));
    }

    /// Inputs `[N, inputs]`; `first` is the index of the first row in the file. Integers other than
    /// `uint8` can be numbers of a table, but not pixels, since their unit is not known.
    pub fn inputs(self, what: &str, is_image: bool, first: usize) -> Result<Raw> {
        Ok(match self {
            Self::Bytes(x) => Raw::Bytes(rows(x)),
            Self::Single(x) => Raw::Single(rows(finite(what, x, first)?)),
            Self::Double(x) if is_image => {
                Raw::Single(rows(finite(what, x.mapv(|value| value as f32), first)?))
            }
            Self::Double(x) => Raw::Numbers(rows(finite(what, x, first)?)),
            Self::Integers(_) if is_image => {
                let advice = "Save x.astype('uint8') or x.astype('float32').";
                let expected = "float32, float64 or uint8";
                return Err(Error::invalid(what, "integers", expected, advice));
            }
            Self::Integers(x) => Raw::Numbers(rows(x.mapv(|value| value as f64))),
        })
    }

    /// Targets `[N]`. The text of a whole number is that of an integer in every type, so that `1`
    /// and `1.0` are one class.
    pub fn targets(self, what: &str) -> Result<Targets> {
        if let Some(row) = self.missing().first() {
            let advice = "Correct or remove that row; --missing drop trains without such rows.";
            return Err(Error::invalid(what, format!("NaN at [{row}]"), "a target", advice));
        }
        let shape = with_array!(&self, y => y.shape().to_vec());
        let (labels, values) = match self {
            Self::Bytes(y) => (texts(&y), y.mapv(f64::from)),
            Self::Integers(y) => (texts(&y), y.mapv(|y| y as f64)),
            // Adding 0 turns −0 into 0.
            Self::Single(y) => {
                let y = finite(what, y, 0)?;
                (texts(&(&y + 0.0)), y.mapv(f64::from))
            }
            Self::Double(y) => {
                let y = finite(what, y, 0)?;
                (texts(&(&y + 0.0)), y)
            }
        };
        if !matches!(*shape, [_] | [_, 1]) {
            let advice = "Save class numbers rather than one-hot rows, or one value.";
            let expected = "one target for each example, [N]";
            return Err(Error::invalid(what, format!("shape {shape:?}"), expected, advice));
        }
        Ok(Targets { what: what.to_owned(), labels, values: Ok(values.into_iter().collect()) })
    }
}

fn texts<T: ToString>(y: &ArrayD<T>) -> Vec<String> {
    y.iter().map(T::to_string).collect()
}

/// Flattens each row: `[N, inputs]`.
fn rows<T: Clone>(x: ArrayD<T>) -> Array2<T> {
    let rows = x.len_of(Axis(0));
    let columns = x.len() / rows;
    x.into_shape_clone((rows, columns)).expect("the same number of elements")
}

/// `x` if all its elements are finite; `first` is the index of its first row in the file.
fn finite<T: Float + Display>(what: &str, x: ArrayD<T>, first: usize) -> Result<ArrayD<T>> {
    let Some((mut index, value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) else {
        return Ok(x);
    };
    index[0] += first;
    let found = format!("{value} at {}", index.as_array_view());
    let single = size_of::<T>() == size_of::<f32>();
    let expected = if single {
        "finite numbers within the range of single precision"
    } else {
        "finite numbers"
    };
    Err(Error::invalid(what, found, expected, "Correct or remove that row."))
}
