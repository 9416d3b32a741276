//! CIFAR-10 in its binary version. A record is a label and three 32×32 colour planes. The published
//! file is a tar archive of files of records; the stand-ins are files of records on their own.
use super::dataset::{Dataset, Options, Split};
use super::images::{self, split};
use super::scaler::StandardScaler;
use super::{files, sources};
use crate::error::{Error, Result};
use flate2::bufread::GzDecoder;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use tar::Archive;

const NAME: &str = "cifar-10";

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Names of the files of records; the last has the test images. In the archive they are in a
/// folder.
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// Number of values in an image: planes of red, green and blue.
const PIXELS: usize = 3 * 32 * 32;

/// Length of a record in bytes: the label, then the image.
const RECORD: usize = 1 + PIXELS;

/// Number of records in a file.
const ROWS: usize = 10_000;

/// The images of the first `classes` classes. If `classes` is 10, there are 45 000 training, 5 000
/// validation and 10 000 test images; the validation images are the last of the published training
/// images. Each channel is standardised by its mean and standard deviation over the training
/// images.
pub(super) fn load(classes: usize, options: &Options, data_dir: Option<&Path>) -> Result<Dataset> {
    let name = format!("cifar-{classes}");
    options.only_classes(&name)?;
    let files = read(&FILES, data_dir)?;
    let records: Vec<&[u8]> = files.iter().flat_map(|file| file.chunks_exact(RECORD)).collect();
    let mut parts =
        [&records[..45_000], &records[45_000..50_000], &records[50_000..]].map(|part| {
            part.iter().filter(|record| usize::from(record[0]) < classes).collect::<Vec<_>>()
        });
    let kept = options.keep(parts[0].len())?;
    parts[0].truncate(kept);
    let mut parts = parts.map(|part| examples(part.into_iter().copied()));
    let scaler = StandardScaler::fit_channels(&parts[0].x, 3);
    parts.iter_mut().for_each(|part| scaler.transform_in_place(&mut part.x));
    Ok(images::dataset(&name, &CLASSES[..classes], [3, 32, 32], Some(scaler), parts))
}

/// The test images, not standardised.
pub(super) fn test(data_dir: Option<&Path>) -> Result<Split> {
    let files = read(&FILES[5..], data_dir)?;
    Ok(examples(files.iter().flat_map(|file| file.chunks_exact(RECORD))))
}

fn examples<'a>(records: impl Iterator<Item = &'a [u8]>) -> Split {
    let (labels, images): (Vec<u8>, Vec<&[u8]>) = records.map(|r| (r[0], &r[1..])).unzip();
    split(&images.concat(), &labels)
}

/// The bytes of the named files. Each is checked to consist of [`ROWS`] records.
fn read(names: &[&str], data_dir: Option<&Path>) -> Result<Vec<Vec<u8>>> {
    let set = sources::set(NAME);
    let place = set.place(data_dir)?;
    let mut found = HashMap::new();
    for file in place.files.iter().filter(|file| names.contains(&file.name) || !place.stand_in) {
        let (what, bytes) = place.read(file)?;
        match place.stand_in {
            true => drop(found.insert(file.name.to_owned(), bytes)),
            false => found = unpack(&what, &bytes, names)?,
        }
    }
    names.iter().map(|name| check(name, found.remove(*name).expect("all files"), ROWS)).collect()
}

/// Extracts the files with these names from `cifar-10-binary.tar.gz`.
///
/// # Errors
/// If the archive is damaged, or a file is missing or too large.
pub fn unpack(what: &str, archive: &[u8], names: &[&str]) -> Result<HashMap<String, Vec<u8>>> {
    let broken = |error: io::Error| files::unreadable(what, &error);
    let mut found = HashMap::new();
    let mut archive = Archive::new(GzDecoder::new(archive));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let name = files::name(&path, true);
        if names.contains(&&*name) {
            let what = format!("{what}, {}", path.display());
            found.insert(name, files::bounded(&what, entry, (ROWS * RECORD) as u64)?);
        }
    }
    // The checksum of gzip is at the end of the file: only a reader that gets there verifies it.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    match names.iter().find(|name| !found.contains_key(**name)) {
        None => Ok(found),
        Some(name) => {
            let (found, expected) = (format!("no file {name}"), format!("all of {names:?}"));
            Err(Error::invalid(what, found, expected, files::fetch_again(NAME)))
        }
    }
}

