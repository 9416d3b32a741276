//! Predictions of classes in little space, for paired comparisons of methods and seeds.
//!
//! Per input the file keeps the label, the predicted class, the probability of the true class,
//! `1 − max p̄`, entropy, BALD and mean STD, and the samples outvoted. From them accuracy, NLL, ECE
//! and the AUROC of every score can be computed again, and differences between methods and seeds
//! paired by input.
//!
//! Classes and votes are exact. Other numbers are rounded: probabilities to steps of 1/16 in
//! `log₂(p/(1 − p))`, entropies, BALD and standard deviations to steps of 1/8 in `log₂`. So the
//! odds of a probability are off by at most 2.2 % (the probability itself by at most 0.0055, the
//! log loss by at most 0.022 nats), and other scores by at most 4.5 %. Zeros are exact.
//!
//! Columns follow each other as bytes, are compressed (zlib) and encoded in base64: 3 to 6
//! characters per input.
use crate::metrics::{self, BINS};
use crate::predict::Predictive;
use crate::predict::score::Score;
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// Version of the encoding.
const FORMAT: u32 = 1;

/// Rounded predictions of classes for `N` inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Compact {
    /// Number of posterior samples that the predictions average over.
    samples: usize,
    /// Number of classes `K`, at most 256.
    classes: usize,
    /// Labels `[N]`; empty if the inputs are of none of the classes.
    labels: Vec<u8>,
    /// Predicted classes `[N]`.
    predicted: Vec<u8>,
    /// Levels of [`LEVELS`] numbers `[N]` each.
    levels: [Vec<i16>; LEVELS],
    /// Samples `[N]` that vote for another class than most.
    outvoted: Vec<u16>,
}

/// `1 − max p̄`, the probability of the true class, entropy, BALD and mean STD.
const LEVELS: usize = 5;

/// The serialised form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u32,
    inputs: usize,
    samples: usize,
    classes: usize,
    labelled: bool,
    base64: String,
}

impl Compact {
    /// The predictions in `predictive`, averaged over `samples` posterior samples, for inputs with
    /// the given labels, or for inputs of none of the classes.
    ///
    /// # Panics
    /// If the predictions are of real numbers or of more than 256 classes, there are more than
    /// 65,535 samples, or the numbers of labels and predictions differ.
    pub fn of(predictive: &Predictive, labels: Option<&[usize]>, samples: usize) -> Self {
        let Predictive::Classes { p, variation_ratio, .. } = predictive else {
            panic!("Compact::of: a regression")
        };
        let (inputs, classes) = p.dim();
        assert!(classes <= 256, "Compact::of: p [{inputs}, {classes}]: more than 256 classes");
        assert!(samples < 1 << 16, "Compact::of: {samples} samples");
        let labels = labels.unwrap_or_default();
        assert!(
            labels.is_empty() || labels.len() == inputs,
            "Compact::of: {} labels",
            labels.len()
        );
        let score = |score: Score, level: fn(f64) -> i16| -> Vec<i16> {
            score.of(predictive).into_iter().map(level).collect()
        };
        let predicted = metrics::predictions(p.view());
        let doubts = score(Score::MaxConfidence, of_odds);
        let of_true = labels.iter().enumerate().map(|(n, &y)| match y == predicted[n] {
            true => negated(doubts[n]),
            false => of_odds(p[[n, y]].into()),
        });
        let of_true = of_true.collect();
        let outvoted = |v: &f32| (v * samples as f32).round() as u16;
        Self {
            samples,
            classes,
            labels: labels.iter().map(|&y| y as u8).collect(),
            predicted: predicted.into_iter().map(|y| y as u8).collect(),
            levels: [
                doubts,
                of_true,
                score(Score::Entropy, of_size),
                score(Score::Bald, of_size),
                score(Score::MeanStd, of_size),
            ],
            outvoted: variation_ratio.iter().map(outvoted).collect(),
        }
    }

    /// The predictions of the first `n` inputs; all if there are fewer.
    #[must_use]
    pub fn first(mut self, n: usize) -> Self {
        self.labels.truncate(n);
        self.predicted.truncate(n);
        self.levels.iter_mut().for_each(|levels| levels.truncate(n));
        self.outvoted.truncate(n);
        self
    }

    /// Number of inputs `N`.
    pub fn len(&self) -> usize {
        self.predicted.len()
    }

    /// Whether there is no input.
    pub fn is_empty(&self) -> bool {
        self.predicted.is_empty()
    }

    /// Number of posterior samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Labels `[N]`; empty if the inputs are of none of the classes.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Whether each prediction is right, `[N]`: 1 or 0, exact.
    ///
    /// # Panics
    /// If there are no labels.
    pub fn right(&self) -> Vec<f64> {
        let pairs = self.labelled("right").iter().zip(&self.predicted);
        pairs.map(|(label, class)| f64::from(label == class)).collect()
    }

