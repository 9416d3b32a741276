//! Published images and noise in the format of MNIST, for out-of-distribution detection.
use super::idx::Idx;
use super::npz::Archive;
use super::sources::set;
use super::{cifar, omniglot};
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};
use ndarray::Array2;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::io::Cursor;
use std::path::Path;

/// The names accepted by [`grey28`].
pub const GREY: [&str; 7] =
    ["uniform", "gaussian", "omniglot", "cifar-10", "notmnist", "fashion-mnist", "kmnist"];

/// Number of noise images.
const NOISE: usize = 10_000;

/// Images of the set `name`, one of [`GREY`], in the format of MNIST's test images: `[N, 784]`,
/// grey, 28×28, with values in `[0, 1]` except for `gaussian`. Characters are light on dark. Images
/// of another size are resampled bilinearly; when downsampling, the half-width of the triangular
/// filter is the sampling step.
///
/// * `uniform` and `gaussian`: pixels from `U[0, 1)` and `N(0, 1)`, with a fixed seed.
/// * `fashion-mnist`, `kmnist`, `notmnist` and `cifar-10`: the published test images, 10 000 each.
///   Colours become luma, `0.2126 R + 0.7152 G + 0.0722 B` (ITU-R BT.709).
/// * `omniglot`: the 4840 distinct drawings of the small background sets, inverted.
///
/// # Errors
/// [`Error::Missing`] if files are missing; another error if there is no set `name`, or a file
/// differs from the published one.
pub fn grey28(name: &str, data_dir: Option<&Path>) -> Result<Array2<f32>> {
    let rng = |index| stream(0, Purpose::Images, index);
    match name {
        "uniform" => Ok(noise(&mut rng(0), |rng| rng.random())),
        "gaussian" => Ok(noise(&mut rng(1), |rng| rng.sample(StandardNormal))),
        "kmnist" => kmnist(data_dir),
        "omniglot" => drawings(data_dir),
        "cifar-10" => photographs(data_dir),
        "notmnist" | "fashion-mnist" => idx(name, data_dir),
        _ => {
            let expected = format!("one of {}", GREY.join(", "));
            let advice = "Choose one of these names.";
            Err(Error::invalid("images", format!("{name:?}"), expected, advice))
        }
    }
}

fn noise(rng: &mut ChaCha8Rng, pixel: impl Fn(&mut ChaCha8Rng) -> f32) -> Array2<f32> {
    Array2::from_shape_simple_fn((NOISE, 784), || pixel(rng))
}

fn idx(name: &str, data_dir: Option<&Path>) -> Result<Array2<f32>> {
    let (what, bytes) = set(name).read("t10k-images-idx3-ubyte.gz", data_dir)?;
    let images = Idx::open(&what, Cursor::new(bytes))?.next(usize::MAX)?;
    Ok(images.expect("at least one row: see `Blocks::new`").mapv(|byte| f32::from(byte) / 255.0))
}

fn kmnist(data_dir: Option<&Path>) -> Result<Array2<f32>> {
    let (what, bytes) = set("kmnist").read("kmnist-test-imgs.npz", data_dir)?;
    let images = Archive::open(what.clone(), Cursor::new(bytes))?.array("arr_0")?.1;
    Ok(images.inputs(&what, true, 0)?.single() / 255.0)
}

fn drawings(data_dir: Option<&Path>) -> Result<Array2<f32>> {
    let mut drawings = omniglot::Drawings::new();
    for name in ["images_background_small1.zip", "images_background_small2.zip"] {
        let (what, archive) = set("omniglot").read(name, data_dir)?;
        omniglot::add(&mut drawings, &what, &archive)?;
    }
    Ok(resize(drawings.values().map(|drawing| {
        let (width, height) = drawing.dimensions();
        let ink = drawing.iter().map(|&byte| f32::from(255 - byte) / 255.0);
        ImageBuffer::from_vec(width, height, ink.collect()).expect("all pixels")
    })))
}

fn photographs(data_dir: Option<&Path>) -> Result<Array2<f32>> {
    let images = cifar::test(data_dir)?.x;
    let luma = images.rows().into_iter().map(|row| {
        let plane = |channel: usize, pixel: usize| row[channel * 1024 + pixel];
        let luma = |i| 0.2126 * plane(0, i) + 0.7152 * plane(1, i) + 0.0722 * plane(2, i);
        ImageBuffer::from_vec(32, 32, (0..1024).map(luma).collect()).expect("all pixels")
    });
    Ok(resize(luma))
}

/// Resamples images to 28×28. Each row of the result is one image.
fn resize(images: impl Iterator<Item = ImageBuffer<Luma<f32>, Vec<f32>>>) -> Array2<f32> {
    let small = |image| imageops::resize(&image, 28, 28, FilterType::Triangle).into_raw();
    let pixels: Vec<f32> = images.flat_map(small).collect();
    Array2::from_shape_vec((pixels.len() / 784, 784), pixels).expect("28×28 pixels an image")
}
