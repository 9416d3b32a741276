//! The files of MNIST as they are published, from those that are compiled into the program.
use flate2::Compression;
use flate2::write::GzEncoder;
use lzma_rust2::XzReader;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::LazyLock;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(vec![], Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// Names and bytes of the gzip files.
pub static PUBLISHED: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/mnist");
    let packed = |path: &Path| {
        let mut bytes = vec![];
        XzReader::new(File::open(path).unwrap(), false).read_to_end(&mut bytes).unwrap();
        (format!("{}.gz", path.file_stem().unwrap().display()), gzip(&bytes))
    };
    fs::read_dir(folder).unwrap().map(|entry| packed(&entry.unwrap().path())).collect()
});