    /// `−ln p` of the true class `[N]`, whose mean is the NLL.
    ///
    /// # Panics
    /// If there are no labels.
    pub fn log_loss(&self) -> Vec<f64> {
        let [doubts, of_true, ..] = &self.levels;
        let pairs = self.labelled("log_loss").iter().zip(&self.predicted);
        let levels = pairs.zip(doubts.iter().zip(of_true));
        // Where the prediction is right, `1 − p` is the more accurate number.
        let loss = |((label, class), (&doubt, &p))| match label == class {
            true => 0. - (-odds(doubt)).ln_1p(),
            false => 0. - odds(p).max(f32::MIN_POSITIVE.into()).ln(),
        };
        levels.map(loss).collect()
    }

    /// The score `[N]` of each input; higher is less certain. Variation ratios are exact.
    pub fn score(&self, score: Score) -> Vec<f64> {
        let [doubt, _, entropy, bald, mean_std] = &self.levels;
        let of = |levels: &[i16], value: fn(i16) -> f64| levels.iter().map(|&l| value(l)).collect();
        match score {
            Score::MaxConfidence => of(doubt, odds),
            Score::Entropy => of(entropy, size),
            Score::Bald => of(bald, size),
            Score::MeanStd => of(mean_std, size),
            Score::VariationRatio => {
                self.outvoted.iter().map(|&v| f64::from(v) / self.samples as f64).collect()
            }
        }
    }

    /// The expected calibration error: [`metrics::ece`] with [`BINS`] bins.
    ///
    /// # Panics
    /// If there are no labels.
    pub fn ece(&self) -> f64 {
        let confidence: Vec<_> =
            self.score(Score::MaxConfidence).iter().map(|doubt| 1. - doubt).collect();
        metrics::ece_of_confidence(&confidence, &self.right(), BINS)
    }

    fn labelled(&self, name: &str) -> &[u8] {
        assert!(self.labels.len() == self.len(), "Compact::{name}: no labels");
        &self.labels
    }
}

/// The level of 0.
const ZERO: i16 = i16::MIN;

/// The level `16 log₂(p/(1 − p))` of a probability.
fn of_odds(p: f64) -> i16 {
    match p {
        ..=0. => ZERO,
        1.0.. => odds_of(f64::from_bits(1.0_f64.to_bits() - 1)),
        p => odds_of(p),
    }
}

fn odds_of(p: f64) -> i16 {
    (16. * (p / (1. - p)).log2()).round() as i16
}

/// The probability of a level.
fn odds(level: i16) -> f64 {
    if level == ZERO { 0. } else { 1. / (1. + (-f64::from(level) / 16.).exp2()) }
}

/// The level `8 log₂ x` of a number that is not negative.
fn of_size(x: f64) -> i16 {
    if x > 0. { (8. * x.log2()).round() as i16 } else { ZERO }
}

/// The number of a level.
fn size(level: i16) -> f64 {
    if level == ZERO { 0. } else { (f64::from(level) / 8.).exp2() }
}

impl From<Compact> for Text {
    fn from(compact: Compact) -> Self {
        let Compact { samples, classes, labels, predicted, levels, outvoted } = compact;
        let inputs = predicted.len();
        let labelled = !labels.is_empty();
        let mut bytes = labels.clone();
        // The difference to the label is 0 where the prediction is right.
        let label = |n: usize| labels.get(n).copied().unwrap_or(0);
        bytes.extend((0..inputs).map(|n| predicted[n].wrapping_sub(label(n))));
        let is_right = |n: usize| labelled && labels[n] == predicted[n];
        let [doubt, of_true, entropy, bald, mean_std] = &levels;
        column(&mut bytes, (0..inputs).map(|n| doubt[n] as u16));
        if labelled {
            // Right predictions have the probability 1 − doubt, and need no second number.
            let wrong = (0..inputs).filter(|&n| !is_right(n));
            column(&mut bytes, wrong.map(|n| of_true[n] as u16));
        }
        for levels in [entropy, bald, mean_std] {
            column(&mut bytes, (0..inputs).map(|n| apart(levels[n], doubt[n])));
        }
        column(&mut bytes, outvoted);
        let mut encoder = ZlibEncoder::new(vec![], Compression::best());
        encoder.write_all(&bytes).expect("memory");
        let base64 = STANDARD.encode(encoder.finish().expect("memory"));
        Self { format: FORMAT, inputs, samples, classes, labelled, base64 }
    }
}

