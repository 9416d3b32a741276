//! A trained classifier of grey images: its weights, posterior samples of its scales, and test
//! images.
use super::export::{self, Array};
use crate::bayes::Model;
use crate::data::{Dataset, Split, Task};
use crate::error::{Error, Result};
use crate::predict::{Predictive, draw, predict};
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Method, Theta};
use crate::run::train::fit;
use crate::run::{Config, Header};
use ndarray::{Array2, ArrayView1};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Test images that the page gets.
const IMAGES: usize = 24;

/// The maximum size of the base64 of a classifier's numbers in bytes.
const MOST: usize = 1_900_000;

/// A classifier for the page.
#[derive(Serialize)]
pub(super) struct Classifier {
    /// What it is: the data, the layers and the method.
    about: String,
    classes: Vec<String>,
    /// `[H, W]`.
    image: [usize; 2],
    layers: Vec<String>,
    primary: BTreeMap<String, Array>,
    /// `θ [S, D]`.
    theta: Array,
    /// Network inputs `[N, H·W]` of test images, and their labels.
    x: Array,
    labels: Vec<usize>,
    /// The inputs of a black and of a white pixel.
    ink: [f32; 2],
    check: Check,
}

/// The program's predictions for the test images.
#[derive(Serialize)]
struct Check {
    p: Vec<f32>,
    entropy: Vec<f32>,
    bald: Vec<f32>,
}

/// Check that the page can evaluate the network of a run: `dir` names it in messages.
///
/// # Errors
/// If it is not a classifier of grey images by dense layers whose `θ` are scales.
pub(super) fn check(dir: &Path, header: &Header) -> Result<()> {
    let (method, what) = (header.config.method, dir.display());
    let refuse = |found: String, expected: &str, advice: &str| {
        Err(Error::invalid(&what, found, expected, advice))
    };
    if !matches!(header.task, Task::Classification { .. }) {
        let advice = "Train one: `bhn train --hidden 200 --out run`.";
        return refuse("a regression".into(), "a classifier of images", advice);
    }
    match header.image {
        Some([1, ..]) => {}
        Some([channels, ..]) => {
            let (found, advice) =
                (format!("images with {channels} channels"), "Train on mnist or fashion-mnist.");
            return refuse(found, "grey images, which can be drawn", advice);
        }
        None => {
            let advice = "Train on images: `bhn train --hidden 200 --out run` takes MNIST.";
            return refuse("a classifier of table rows".into(), "a classifier of images", advice);
        }
    }
    if Method::from(&header.config).theta() != Theta::Scales {
        let expected = "a posterior over scales: bhn, mle, laplace or swag";
        return refuse(format!("the method {method}"), expected, "Train with one of these.");
    }
    let is_known = |layer: &&Layer| {
        matches!(layer, Layer::Dense(_) | Layer::Relu | Layer::Tanh | Layer::Flatten)
    };
    let layers = header.config.primary.layers.iter().flatten();
    if let Some(layer) = layers.clone().find(|layer| !is_known(layer)) {
        let expected = "dense layers, relu, tanh and flatten";
        return refuse(format!("the layer `{layer}`"), expected, "Train with --hidden 200.");
    }
    Ok(())
}

