//! IDX: the format of MNIST's files, for images.
use super::files;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use ndarray::Array2;
use std::io::{BufRead, Read, Seek};

/// The first bytes of a gzip file.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file of images, gzip or not, whose header was checked, read a block of rows at a time.
pub(super) struct Idx {
    what: String,
    reader: Box<dyn Read>,
    shape: Vec<usize>,
    /// How many rows were read.
    row: usize,
}

impl Idx {
    /// The header alone, compared with the size of the file, which a gzip file does not say.
    pub fn open(what: &str, mut file: impl BufRead + Seek + 'static) -> Result<Self> {
        let packed = file.fill_buf().is_ok_and(|start| start.starts_with(&GZIP));
        let size = if packed { None } else { files::left(&mut file) };
        let mut reader: Box<dyn Read> =
            if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let invalid = |found: String, expected: &str| {
            Error::invalid(what, found, expected, "Check that it is a whole file of images.")
        };
        let start = files::bounded(what, reader.by_ref().take(4), 4)?;
        let [0, 0, 8, dimensions @ (3 | 4)] = *start else {
            let expected = "an IDX file of images, [0, 0, 8, 3] or [0, 0, 8, 4]";
            return Err(invalid(format!("the first bytes {start:?}"), expected));
        };
        let bytes = 4 * u64::from(dimensions);
        let header = files::bounded(what, reader.by_ref().take(bytes), bytes)?;
        if (header.len() as u64) < bytes {
            return Err(invalid(format!("{} bytes", 4 + header.len()), "a whole header"));
        }
        let length = |field: &[u8; 4]| u32::from_be_bytes(*field) as usize;
        let shape: Vec<usize> = header.as_chunks().0.iter().map(length).collect();
        let claimed = shape.iter().try_fold(1_usize, |n, &length| n.checked_mul(length));
        let present = size.map(|size| size.saturating_sub(4 + bytes) as usize);
        if matches!(claimed, None | Some(0)) || present.is_some_and(|n| claimed != Some(n)) {
            let present = present.map_or("no".into(), |pixels| pixels.to_string());
            return Err(invalid(
                format!("{present} pixels after a header of shape {shape:?}"),
                "as many as the shape says, and at least one",
            ));
        }
        Ok(Self { what: what.to_owned(), reader, shape, row: 0 })
    }

    /// The shape of one example.
    pub fn example(&self) -> &[usize] {
        &self.shape[1..]
    }

    /// The next rows `[N, pixels]`, `most` or as many as are left; none at the end.
    pub fn next(&mut self, most: usize) -> Result<Option<Array2<u8>>> {
        let (all, columns) = (self.shape[0], self.example().iter().product());
        let rows = most.min(all - self.row);
        if rows == 0 {
            return Ok(None);
        }
        let pixels = files::exactly(&self.what, &mut self.reader, (rows * columns) as u64)?;
        self.row += rows;
        if self.row == all {
            files::end(&self.what, &mut self.reader)?;
        }
        Ok(Some(Array2::from_shape_vec((rows, columns), pixels).expect("as many as were read")))
    }
}
