//! Where the files of a published data set are on this machine, and how they are read and verified.
use super::sources::{File, Set};
use super::{embedded, files};
use crate::error::{Error, Result};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// All files of a data set in one place.
pub(crate) struct Place {
    /// Their folder; `None` if they are compiled into the program.
    pub folder: Option<PathBuf>,
    /// The published files or the stand-ins.
    pub files: Vec<File>,
    /// Whether `files` are the stand-ins.
    pub stand_in: bool,
}

impl Place {
    /// The name of a file in messages.
    pub fn what(&self, file: &File) -> String {
        match &self.folder {
            Some(folder) => folder.join(file.name).display().to_string(),
            None => format!("{} (inside the program)", file.name),
        }
    }

    /// Opens a file without decompressing it.
    pub fn open(&self, file: &File) -> Result<Box<dyn BufRead>> {
        Ok(match &self.folder {
            Some(folder) => Box::new(files::open(&folder.join(file.name))?),
            None => Box::new(embedded::mnist(file.name)),
        })
    }
}

impl Set {
    /// The folder of this set's files, or `inside the program`; `None` if files are missing.
    pub fn present(&self, data_dir: Option<&Path>) -> Option<String> {
        let folder = match self.place(data_dir) {
            Ok(place) => place.folder,
            Err(_) if self.address.is_none() => None,
            Err(_) => return None,
        };
        Some(folder.map_or("inside the program".into(), |folder| folder.display().to_string()))
    }

    /// Finds all published files, or all stand-ins. A folder `mnist` takes precedence over the copy
    /// inside the program.
    ///
    /// # Errors
    /// [`Error::Missing`] if files are missing; for MNIST, if `data_dir` does not exist.
    pub(crate) fn place(&self, data_dir: Option<&Path>) -> Result<Place> {
        let folder = data_dir.map(|dir| dir.join(self.name));
        if self.address.is_none() {
            if let Some(dir) = data_dir.filter(|dir| !dir.is_dir()) {
                let advice = "Correct it, or leave it out to use the copy inside the program.";
                let what = dir.display();
                return Err(Error::invalid(what, "no such folder", "the data folder", advice));
            }
            let folder = folder.filter(|folder| folder.exists());
            return Ok(Place { folder, files: self.files.clone(), stand_in: false });
        }
        let exists = |file: &File| folder.as_ref().is_some_and(|at| at.join(file.name).is_file());
        for (files, stand_in) in [(&self.files, false), (&self.stand_ins, true)] {
            if !files.is_empty() && files.iter().all(exists) {
                return Ok(Place { folder, files: files.clone(), stand_in });
            }
        }
        Err(Error::Missing { set: self.name.into(), folder })
    }

    /// Reads a file: its name in messages and its verified, decompressed bytes.
    ///
    /// # Errors
    /// If files are missing, or the file differs from the published one.
    ///
    /// # Panics
    /// If the set has no such file.
    pub(super) fn read(&self, name: &str, data_dir: Option<&Path>) -> Result<(String, Vec<u8>)> {
        let place = self.place(data_dir)?;
        let file = place.files.iter().find(|file| file.name == name);
        let file = file.unwrap_or_else(|| panic!("{} has no file {name}", self.name));
        let what = place.what(file);
        let bytes = self.whole(file, &what, place.open(file)?)?;
        Ok((what, bytes))
    }

    /// The decompressed bytes of `file`, verified against the published size and checksum.
    ///
    /// # Errors
    /// If they differ.
    pub(crate) fn whole(&self, file: &File, what: &str, reader: impl BufRead) -> Result<Vec<u8>> {
        let bytes = file.unpack(what, reader)?;
        file.verify(what, &bytes, &self.advice())?;
        Ok(bytes)
    }

    /// What to do about a damaged file.
    pub(super) fn advice(&self) -> String {
        match self.address {
            Some(_) => files::fetch_again(self.name),
            None => "Put the published file back, or remove the folder to use the copy inside \
                     the program."
                .into(),
        }
    }
}

impl File {
    /// Decompresses the file if it is gzip; reads at most the published number of bytes.
    pub(super) fn unpack(&self, what: &str, reader: impl BufRead) -> Result<Vec<u8>> {
        match self.compressed {
            Some(_) => files::gunzip(what, reader, self.bytes),
            None => files::bounded(what, reader, self.bytes),
        }
    }

    /// Compares decompressed bytes with the published size and SHA-256.
    pub(super) fn verify(&self, what: &str, bytes: &[u8], advice: &str) -> Result<()> {
        let (size, sum) = (bytes.len() as u64, files::sha256(bytes));
        let unpacked = if self.compressed.is_some() { " unpacked" } else { "" };
        let (found, expected) = if size != self.bytes {
            (format!("{size} bytes{unpacked}"), self.bytes.to_string())
        } else if sum != self.sha256 {
            (format!("SHA-256 {sum}"), self.sha256.to_owned())
        } else {
            return Ok(());
        };
        Err(Error::invalid(what, found, expected, advice))
    }
}
