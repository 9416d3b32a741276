//! MNIST and Fashion-MNIST, and what they share with other sets of published images.
use super::appearance::Appearance;
use super::dataset::{Dataset, Options, Split, Task};
use super::preprocess::Preprocess;
use super::scaler::StandardScaler;
use super::sources;
use super::temporary::Folder;
use super::training_range::TrainingRange;
use crate::bayes::Targets;
use crate::error::{Error, Result};
use ndarray::Array2;
use std::path::Path;

/// The classes of MNIST.
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The classes of Fashion-MNIST.
const ARTICLES: [&str; 10] = [
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

/// `mnist` or `fashion-mnist`: 50 000 training, 10 000 validation and 10 000 test images in the
/// published order. The four files are verified before the `mnist` crate parses them.
pub(super) fn mnist(name: &str, options: &Options, data_dir: Option<&Path>) -> Result<Dataset> {
    options.only_classes(name)?;
    let kept = options.keep(50_000)?;
    let set = sources::set(name);
    let place = set.place(data_dir)?;
    // The crate reads decompressed files from a folder.
    let copies = Folder::new()?;
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
    let raw = mnist::MnistBuilder::new()
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
    let classes = if name == "mnist" { DIGITS } else { ARTICLES };
    Ok(dataset(name, &classes, [1, 28, 28], None, splits))
}

/// A classification set of images `[C, H, W]`. `x` is the standardisation that was applied to the
/// images, if any.
pub(super) fn dataset(
    name: &str,
    classes: &[&str],
    image: [usize; 3],
    x: Option<StandardScaler>,
    [train, validation, test]: [Split; 3],
) -> Dataset {
    let inputs = image.iter().product();
    let seen = Some(TrainingRange::bytes());
    let appearance = Some(Appearance::of(&train.x));
    Dataset {
        name: name.into(),
        task: Task::Classification { classes: classes.iter().map(ToString::to_string).collect() },
        image: Some(image),
        preprocess: Preprocess { inputs, x, seen, appearance, ..Preprocess::default() },
        notes: vec![],
        train,
        validation,
        test,
    }
}

/// Examples whose inputs are `byte / 255`. `pixels` has the bytes of all images, one image after
/// another.
pub(super) fn split(pixels: &[u8], labels: &[u8]) -> Split {
    let pixels: Vec<f32> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let shape = (labels.len(), pixels.len() / labels.len());
    Split {
        x: Array2::from_shape_vec(shape, pixels).expect("images of one size"),
        y: Targets::Classes(labels.iter().map(|&label| usize::from(label)).collect()),
    }
}
