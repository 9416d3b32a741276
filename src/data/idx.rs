//! IDX: the format of MNIST's files, for images of the user's.
use super::files;
use crate::error::{Error, Result};
use ndarray::Array2;

/// The first bytes of a gzip file.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The shape of one example, and pixels `[N, inputs]` as `byte / 255`; gzip or not.
pub(super) fn read(what: &str, bytes: Vec<u8>) -> Result<(Vec<usize>, Array2<f32>)> {
    let bytes =
        if bytes.starts_with(&GZIP) { files::gunzip(what, &*bytes, files::LIMIT)? } else { bytes };
    let invalid = |found: String, expected: &str| {
        Error::invalid(what, found, expected, "Check that it is a whole file of images.")
    };
    let dimensions = match *bytes {
        [0, 0, 8, dimensions @ (3 | 4), ..] => usize::from(dimensions),
        _ => {
            let start = &bytes[..bytes.len().min(4)];
            let expected = "an IDX file of images, [0, 0, 8, 3] or [0, 0, 8, 4]";
            return Err(invalid(format!("the first bytes {start:?}"), expected));
        }
    };
    let Some((header, pixels)) = bytes[4..].split_at_checked(4 * dimensions) else {
        return Err(invalid(format!("{} bytes", bytes.len()), "a whole header"));
    };
    let length = |field: &[u8; 4]| u32::from_be_bytes(*field) as usize;
    let shape: Vec<usize> = header.as_chunks().0.iter().map(length).collect();
    let claimed = shape.iter().try_fold(1_usize, |n, &length| n.checked_mul(length));
    if claimed != Some(pixels.len()) || pixels.is_empty() {
        return Err(invalid(
            format!("{} pixels after a header of shape {shape:?}", pixels.len()),
            "as many as the shape says, and at least one",
        ));
    }
    let pixels = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let columns = shape[1..].iter().product();
    let x = Array2::from_shape_vec((shape[0], columns), pixels).expect("counted above");
    Ok((shape[1..].to_vec(), x))
}