/// The numbers as their lower bytes followed by their upper bytes.
fn column(bytes: &mut Vec<u8>, numbers: impl IntoIterator<Item = u16>) {
    let (low, high): (Vec<_>, Vec<_>) =
        numbers.into_iter().map(|x| (x as u8, (x >> 8) as u8)).unzip();
    bytes.extend(low);
    bytes.extend(high);
}

/// A level as its distance from half the level of the doubt, which it follows closely, so that
/// compression is better; zeros stay zeros.
fn apart(level: i16, doubt: i16) -> u16 {
    if level == ZERO { ZERO as u16 } else { level.wrapping_sub(doubt / 2) as u16 }
}

/// The inverse of [`apart`].
fn together(apart: u16, doubt: i16) -> i16 {
    if apart as i16 == ZERO { ZERO } else { (apart as i16).wrapping_add(doubt / 2) }
}

impl TryFrom<Text> for Compact {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let Text { format, inputs, samples, classes, labelled, base64 } = text;
        if format != FORMAT {
            return Err(format!("predictions in format {format}, expected {FORMAT}"));
        }
        if !(1..=256).contains(&classes) || samples == 0 || samples >= 1 << 16 {
            return Err(format!("predictions of {classes} classes with {samples} samples"));
        }
        let packed = STANDARD.decode(base64).map_err(|e| format!("predictions: {e}"))?;
        // zlib compresses at most by a factor of 1032.
        if inputs > packed.len().saturating_mul(1032) {
            return Err(format!("predictions for {inputs} inputs in {} bytes", packed.len()));
        }
        let mut bytes = vec![];
        let most = 14 * inputs as u64;
        let read = ZlibDecoder::new(&*packed).take(most + 1).read_to_end(&mut bytes);
        read.map_err(|e| format!("predictions: {e}"))?;
        let mut rest = &bytes[..];
        let labels = bytes_of(&mut rest, if labelled { inputs } else { 0 })?;
        let label = |n: usize| labels.get(n).copied().unwrap_or(0);
        let predicted: Vec<u8> = bytes_of(&mut rest, inputs)?
            .iter()
            .enumerate()
            .map(|(n, &x)| x.wrapping_add(label(n)))
            .collect();
        if labels.iter().chain(&predicted).any(|&y| usize::from(y) >= classes) {
            return Err(format!("predictions of a class that is not below {classes}"));
        }
        let doubt: Vec<_> = numbers(&mut rest, inputs)?.iter().map(|&x| x as i16).collect();
        let mut of_true = vec![];
        if labelled {
            let is_right = |n: &usize| labels[*n] == predicted[*n];
            let wrong = (0..inputs).filter(|n| !is_right(n)).count();
            let mut of_wrong = numbers(&mut rest, wrong)?.into_iter();
            of_true.extend((0..inputs).map(|n| match is_right(&n) {
                true => negated(doubt[n]),
                false => of_wrong.next().expect("one for each") as i16,
            }));
        }
        let mut near = || -> Result<Vec<i16>, String> {
            let apart = numbers(&mut rest, inputs)?;
            Ok(apart.iter().zip(&doubt).map(|(&x, &doubt)| together(x, doubt)).collect())
        };
        let [entropy, bald, mean_std] = [near()?, near()?, near()?];
        let outvoted = numbers(&mut rest, inputs)?;
        if !rest.is_empty() || outvoted.iter().any(|&v| usize::from(v) >= samples) {
            return Err(format!("predictions that do not fit {inputs} inputs, {samples} samples"));
        }
        let levels = [doubt, of_true, entropy, bald, mean_std];
        Ok(Self { samples, classes, labels: labels.to_vec(), predicted, levels, outvoted })
    }
}

/// The level of `1 − p`, given that of `p`.
fn negated(level: i16) -> i16 {
    if level == ZERO { i16::MAX } else { -level }
}

/// Takes `n` bytes off the front.
fn bytes_of<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], String> {
    let (front, rest) =
        bytes.split_at_checked(n).ok_or("predictions that end too early".to_string())?;
    *bytes = rest;
    Ok(front)
}