/// Returns `bytes` if they are `rows` records.
///
/// # Errors
/// If the length is not that of `rows` records, or a label exceeds 9.
pub fn check(what: &str, bytes: Vec<u8>, rows: usize) -> Result<Vec<u8>> {
    let invalid = |found: String, expected: String| {
        Error::invalid(what, found, expected, files::fetch_again(NAME))
    };
    let expected = rows * RECORD;
    if bytes.len() != expected {
        let expected = format!("{expected}: {rows} records of {RECORD}");
        return Err(invalid(format!("{} bytes", bytes.len()), expected));
    }
    let labels = bytes.iter().step_by(RECORD);
    if let Some((row, label)) = labels.enumerate().find(|(_, label)| **label > 9) {
        let found = format!("the label {label} in record {row} (from 0)");
        return Err(invalid(found, "labels from 0 to 9".into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;
    use std::io::Write;

    fn tar_gz(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(vec![]);
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        gzip(&tar.into_inner().unwrap())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    fn fails<T>(result: Result<T>, parts: &[&str]) {
        let error = result.err().expect("an error").to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn archive_members_are_found_and_bounded() {
        let good = tar_gz(&[("x/readme.html", b"hello"), ("x/test_batch.bin", b"123")]);
        assert_eq!(unpack("a", &good, &FILES[5..]).unwrap()["test_batch.bin"], b"123");
        fails(
            unpack("a.tar.gz", &good, &FILES[..5]),
            &["a.tar.gz", "no file data_batch_1.bin", "fetch"],
        );
        fails(unpack("a.tar.gz", &good[..good.len() - 12], &FILES[5..]), &["a.tar.gz"]);
        fails(unpack("a.tar.gz", b"not gzip", &FILES[5..]), &["a.tar.gz", "cannot be read"]);
        fails(unpack("a.tar.gz", &gzip(&[7; 600]), &FILES[5..]), &["a.tar.gz", "cannot be read"]);
        let large = vec![0; ROWS * RECORD + 1];
        let large = tar_gz(&[("x/test_batch.bin", &large)]);
        fails(
            unpack("a.tar.gz", &large, &FILES[5..]),
            &["test_batch.bin", "more than 30730000 bytes"],
        );
        // A header that claims eight gigabytes, followed by three bytes.
        let mut header = tar::Header::new_gnu();
        header.set_path("test_batch.bin").unwrap();
        header.set_size(8 << 30);
        header.set_cksum();
        let short = gzip(&[header.as_bytes(), &b"123"[..]].concat());
        let found = unpack("a.tar.gz", &short, &FILES[5..]);
        fails(found.and_then(|mut f| check("b", f.remove("test_batch.bin").unwrap(), ROWS)), &[]);
    }

    /// Nothing is extracted to disk: a path only selects a file, and a link has no bytes.
    #[test]
    fn links_and_paths_are_not_followed() {
        let mut tar = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "x/data_batch_1.bin", "/etc/passwd").unwrap();
        let mut header = tar::Header::new_gnu();
        let path = b"../../../test_batch.bin";
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_size(3);
        header.set_cksum();
        tar.append(&header, &b"123"[..]).unwrap();
        let packed = gzip(&tar.into_inner().unwrap());
        let found = unpack("a", &packed, &["data_batch_1.bin", "test_batch.bin"]).unwrap();
        assert!(found["data_batch_1.bin"].is_empty() && found["test_batch.bin"] == b"123");
    }

    #[test]
    fn records_are_parsed_as_label_and_planes() {
        let mut bytes = vec![0; ROWS * RECORD];
        (bytes[0], bytes[1], bytes[PIXELS]) = (9, 51, 255);
        bytes[2 * RECORD] = 3;
        let bytes_of_records = check("b", bytes.clone(), ROWS).unwrap();
        let images = examples(bytes_of_records.chunks_exact(RECORD));
        assert_eq!(images.x.dim(), (10_000, PIXELS));
        assert_eq!([images.x[[0, 0]], images.x[[0, PIXELS - 1]], images.x[[1, 0]]], [0.2, 1., 0.]);
        let Targets::Classes(classes) = images.y else { panic!("values") };
        assert_eq!(classes[..3], [9, 0, 3]);
        let refused = |bytes: &[u8], parts: &[&str]| {
            fails(check("b.bin", bytes.to_vec(), ROWS), parts);
        };
        refused(&bytes[1..], &["b.bin", "30729999 bytes", "30730000", "fetch cifar-10"]);
        refused(&[], &["b.bin", "0 bytes"]);
        bytes[RECORD] = 10;
        refused(&bytes, &["the label 10 in record 1", "0 to 9"]);
    }
}
