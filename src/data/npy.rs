//! NPY: an array of NumPy's, its header compared with the bytes that are there.
use super::files;
use super::preprocess::Raw;
use super::target::Targets;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayD, Axis, Dimension};
use ndarray_npy::{ReadNpyExt, ReadableElement, npy::header::Header};
use num_traits::Float;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{Read, Seek, SeekFrom};

/// No array that we read needs a longer header.
const HEADER: usize = 4096;

/// Rows of an array by the kind of their elements.
pub(super) enum Npy {
    /// `uint8`.
    Bytes(ArrayD<u8>),
    /// Other integers and booleans.
    Whole(ArrayD<i128>),
    /// `float32`.
    Single(ArrayD<f32>),
    /// `float64`.
    Double(ArrayD<f64>),
}

/// An NPY file whose header was checked, read a block of rows at a time.
pub(super) struct Array<R> {
    what: String,
    reader: R,
    header: Header,
    /// As in `"f4"`.
    kind: String,
    /// Bytes of one element.
    width: usize,
    /// Where the elements begin.
    start: usize,
    /// How many rows were read.
    row: usize,
}

impl<R: Read + Seek> Array<R> {
    /// The header alone, of a file from its start.
    pub fn open(what: &str, mut reader: R) -> Result<Self> {
        let invalid = |found: &str, expected| unlike(what, found, expected);
        let mut bytes = files::bounded(what, reader.by_ref().take(12), 12)?;
        let start = match *bytes {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
                10 + usize::from(u16::from_le_bytes([a, b]))
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d] => {
                12 + u32::from_le_bytes([a, b, c, d]) as usize
            }
            _ => return Err(invalid("other bytes at the start", "a NumPy array")),
        };
        let rest = start.min(HEADER).saturating_sub(bytes.len()) as u64;
        bytes.extend(files::bounded(what, reader.by_ref().take(rest), rest)?);
        // Each nested bracket doubles the parser's time: 22 take seconds, 40 take weeks.
        let brackets = bytes.iter().filter(|byte| b"([{".contains(byte)).count();
        if bytes.len() != start || brackets > 2 {
            return Err(invalid("a header cut short, too long or nested", "a plain array"));
        }
        let header = Header::from_reader(&mut &*bytes)
            .map_err(|error| invalid(&error.to_string(), "the header of a NumPy array"))?;
        let kind = header.type_descriptor.as_string().and_then(|kind| kind.get(1..)).unwrap_or("");
        let kind = kind.to_owned();
        let width = kind.get(1..).and_then(|width| width.parse::<usize>().ok()).unwrap_or(0);
        let claimed = header.shape.iter().try_fold(width, |n, &length| n.checked_mul(length));
        let present = files::left(&mut reader).map(|bytes| bytes as usize);
        if matches!(claimed, None | Some(0)) || present.is_some_and(|n| claimed != Some(n)) {
            let present = present.map_or("a pipe".into(), |bytes| format!("{bytes} bytes"));
            return Err(invalid(
                &format!("{present} after a header of shape {:?}, {kind:?}", header.shape),
                "as many as the shape says, and at least one element",
            ));
        }
        if header.shape.is_empty() {
            let advice = "Save an array with one example a row.";
            return Err(Error::invalid(what, "a single number", "an array [N, …]", advice));
        }
        Ok(Self { what: what.to_owned(), reader, header, kind, width, start, row: 0 })
    }

    /// The shape of one example.
    pub fn example(&self) -> &[usize] {
        &self.header.shape[1..]
    }

    /// The shape of one example, and all of them.
    pub fn whole(what: &str, reader: R) -> Result<(Vec<usize>, Npy)> {
        let mut array = Self::open(what, reader)?;
        let all = array.next(usize::MAX)?.expect("a row at least: see `open`");
        Ok((array.example().to_vec(), all))
    }

    /// The next rows, `most` or as many as are left; none at the end.
    pub fn next(&mut self, most: usize) -> Result<Option<Npy>> {
        let (all, columns) = (self.header.shape[0], self.example().iter().product::<usize>());
        let rows = most.min(all - self.row);
        if rows == 0 {
            return Ok(None);
        }
        // What is left of a header and the rows of a block are an NPY file again.
        let mut header = self.header.clone();
        header.shape[0] = rows;
        let mut bytes = header
            .to_bytes()
            .map_err(|error| unlike(&self.what, &error.to_string(), "a plain header"))?;
        let count = (rows * self.width) as u64;
        if header.layout.is_fortran() && rows < all {
            for column in 0..columns {
                let at = self.start + (column * all + self.row) * self.width;
                self.reader
                    .seek(SeekFrom::Start(at as u64))
                    .map_err(|error| files::unreadable(&self.what, &error))?;
                bytes.extend(files::exactly(&self.what, &mut self.reader, count)?);
            }
        } else {
            bytes.extend(files::exactly(&self.what, &mut self.reader, count * columns as u64)?);
        }
        self.row += rows;
        if self.row == all {
            files::end(&self.what, &mut self.reader)?;
        }
        self.elements(&bytes).map(Some)
    }

    fn elements(&self, bytes: &[u8]) -> Result<Npy> {
        macro_rules! array {
            ($element:ty) => {
                elements::<$element>(bytes)
                    .map_err(|error| unlike(&self.what, &error, "a NumPy array"))?
            };
        }
        Ok(match &*self.kind {
            "u1" => Npy::Bytes(array!(u8)),
            "b1" => Npy::Whole(array!(bool).mapv(i128::from)),
            "i1" => Npy::Whole(array!(i8).mapv(i128::from)),
            "i2" => Npy::Whole(array!(i16).mapv(i128::from)),
            "i4" => Npy::Whole(array!(i32).mapv(i128::from)),
            "i8" => Npy::Whole(array!(i64).mapv(i128::from)),
            "u2" => Npy::Whole(array!(u16).mapv(i128::from)),
            "u4" => Npy::Whole(array!(u32).mapv(i128::from)),
            "u8" => Npy::Whole(array!(u64).mapv(i128::from)),
            "f4" => Npy::Single(array!(f32)),
            "f8" => Npy::Double(array!(f64)),
            kind => {
                let found = format!("elements {kind:?}");
                return Err(unlike(&self.what, &found, "float32, float64 or integers"));
            }
        })
    }
}