/// Takes a [`column`] of `n` numbers off the front.
fn numbers(bytes: &mut &[u8], n: usize) -> Result<Vec<u16>, String> {
    let (low, high) = (bytes_of(bytes, n)?, bytes_of(bytes, n)?);
    Ok(low.iter().zip(high).map(|(&low, &high)| u16::from_le_bytes([low, high])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::gradcheck::randn;
    use crate::metrics::{accuracy, auroc, ece, nll};
    use crate::predict::predictive::classes;
    use ndarray::Array3;

    const N: usize = 4000;
    const SAMPLES: usize = 20;

    /// Predictions from logits of many sizes, certain ones among them, and labels that most of
    /// them have.
    fn predictions() -> (Predictive, Vec<usize>) {
        let shared = randn(&[1, N, 10], 1);
        let own = randn(&[SAMPLES, N, 10], 2);
        let size = |n: usize| 0.1 * (1. + (n % 97) as f64);
        let logit = |(s, n, k): (usize, usize, usize)| {
            let certain = if n % 11 == 0 && k == n % 10 { 200. } else { 0. };
            (size(n) * (3. * shared[[0, n, k]] + own[[s, n, k]]) + certain) as f32
        };
        let predictive = classes(Array3::from_shape_fn([SAMPLES, N, 10], logit).view());
        let Predictive::Classes { p, .. } = &predictive else { unreachable!() };
        let labels = metrics::predictions(p.view());
        let labels = labels.iter().enumerate().map(|(n, y)| if n % 7 == 0 { n % 10 } else { *y });
        (predictive, labels.collect())
    }

    fn written(compact: &Compact) -> String {
        serde_json::to_string(compact).unwrap()
    }

    #[test]
    fn compact_predictions_give_the_scores_again() {
        let (predictive, labels) = predictions();
        let compact = Compact::of(&predictive, Some(&labels), SAMPLES);
        let text = written(&compact);
        assert_eq!(serde_json::from_str::<Compact>(&text).unwrap(), compact);
        assert!(text.len() < 8 * N, "{} bytes for {N} inputs", text.len());
        let Predictive::Classes { p, .. } = &predictive else { unreachable!() };
        let right = compact.right();
        assert_eq!(right.iter().sum::<f64>() / N as f64, accuracy(p.view(), &labels).value);
        let loss = compact.log_loss();
        let exact = metrics::log_loss(p.view(), &labels);
        let worst = loss.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
        assert!(worst < 0.022, "{worst}");
        let mean = loss.iter().sum::<f64>() / N as f64;
        let exact = nll(p.view(), &labels).value;
        // Uniform rounding errors of at most 0.0217: a standard error of 0.0217/√(3 N) = 0.0002.
        assert!((mean - exact).abs() < 4. * 0.0002, "{mean} {exact}");
        let exact = ece(p.view(), &labels, BINS);
        assert!((compact.ece() - exact).abs() < 0.0055, "{} {exact}", compact.ece());
        for score in Score::ALL {
            let (found, exact) = (compact.score(score), score.of(&predictive));
            let most = match score {
                Score::MaxConfidence => 0.0219,
                Score::VariationRatio => 1e-6,
                _ => 0.0443,
            };
            for (found, exact) in found.iter().zip(&exact) {
                assert!((found - exact).abs() <= most * exact, "{score:?}: {found} {exact}");
            }
            let area = |v: &[f64]| auroc(&v[..N / 3], &v[N / 3..]).value;
            assert!((area(&found) - area(&exact)).abs() < 0.001, "{score:?}");
        }
    }

    #[test]
    fn inputs_of_no_class_have_scores_alone() {
        let (predictive, labels) = predictions();
        let compact = Compact::of(&predictive, None, SAMPLES);
        assert_eq!(serde_json::from_str::<Compact>(&written(&compact)).unwrap(), compact);
        let labelled = Compact::of(&predictive, Some(&labels), SAMPLES);
        for score in Score::ALL {
            assert_eq!(compact.score(score), labelled.score(score));
        }
        assert!(compact.labels().is_empty() && compact.len() == N && compact.samples() == SAMPLES);
    }

    #[test]
    fn damaged_predictions_are_refused() {
        let (predictive, labels) = predictions();
        let text = written(&Compact::of(&predictive, Some(&labels), SAMPLES));
        let refused = |from: &str, to: &str, said: &str| {
            assert!(text.contains(from), "{from}");
            let changed = text.replacen(from, to, 1);
            let error = serde_json::from_str::<Compact>(&changed).unwrap_err().to_string();
            assert!(error.contains(said), "{to}: {error}");
        };
        refused("\"format\":1", "\"format\":2", "format 2, expected 1");
        refused("\"inputs\":4000", "\"inputs\":4001", "predictions ");
        refused("\"inputs\":4000", "\"inputs\":3999", "predictions ");
        refused("\"inputs\":4000", "\"inputs\":400000000000", "for 400000000000 inputs");
        refused("\"classes\":10", "\"classes\":9", "not below 9");
        refused("\"classes\":10", "\"classes\":0", "0 classes");
        refused("\"samples\":20", "\"samples\":2", "do not fit");
        refused("\"labelled\":true", "\"labelled\":false", "do not fit");
        refused("\"base64\":\"", "\"base64\":\"!", "predictions: ");
    }
}
