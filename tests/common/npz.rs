//! NPZ archives, written.
use ndarray::{ArrayBase, Data, Dimension};
use ndarray_npy::{WritableElement, WriteNpyExt};
use std::io::{Result, Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An archive of arrays by name.
pub struct NpzWriter<W: Write + Seek>(ZipWriter<W>, SimpleFileOptions);

impl<W: Write + Seek> NpzWriter<W> {
    /// An archive that stores arrays as they are, as `numpy.savez` does.
    pub fn new(to: W) -> Self {
        Self::of(to, CompressionMethod::Stored)
    }

    /// An archive that compresses arrays, as `numpy.savez_compressed` does.
    pub fn new_compressed(to: W) -> Self {
        Self::of(to, CompressionMethod::Deflated)
    }

    fn of(to: W, method: CompressionMethod) -> Self {
        Self(ZipWriter::new(to), SimpleFileOptions::default().compression_method(method))
    }

    pub fn add_array<S: Data<Elem: WritableElement>, D: Dimension>(
        &mut self,
        name: &str,
        array: &ArrayBase<S, D>,
    ) -> Result<()> {
        self.0.start_file(format!("{name}.npy"), self.1)?;
        array.write_npy(&mut self.0).map_err(std::io::Error::other)
    }

    pub fn finish(self) -> Result<W> {
        Ok(self.0.finish()?)
    }
}
