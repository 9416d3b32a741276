//! MNIST and Fashion-MNIST: four files, verified before the `mnist` crate parses them.
use super::dataset::{Dataset, Options};
use super::images::{self, split};
use super::sources;
use crate::error::{Error, Result};
use std::path::Path;

/// The classes of MNIST.
pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The classes of Fashion-MNIST.
pub(super) const ARTICLES: [&str; 10] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// 50 000 training, 10 000 validation and 10 000 test images in the published order.
pub(super) fn load(
    name: &str,
    classes: [&str; 10],
    options: &Options,
    data_dir: Option<&Path>,
) -> Result<Dataset> {
    options.only_classes(name)?;
    let kept = options.keep(50_000)?;
    let set = sources::set(name);
    let place = set.place(data_dir)?;
    // The crate reads decompressed files from a folder.
    let copies = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    for file in place.files {
        let (_, bytes) = place.read(file)?;
        let path = copies.path().join(file.name).with_extension("");
        std::fs::write(&path, bytes).map_err(Error::io(&path))?;
    }
    let base = copies.path().to_str().ok_or_else(|| {
        Error::invalid(
            copies.path().display(),
            "a temporary folder whose path is not UTF-8",
            "a UTF-8 path",
            "Set TMPDIR to another folder.",
        )
    })?;
    let raw = ::mnist::MnistBuilder::new()
        .label_format_digit()
        .training_set_length(50_000)
        .validation_set_length(10_000)
        .test_set_length(10_000)
        .base_path(base)
        .finalize();
    let splits = [
        split(&raw.trn_img[..kept * 784], &raw.trn_lbl[..kept]),
        split(&raw.val_img, &raw.val_lbl),
        split(&raw.tst_img, &raw.tst_lbl),
    ];
    Ok(images::dataset(name, &classes, [1, 28, 28], None, splits))
}
