//! Published data sets, for tests of real files.
use std::path::PathBuf;

/// A data folder for tests that has the set `name`; if there is none, prints so and returns `None`.
pub fn test_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BHN_TEST_DATA").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join(name).is_dir());
    if folder.is_none() {
        eprintln!("skipped: BHN_TEST_DATA names no data folder with {name}");
    }
    folder
}
