//! IDX, the format of MNIST's files, for images.
use super::blocks::Blocks;
use super::files;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use ndarray::Array2;
use std::io::{BufRead, Read, Seek};

/// The first bytes of a gzip file.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An open file of images, plain or gzip.
pub(super) struct Idx(Blocks<Box<dyn Read>>);

impl Idx {
    /// Reads the header. The pixels after it must be exactly as many bytes as its shape says. For
    /// a plain file this is checked here. The size of compressed data is known only once they are
    /// decompressed, so for gzip [`next`](Self::next) fails if the data end before the last row,
    /// or do not end after it.
    pub fn open(what: &str, mut file: impl BufRead + Seek + 'static) -> Result<Self> {
        let packed = file.fill_buf().is_ok_and(|start| start.starts_with(&GZIP));
        let size = if packed { None } else { files::left(&mut file) };
        let mut reader: Box<dyn Read> =
            if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let invalid = |found: String, expected: &str| {
            Error::invalid(what, found, expected, "Check that it is a complete file of images.")
        };
        let start = files::bounded(what, reader.by_ref().take(4), 4)?;
        let [0, 0, 8, dimensions @ (3 | 4)] = *start else {
            let expected = "an IDX file of images, [0, 0, 8, 3] or [0, 0, 8, 4]";
            return Err(invalid(format!("the first bytes {start:?}"), expected));
        };
        let bytes = 4 * u64::from(dimensions);
        let header = files::bounded(what, reader.by_ref().take(bytes), bytes)?;
        if (header.len() as u64) < bytes {
            return Err(invalid(format!("{} bytes", 4 + header.len()), "a complete header"));
        }
        let length = |field: &[u8; 4]| u32::from_be_bytes(*field) as usize;
        let shape = header.as_chunks().0.iter().map(length).collect();
        let present = size.map(|size| size.saturating_sub(4 + bytes));
        Blocks::new(what, reader, shape, ("u1", 1), present).map(Self)
    }

    /// The shape of one image.
    pub fn example(&self) -> &[usize] {
        self.0.example()
    }

    /// The next images `[N, pixels]`, at most `limit`; `None` at the end.
    pub fn next(&mut self, limit: usize) -> Result<Option<Array2<u8>>> {
        let pixels = self.example().iter().product::<usize>();
        let block = self.0.next(limit, |what, reader, rows| {
            files::exactly(what, reader, (rows.len() * pixels) as u64)
        })?;
        Ok(block.map(|(rows, bytes)| {
            Array2::from_shape_vec((rows, pixels), bytes).expect("the bytes of all rows")
        }))
    }
}
