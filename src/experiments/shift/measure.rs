//! The networks, the kinds of shift, and the scores on one set of shifted images.
use crate::data::{Dataset, Shift, Split};
use crate::experiments::digits::{Net, predictions, probabilities};
use crate::metrics::{self, BINS};
use crate::random::{Purpose, stream};
use crate::run::Trained;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub(super) const NETS: [Net; 8] = [
    Net::MLE,
    Net::DROPOUT,
    Net::MC_DROPOUT,
    Net::BBB,
    Net::BHN_0,
    Net::BHN_8,
    Net::BHN_8_RECIPE,
    Net::ENSEMBLE,
];

/// A kind of shift with its five levels.
pub(super) struct Kind {
    pub name: &'static str,
    /// What its strengths measure.
    pub unit: &'static str,
    pub strengths: [f64; LEVELS],
    pub of: fn(f64) -> Shift,
}

pub(super) const LEVELS: usize = 5;

pub(super) const KINDS: [Kind; 5] = [
    Kind {
        name: "rotation",
        unit: "degrees, counter-clockwise",
        strengths: [15., 30., 60., 120., 180.],
        of: Shift::Rotation,
    },
    Kind {
        name: "translation",
        unit: "pixels to the right, cyclic",
        strengths: [2., 4., 6., 9., 14.],
        of: Shift::Translation,
    },
    Kind {
        name: "blur",
        unit: "standard deviation of a Gaussian, pixels",
        strengths: [0.5, 1., 1.5, 2., 3.],
        of: Shift::Blur,
    },
    Kind {
        name: "noise",
        unit: "standard deviation per pixel, clipped to [0, 1]",
        strengths: [0.1, 0.2, 0.3, 0.45, 0.6],
        of: Shift::Noise,
    },
    Kind {
        name: "contrast",
        unit: "factor of deviations from the image's mean",
        strengths: [0.7, 0.5, 0.35, 0.2, 0.1],
        of: Shift::Contrast,
    },
];

/// Scores on one set of images.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Scores {
    pub accuracy: f64,
    pub nll: f64,
    pub ece: f64,
}

/// Results of one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub clean: Scores,
    /// A row per kind, a column per level.
    pub shifted: Vec<Vec<Scores>>,
}

/// The scores of `trained` on the test images of `data`, clean and under each shift.
pub(super) fn measure(trained: &Trained, samples: usize, data: &Dataset) -> Found {
    let scores = |x: &Array2<f32>| {
        let predicted = predictions(trained, samples, x.view());
        let (p, y) = (probabilities(&predicted), data.test.y.classes());
        let [accuracy, nll] = [metrics::accuracy(p, y), metrics::nll(p, y)].map(|e| e.value);
        Scores { accuracy, nll, ece: metrics::ece(p, y, BINS) }
    };
    let of_kind =
        |kind| (0..LEVELS).map(|level| scores(&shifted(data, &data.test, kind, level))).collect();
    Found { clean: scores(&data.test.x), shifted: (0..KINDS.len()).map(of_kind).collect() }
}

/// The images of `split`, shifted by the `level` (from 0) of a kind. The noise does not depend on
/// the network or its seed.
pub(super) fn shifted(data: &Dataset, split: &Split, kind: usize, level: usize) -> Array2<f32> {
    let Kind { strengths, of, .. } = &KINDS[kind];
    let [_, height, width] = data.image.expect("digits are images");
    // Streams 0 and 1 are those of images of noise.
    let index = 2 + kind * LEVELS + level;
    let rng = &mut stream(0, Purpose::Images, index as u64);
    of(strengths[level]).apply_to_rows(split.x.view(), [height, width], rng)
}
