//! Omniglot: drawings of characters, PNG files in zip archives.
use super::files;
use crate::error::{Error, Result};
use image::GrayImage;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Cursor;
use zip::ZipArchive;

/// Width and height of a drawing.
const SIDE: u32 = 105;

/// Largest number of entries in an archive.
const ENTRIES: usize = 10_000;

/// Largest decompressed size of an entry, in bytes.
const BYTES: u64 = 1 << 16;

/// Drawings by path: alphabet, character and drawing, without the archive's top folder.
pub type Drawings = BTreeMap<String, GrayImage>;

/// Adds the drawings of an archive to `drawings`; ink is 0 and paper is 255. A drawing whose path
/// is already there replaces the earlier one, so a drawing that both archives contain is stored
/// once.
///
/// # Errors
/// If the bytes are not a zip archive of 105×105 PNG pictures, or there are more than 10 000
/// entries, or an entry is larger than 64 KiB.
pub fn add(drawings: &mut Drawings, what: &str, archive: &[u8]) -> Result<()> {
    let unlike = |what: &str, found: &dyn Display, expected: &str| {
        Error::invalid(what, found, expected, files::fetch_again("omniglot"))
    };
    let mut zip = ZipArchive::new(Cursor::new(archive))
        .map_err(|error| unlike(what, &error, "a zip archive"))?;
    if zip.len() > ENTRIES {
        let found = format!("{} entries", zip.len());
        return Err(unlike(what, &found, &format!("at most {ENTRIES}")));
    }
    for index in 0..zip.len() {
        let entry = zip.by_index(index).map_err(|error| unlike(what, &error, "intact entries"))?;
        if entry.is_dir() {
            continue;
        }
        let path = entry.enclosed_name();
        let path = path.as_ref().and_then(|path| path.to_str()).unwrap_or("..");
        let Some((_, name)) = path.split_once('/').filter(|_| path.ends_with(".png")) else {
            let found = format!("an entry {:?}", entry.name());
            return Err(unlike(what, &found, "drawings, FOLDER/ALPHABET/CHARACTER/DRAWING.png"));
        };
        let (name, what) = (name.to_owned(), format!("{what}, {path}"));
        let drawing = files::png(files::bounded(&what, entry, BYTES)?, SIDE)
            .map_err(|error| unlike(&what, &error, "a PNG picture of 105×105"))?
            .into_luma8();
        if drawing.dimensions() != (SIDE, SIDE) {
            let found = format!("{}×{}", drawing.width(), drawing.height());
            return Err(unlike(&what, &found, "a PNG picture of 105×105"));
        }
        drawings.insert(name, drawing);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn png(side: u32) -> Vec<u8> {
        let mut png = Cursor::new(vec![]);
        GrayImage::new(side, side).write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    }

    fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(vec![]));
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[track_caller]
    fn refused(archive: &[u8], parts: &[&str]) {
        let error = add(&mut Drawings::new(), "small.zip", archive).unwrap_err().to_string();
        for part in ["small.zip"].iter().chain(parts) {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn a_drawing_in_both_archives_is_stored_once() {
        let drawing = png(SIDE);
        let mut drawings = Drawings::new();
        add(&mut drawings, "1", &zip(&[("1/Greek/a.png", &drawing), ("1/Latin/a.png", &drawing)]))
            .unwrap();
        add(
            &mut drawings,
            "2",
            &zip(&[("2/Greek/a.png", &drawing), ("2/Tifinagh/a.png", &drawing)]),
        )
        .unwrap();
        assert_eq!(
            Vec::from_iter(drawings.keys()),
            ["Greek/a.png", "Latin/a.png", "Tifinagh/a.png"]
        );
    }

    #[test]
    fn malformed_archives_are_refused() {
        let good = zip(&[("1/a.png", &png(SIDE))]);
        refused(b"", &["a zip archive", "bhn data fetch omniglot"]);
        refused(&good[..good.len() / 2], &["a zip archive"]);
        refused(&zip(&[("1/../../a.png", &png(SIDE))]), &["../../a.png", "FOLDER/ALPHABET"]);
        refused(&zip(&[("/etc/a.sh", b"")]), &["/etc/a.sh", "FOLDER/ALPHABET"]);
        refused(&zip(&[("1/a.png", b"not a picture")]), &["1/a.png", "105×105"]);
        refused(&zip(&[("1/a.png", &png(SIDE + 1))]), &["1/a.png", "105×105"]);
        refused(&zip(&[("1/a.png", &png(SIDE - 1))]), &["104×104", "105×105"]);
        let mut linked = ZipWriter::new(Cursor::new(vec![]));
        linked.add_symlink("1/a.png", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        refused(&linked.finish().unwrap().into_inner(), &["1/a.png", "105×105"]);
        let mut flipped = good;
        let at = flipped.len() / 2;
        flipped[at] ^= 1;
        refused(&flipped, &["small.zip"]);
    }

    /// Neither a decompression bomb nor a header that claims a huge picture allocates memory.
    #[test]
    fn decompressed_sizes_are_bounded() {
        let error = |archive: &[u8]| {
            add(&mut Drawings::new(), "small.zip", archive).unwrap_err().to_string()
        };
        let bomb = error(&zip(&[("1/a.png", &vec![0; 1 << 24])]));
        assert!(bomb.contains("more than 65536 bytes"), "{bomb}");
        let mut picture = png(SIDE);
        // IHDR: width and height, and its CRC.
        picture[16..24].copy_from_slice(&[0x7f; 8]);
        let mut crc = flate2::Crc::new();
        crc.update(&picture[12..29]);
        picture[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let wide = error(&zip(&[("1/a.png", &picture)]));
        assert!(wide.contains("105×105"), "{wide}");
        let names: Vec<String> = (0..=ENTRIES).map(|i| format!("1/{i}.png")).collect();
        let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        assert!(error(&zip(&many)).contains("10001 entries"));
    }
}
