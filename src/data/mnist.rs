//! MNIST and Fashion-MNIST: four files, verified before the `mnist` crate may see them.
use super::{Dataset, Options, Preprocess, Seen, Split, Targets, Task, sources};
use crate::error::{Error, Result};
use ndarray::Array2;
use std::path::{Path, PathBuf};

macro_rules! packed {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/mnist/", $name)))
    };
}

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

/// The copy of MNIST in the program.
pub(super) static PACKED: [(&str, &[u8]); 4] = [
    packed!("train-images-idx3-ubyte.gz"),
    packed!("train-labels-idx1-ubyte.gz"),
    packed!("t10k-images-idx3-ubyte.gz"),
    packed!("t10k-labels-idx1-ubyte.gz"),
];

/// The user's folder of MNIST files, if there is one; else the copy in the program is used.
pub(super) fn folder(data_dir: Option<&Path>) -> Result<Option<PathBuf>> {
    match data_dir {
        Some(dir) if !dir.is_dir() => Err(Error::invalid(
            dir.display(),
            "no such folder",
            "the data folder",
            "Correct it, or leave it out to use the copy inside the program.",
        )),
        _ => Ok(data_dir.map(|dir| dir.join("mnist")).filter(|dir| dir.exists())),
    }
}

/// A file's copy in the program.
pub(super) fn packed(name: &str) -> &'static [u8] {
    PACKED.iter().find(|file| file.0 == name).expect("one of the four").1
}

/// 50 000 images to train on, 10 000 to validate with and 10 000 to test with.
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
    let copies = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    for file in &place.files {
        let bytes = set.whole(file, &place.what(file), place.open(file)?)?;
        let path = copies.path().join(file.name).with_extension("");
        std::fs::write(&path, bytes).map_err(Error::io(&path))?;
    }
    let base = copies.path().to_str().ok_or_else(|| {
        Error::invalid(
            copies.path().display(),
            "a folder whose name is not UTF-8",
            "one for temporary files that is",
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
    Ok(Dataset {
        name: name.into(),
        task: Task::Classification { classes: classes.map(String::from).to_vec() },
        image: Some([1, 28, 28]),
        preprocess: Preprocess { inputs: 784, seen: Some(Seen::pixels()), ..Preprocess::default() },
        notes: vec![],
        train: split(&raw.trn_img[..kept * 784], &raw.trn_lbl[..kept]),
        validation: split(&raw.val_img, &raw.val_lbl),
        test: split(&raw.tst_img, &raw.tst_lbl),
    })
}

/// Images, a byte a pixel, and their classes.
pub(super) fn split(pixels: &[u8], labels: &[u8]) -> Split {
    let pixels: Vec<f32> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let shape = (labels.len(), pixels.len() / labels.len());
    Split {
        x: Array2::from_shape_vec(shape, pixels).expect("as many pixels in each"),
        y: Targets::Classes(labels.iter().map(|&label| usize::from(label)).collect()),
    }
}
