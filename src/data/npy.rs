//! NPY: an array of NumPy's, its header compared with the bytes that are there.
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayD, Dimension};
use ndarray_npy::{ReadNpyExt, ReadableElement, npy::header::Header};

/// No array that we read needs a longer header.
const HEADER: usize = 4096;

/// An array by the kind of its elements.
pub(super) enum Npy {
    /// `uint8`.
    Bytes(ArrayD<u8>),
    /// Other integers and booleans.
    Whole(ArrayD<f64>),
    /// `float32`.
    Single(ArrayD<f32>),
    /// `float64`.
    Double(ArrayD<f64>),
}

/// The array in the bytes of an NPY file.
pub(super) fn read(what: &str, bytes: &[u8]) -> Result<Npy> {
    let invalid = |found: String, expected: &str| {
        Error::invalid(what, found, expected, "Save it again with numpy.save or numpy.savez.")
    };
    let start = match *bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
            10 + usize::from(u16::from_le_bytes([a, b]))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            12 + u32::from_le_bytes([a, b, c, d]) as usize
        }
        _ => return Err(invalid("other bytes at the start".into(), "a NumPy array")),
    };
    let header = bytes.get(..start.min(HEADER)).unwrap_or(bytes);
    // Each nested bracket doubles the parser's time: 22 take seconds, 40 take weeks.
    let brackets = header.iter().filter(|byte| b"([{".contains(byte)).count();
    if header.len() < start || brackets > 2 {
        return Err(invalid("a header cut short, too long or nested".into(), "a plain array"));
    }
    let header = Header::from_reader(&mut &bytes[..start])
        .map_err(|error| invalid(error.to_string(), "the header of a NumPy array"))?;
    let kind = header.type_descriptor.as_string().map_or("", |kind| kind.get(1..).unwrap_or(""));
    let width = kind.get(1..).and_then(|width| width.parse::<usize>().ok()).unwrap_or(0);
    let claimed = header.shape.iter().try_fold(width, |n, &length| n.checked_mul(length));
    let present = bytes.len() - start;
    if claimed != Some(present) || present == 0 {
        return Err(invalid(
            format!("{present} bytes after a header of shape {:?}, {kind:?}", header.shape),
            "as many as the shape says, and at least one element",
        ));
    }
    macro_rules! array {
        ($element:ty) => {
            elements::<$element>(bytes).map_err(|error| invalid(error, "a NumPy array"))?
        };
    }
    Ok(match kind {
        "u1" => Npy::Bytes(array!(u8)),
        "b1" => Npy::Whole(array!(bool).mapv(f64::from)),
        "i1" => Npy::Whole(array!(i8).mapv(f64::from)),
        "i2" => Npy::Whole(array!(i16).mapv(f64::from)),
        "i4" => Npy::Whole(array!(i32).mapv(f64::from)),
        "i8" => Npy::Whole(array!(i64).mapv(|value| value as f64)),
        "u2" => Npy::Whole(array!(u16).mapv(f64::from)),
        "u4" => Npy::Whole(array!(u32).mapv(f64::from)),
        "u8" => Npy::Whole(array!(u64).mapv(|value| value as f64)),
        "f4" => Npy::Single(array!(f32)),
        "f8" => Npy::Double(array!(f64)),
        _ => return Err(invalid(format!("elements {kind:?}"), "float32, float64 or integers")),
    })
}

fn elements<T: ReadableElement>(bytes: &[u8]) -> std::result::Result<ArrayD<T>, String> {
    ArrayD::read_npy(bytes).map_err(|error| error.to_string())
}

impl Npy {
    /// The shape of one example, and `x [N, inputs]`: bytes divided by 255, floats as they are.
    pub fn inputs(self, what: &str) -> Result<(Vec<usize>, Array2<f32>)> {
        let x = match self {
            Self::Bytes(x) => x.mapv(|byte| f32::from(byte) / 255.0),
            Self::Single(x) => x,
            Self::Double(x) => x.mapv(|value| value as f32),
            Self::Whole(_) => {
                let advice = "Save x.astype('float32').";
                return Err(Error::invalid(what, "integers", "float32, float64 or uint8", advice));
            }
        };
        finite(what, &x)?;
        let Some((&rows, example)) = x.shape().split_first() else {
            let advice = "Save an array with one example a row.";
            return Err(Error::invalid(what, "a single number", "an array [N, …]", advice));
        };
        let (example, columns) = (example.to_vec(), example.iter().product::<usize>());
        Ok((example, x.into_shape_clone((rows, columns)).expect("the same number of elements")))
    }

    /// Whether the elements are integers, and `y [N]`.
    pub fn targets(self, what: &str) -> Result<(bool, Vec<f64>)> {
        let (whole, y) = match self {
            Self::Bytes(y) => (true, y.mapv(f64::from)),
            Self::Whole(y) => (true, y),
            Self::Single(y) => (false, y.mapv(f64::from)),
            Self::Double(y) => (false, y),
        };
        finite(what, &y.mapv(|value| value as f32))?;
        match y.shape() {
            [_] | [_, 1] => Ok((whole, y.into_iter().collect())),
            shape => Err(Error::invalid(
                what,
                format!("shape {shape:?}"),
                "one target an example, [N]",
                "Save class numbers rather than one-hot rows, or one value.",
            )),
        }
    }
}

fn finite(what: &str, array: &ArrayD<f32>) -> Result<()> {
    match array.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((index, value)) => Err(Error::invalid(
            what,
            format!("{value} at {}", index.as_array_view()),
            "finite numbers that single precision can hold",
            "Mend or remove that row.",
        )),
    }
}