impl Classifier {
    /// The classifier of `model` with `samples` posterior samples, those of `bhn predict`.
    ///
    /// # Errors
    /// If its numbers do not fit a page; `dir` names the run in this message.
    pub fn new(
        dir: &Path,
        model: &Model,
        config: &Config,
        data: &Dataset,
        samples: usize,
    ) -> Result<Self> {
        let rng = &mut stream(config.seed, Purpose::Evaluation, 0);
        let (theta, _) = draw(model, config.samples(samples), rng);
        let Task::Classification { classes } = &data.task else { panic!("a regression") };
        let [_, height, width] = data.image.expect("images");
        let primary = model.params.iter().filter(|(name, _)| name.starts_with("primary."));
        let weights: usize = primary.map(|(_, value)| value.len()).sum();
        let images = choose(&data.test, classes.len());
        let (x, y) = data.test.batch(&images);
        let bytes = |entries: usize| entries * size_of::<f32>() * 4 / 3;
        let total = bytes(weights + theta.len() + x.len());
        if total > MOST {
            let mb = |bytes: usize| format!("{:.1} MB", bytes as f64 / 1e6);
            let found = format!(
                "a network of {weights} weights and {} posterior samples of {} scales: {} of text",
                theta.shape()[0],
                theta.shape()[1],
                mb(total)
            );
            let expected = format!("at most {}, so that the page stays below 3 MB", mb(MOST));
            let advice = match bytes(weights + x.len()) > MOST {
                true => "Train a narrower network: `bhn train --hidden 200 --out run`.",
                false => "Use fewer --samples.",
            };
            return Err(Error::invalid(dir.display(), found, expected, advice));
        }
        let Predictive::Classes { p, entropy, bald, .. } = predict(model, &theta, x.view()) else {
            panic!("a regression")
        };
        let layers: Vec<_> = config.primary.layers.iter().flatten().map(Layer::to_string).collect();
        Ok(Self {
            about: format!("{}, {}, method {}", data.name, layers.join(", "), config.method),
            classes: classes.clone(),
            image: [height, width],
            layers,
            primary: export::params(&model.params, "primary."),
            theta: (&theta).into(),
            ink: ink(&x),
            x: Array::new(x.shape(), x.iter().copied()),
            labels: y.classes().to_vec(),
            check: Check { p: p.into_iter().collect(), entropy, bald },
        })
    }

    /// A 196-32-10 network on digits of 14 × 14 pixels, trained in a few seconds.
    ///
    /// # Errors
    /// If MNIST cannot be read or training diverges.
    pub fn small(digits: Dataset, quick: bool, samples: usize) -> Result<Self> {
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[32], 10));
        config.flow.couplings = 4;
        config.flow.hidden = 32;
        config.train.epochs = if quick { 1 } else { 20 };
        config.train.learning_rate = 3e-3;
        let data = halved(digits);
        let config = config.resolve(&data)?;
        let model = fit(config.clone(), &data)?;
        Self::new(Path::new("the small classifier"), &model, &config, &data, samples)
    }
}

/// Test images of all classes in turn, the first ones of each.
fn choose(test: &Split, classes: usize) -> Vec<usize> {
    let labels = test.y.classes();
    let of_class = |class| (0..labels.len()).filter(move |&i| labels[i] == class);
    let mut queues: Vec<_> = (0..classes).map(of_class).collect();
    let mut chosen = vec![];
    while chosen.len() < IMAGES.min(labels.len()) {
        let before = chosen.len();
        chosen.extend(queues.iter_mut().filter_map(Iterator::next));
        assert!(chosen.len() > before, "labels beyond the classes");
    }
    chosen.truncate(IMAGES);
    chosen
}

/// The smallest and the largest input.
fn ink(x: &Array2<f32>) -> [f32; 2] {
    let fold = |f: fn(f32, f32) -> f32| x.iter().copied().reduce(f).expect("a pixel");
    [fold(f32::min), fold(f32::max)]
}

/// Images of 28 × 28 pixels, each 2 × 2 of them replaced by their mean.
fn halved(mut digits: Dataset) -> Dataset {
    let pixel = |row: ArrayView1<'_, f32>, i: usize| {
        let (y, x) = (2 * (i / 14), 2 * (i % 14));
        let four = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
        four.iter().map(|(y, x)| row[28 * y + x]).sum::<f32>() / 4.
    };
    for split in [&mut digits.train, &mut digits.validation, &mut digits.test] {
        split.x = Array2::from_shape_fn((split.len(), 196), |(n, i)| pixel(split.x.row(n), i));
    }
    digits.name = "mnist, 14 × 14 pixels".into();
    digits.image = Some([1, 14, 14]);
    digits.preprocess.inputs = 196;
    digits
}
