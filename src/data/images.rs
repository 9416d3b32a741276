//! Data sets of published images: bytes and labels become a [`Dataset`].
use super::dataset::{Dataset, Task};
use super::preprocess::Preprocess;
use super::scaler::StandardScaler;
use super::split::Split;
use super::training_range::TrainingRange;
use crate::bayes::Targets;
use ndarray::Array2;

/// A classification set of images `[C, H, W]`, standardised by `x` if that is given.
pub(super) fn dataset(
    name: &str,
    classes: &[&str],
    image: [usize; 3],
    x: Option<StandardScaler>,
    [train, validation, test]: [Split; 3],
) -> Dataset {
    let inputs = image.iter().product();
    let seen = Some(TrainingRange::bytes());
    Dataset {
        name: name.into(),
        task: Task::Classification { classes: classes.iter().map(ToString::to_string).collect() },
        image: Some(image),
        preprocess: Preprocess { inputs, x, seen, ..Preprocess::default() },
        notes: vec![],
        train,
        validation,
        test,
    }
}

/// Examples with inputs `byte / 255` from the pixels of all images, one after another, and their
/// labels.
pub(super) fn split(pixels: &[u8], labels: &[u8]) -> Split {
    let pixels: Vec<f32> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let shape = (labels.len(), pixels.len() / labels.len());
    Split {
        x: Array2::from_shape_vec(shape, pixels).expect("images of one size"),
        y: Targets::Classes(labels.iter().map(|&label| usize::from(label)).collect()),
    }
}