fn unlike(what: &str, found: &str, expected: &str) -> Error {
    Error::invalid(what, found, expected, "Save it again with numpy.save or numpy.savez.")
}

fn elements<T: ReadableElement>(bytes: &[u8]) -> std::result::Result<ArrayD<T>, String> {
    ArrayD::read_npy(bytes).map_err(|error| error.to_string())
}

impl Npy {
    /// `N`.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(x) => x.len_of(Axis(0)),
            Self::Whole(x) => x.len_of(Axis(0)),
            Self::Single(x) => x.len_of(Axis(0)),
            Self::Double(x) => x.len_of(Axis(0)),
        }
    }

    /// Rows with a NaN, which is how an array says that a value is missing.
    pub fn missing(&self) -> BTreeSet<usize> {
        fn nan<T: Float>(x: &ArrayD<T>) -> BTreeSet<usize> {
            x.indexed_iter().filter(|(_, value)| value.is_nan()).map(|(at, _)| at[0]).collect()
        }
        match self {
            Self::Bytes(_) | Self::Whole(_) => BTreeSet::new(),
            Self::Single(x) => nan(x),
            Self::Double(x) => nan(x),
        }
    }

    /// Some of the rows.
    pub fn select(self, rows: &[usize]) -> Self {
        match self {
            Self::Bytes(x) => Self::Bytes(x.select(Axis(0), rows)),
            Self::Whole(x) => Self::Whole(x.select(Axis(0), rows)),
            Self::Single(x) => Self::Single(x.select(Axis(0), rows)),
            Self::Double(x) => Self::Double(x.select(Axis(0), rows)),
        }
    }

    /// `x [N, inputs]`, the rows of the file from `first` on. Integers are numbers of a table, not
    /// pixels, unless they are bytes.
    pub fn inputs(self, what: &str, is_image: bool, first: usize) -> Result<Raw> {
        Ok(match self {
            Self::Bytes(x) => Raw::Bytes(rows(x)),
            Self::Single(x) => Raw::Single(rows(finite(what, x, first)?)),
            Self::Double(x) if is_image => {
                Raw::Single(rows(finite(what, x.mapv(|value| value as f32), first)?))
            }
            Self::Double(x) => Raw::Numbers(rows(finite(what, x, first)?)),
            Self::Whole(_) if is_image => {
                let advice = "Save x.astype('uint8') or x.astype('float32').";
                let expected = "float32, float64 or uint8";
                return Err(Error::invalid(what, "integers", expected, advice));
            }
            Self::Whole(x) => Raw::Numbers(rows(x.mapv(|value| value as f64))),
        })
    }

    /// `y [N]`. Whole numbers have the text of integers whatever their type.
    pub fn targets(self, what: &str) -> Result<Targets> {
        if let Some(row) = self.missing().first() {
            let advice = "Mend or remove that row; --drop-missing trains without such rows.";
            return Err(Error::invalid(what, format!("NaN at [{row}]"), "a target", advice));
        }
        let (shape, labels, values): (Vec<usize>, Vec<String>, Vec<f64>) = match self {
            Self::Bytes(y) => {
                (y.shape().into(), strings(&y), y.into_iter().map(f64::from).collect())
            }
            Self::Whole(y) => {
                (y.shape().into(), strings(&y), y.into_iter().map(|y| y as f64).collect())
            }
            Self::Single(y) => {
                let y = finite(what, y, 0)?;
                let text = y.iter().map(|&y| (y + 0.0).to_string()).collect();
                (y.shape().into(), text, y.into_iter().map(f64::from).collect())
            }
            Self::Double(y) => {
                let y = finite(what, y, 0)?;
                let text = y.iter().map(|&y| (y + 0.0).to_string()).collect();
                (y.shape().into(), text, y.into_iter().collect())
            }
        };
        if !matches!(*shape, [_] | [_, 1]) {
            return Err(Error::invalid(
                what,
                format!("shape {shape:?}"),
                "one target an example, [N]",
                "Save class numbers rather than one-hot rows, or one value.",
            ));
        }
        Ok(Targets { what: what.to_owned(), labels, values: Ok(values) })
    }
}

fn strings<T: ToString>(y: &ArrayD<T>) -> Vec<String> {
    y.iter().map(T::to_string).collect()
}

/// `[N, inputs]`.
fn rows<T: Clone>(x: ArrayD<T>) -> Array2<T> {
    let rows = x.len_of(Axis(0));
    let columns = x.len() / rows;
    x.into_shape_clone((rows, columns)).expect("the same number of elements")
}

/// `x`, if all of it is finite; its first row is the row `first` of the file.
fn finite<T: Float + Display>(what: &str, x: ArrayD<T>, first: usize) -> Result<ArrayD<T>> {
    let Some((mut index, value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) else {
        return Ok(x);
    };
    index[0] += first;
    let found = format!("{value} at {}", index.as_array_view());
    let single = size_of::<T>() == size_of::<f32>();
    let expected =
        if single { "finite numbers that single precision can hold" } else { "finite numbers" };
    Err(Error::invalid(what, found, expected, "Mend or remove that row."))
}
