//! Which inputs are most worth a label: acquisition functions of active learning (Gal, Islam &
//! Ghahramani 2017), and BatchBALD (Kirsch, van Amersfoort & Gal 2019).
use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::data::Task;
use crate::error::Result;
use crate::predict::score::Score;
use crate::predict::{logits, overflows, predict};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How to choose what to label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acquisition {
    /// By chance.
    Random,
    /// The highest [`Score::Bald`].
    Bald,
    /// The highest [`Score::Entropy`].
    MaxEntropy,
    /// The highest [`Score::VariationRatio`].
    VariationRatio,
    /// The highest [`Score::MeanStd`].
    MeanStd,
    /// Those that *together* tell the most about `θ`, one after another: the next is the one with the
    /// highest `I[y₁ … yₙ; θ]`. Copies of one input tell little more than one of them.
    BatchBald,
}

impl Acquisition {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Random,
        Self::Bald,
        Self::MaxEntropy,
        Self::VariationRatio,
        Self::MeanStd,
        Self::BatchBald,
    ];

    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::MaxEntropy => "max entropy",
            Self::BatchBald => "BatchBALD",
            Self::Bald => Score::Bald.name(),
            Self::VariationRatio => Score::VariationRatio.name(),
            Self::MeanStd => Score::MeanStd.name(),
        }
    }

    /// Whether a model with that task can be asked so; one that predicts numbers has no votes.
    pub fn fits(self, task: &Task) -> bool {
        matches!(task, Task::Classification { .. })
            || !matches!(self, Self::VariationRatio | Self::BatchBald)
    }

    fn score(self) -> Option<Score> {
        match self {
            Self::Random | Self::BatchBald => None,
            Self::Bald => Some(Score::Bald),
            Self::MaxEntropy => Some(Score::Entropy),
            Self::VariationRatio => Some(Score::VariationRatio),
            Self::MeanStd => Some(Score::MeanStd),
        }
    }
}

impl fmt::Display for Acquisition {
    /// As on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An input worth a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// Its place in the pool, from 0.
    pub index: usize,
    /// What it was chosen for: its score; in BatchBALD the nats that it adds to those chosen before it;
    /// none by chance.
    pub value: Option<f64>,
}

/// Inputs without labels, seen by a model a block at a time.
pub struct Pool<'a> {
    model: &'a Model,
    /// `[S, D]`, the same for all blocks: a sample is one function.
    theta: &'a Tensor<f32>,
    acquisition: Acquisition,
    len: usize,
    /// `[N]` or, if inputs are not scored one by one, nothing.
    scores: Vec<f64>,
    /// Blocks of `p_s(y = c | x_n)` `[S, B, K]`, for BatchBALD alone.
    blocks: Vec<Array3<f64>>,
}

impl<'a> Pool<'a> {
    /// An empty one, to be judged by the posterior samples `theta [S, D]`.
    pub fn new(model: &'a Model, theta: &'a Tensor<f32>, acquisition: Acquisition) -> Self {
        Self { model, theta, acquisition, len: 0, scores: vec![], blocks: vec![] }
    }

    /// Inputs so far, `N`.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Add inputs `x [B, inputs]`.
    ///
    /// # Errors
    /// If the network's outputs overflow on one of them.
    ///
    /// # Panics
    /// If they, or the acquisition, do not fit the model.
    pub fn add(&mut self, x: ArrayView2<'_, f32>) -> Result<()> {
        let name = |row| format!("input {} (from 0) of the pool", self.len + row);
        if let Some(score) = self.acquisition.score() {
            let found = predict(self.model, self.theta, x);
            found.check(name)?;
            self.scores.extend(score.of(&found));
        } else if self.acquisition == Acquisition::BatchBald {
            let logits = logits(self.model, self.theta, x);
            let bad =
                |(_, row, _): &(usize, usize, usize), x: &f32| (!x.is_finite()).then_some(*row);
            if let Some(row) = logits.indexed_iter().find_map(|(at, x)| bad(&at, x)) {
                return Err(overflows(name(row)));
            }
            self.blocks.push(softmax(&logits));
        }
        self.len += x.nrows();
        Ok(())
    }

    /// The `k` to label, or all if there are no more, the first the most wanted. Of equals, those added
    /// first; chance, and the estimates of BatchBALD, come from `rng`.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn choose(self, k: usize, rng: &mut dyn Rng) -> Vec<Pick> {
        let k = k.min(self.len);
        let mut order: Vec<_> = (0..self.len).collect();
        match self.acquisition {
            Acquisition::Random => {
                let (chosen, _) = order.partial_shuffle(rng, k);
                chosen.iter().map(|&index| Pick { index, value: None }).collect()
            }
            Acquisition::BatchBald if k == 0 => vec![],
            Acquisition::BatchBald => {
                let blocks: Vec<_> = self.blocks.iter().map(|block| block.view()).collect();
                let p = ndarray::concatenate(Axis(1), &blocks).expect("one model's");
                batch_bald(p.view(), k, rng)
            }
            _ => {
                let scores = self.scores;
                order.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]));
                let pick = |index| Pick { index, value: Some(scores[index]) };
                order.into_iter().take(k).map(pick).collect()
            }
        }
    }
}

/// The most configurations of labels `(y₁ … yₙ)` that are all looked at; if there are more, so many
/// are drawn.
const CONFIGURATIONS: usize = 1 << 12;

/// Inputs that are looked at together.
const BLOCK: usize = 64;

/// The greedy choice of `k` inputs by
/// `I[y₁ … yₙ; θ] = H[y₁ … yₙ] − Σᵢ mean_s H[yᵢ | θ_s]`, from `p [S, N, K]`: under a posterior sample
/// labels are independent, so `p(y₁ … yₙ) = mean_s Π p_s(yᵢ)`. While there are few configurations of
/// labels, the entropy is a sum over all. Then the gain of an input, `I[y; θ | y₁ … yₙ]`, is estimated
/// from configurations `ŷ_m` drawn from that mixture, as many from each sample: it is the mean of the
/// input's BALD under `p(θ_s | ŷ_m) ∝ Π p_s(ŷᵢ)`,
/// `(1/M) Σ_m (H[y | ŷ_m] − Σ_s p(θ_s | ŷ_m) H[y | θ_s])`, which is unbiased and not negative.
///
/// Gains are not negative, and their sum is at most `ln S`, the entropy of `θ` over `S` samples.
///
/// # Panics
/// If there are fewer than `k` inputs or there is no sample.
pub fn batch_bald(p: ArrayView3<'_, f64>, k: usize, rng: &mut dyn Rng) -> Vec<Pick> {
    let (samples, inputs, classes) = p.dim();
    assert!(samples > 0 && k <= inputs, "batch_bald: {k} of {inputs} inputs, {samples} samples");
    let entropy = |p: &f64| if *p > 0. { -p * p.ln() } else { 0. };
    let each = p.map(entropy).sum_axis(Axis(2));
    let conditional = each.mean_axis(Axis(0)).expect("a sample");
    // Row m is Π p_s(ŷᵢ) over those chosen, for each s, of configuration m; if drawn, p(θ_s | ŷ_m).
    let mut joint = Array2::<f64>::ones([1, samples]);
    let mut drawn = false;
    let mut picks: Vec<Pick> = vec![];
    let (mut told, mut known) = (0., 0.);
    let mut left = (samples as f64).ln();
    for _ in 0..k {
        let (unit, count) = if drawn { (1., joint.nrows() as f64) } else { (samples as f64, 1.) };
        // H[y₁ … yₙ, y], or the mean of H[y | ŷ_m], for every input of a block, from one product.
        let block = |start: usize| {
            let part = p.slice(s![.., start..inputs.min(start + BLOCK), ..]);
            let width = part.dim().1;
            let flat = part.to_shape([samples, width * classes]).expect("S rows");
            let together = joint.dot(&flat) / unit;
            let mut sums = vec![0.; width];
            for row in together.rows() {
                for (sum, p) in sums.iter_mut().zip(row.exact_chunks(classes)) {
                    *sum += p.iter().map(entropy).sum::<f64>() / count;
                }
            }
            sums
        };
        let starts: Vec<_> = (0..inputs).step_by(BLOCK).collect();
        let entropies: Vec<_> = starts.into_par_iter().flat_map_iter(block).collect();
        let given = drawn.then(|| joint.mean_axis(Axis(0)).expect("a row").dot(&each));
        let gain = |&i: &usize| match &given {
            // One sample cannot disagree.
            _ if samples == 1 => 0.,
            None => entropies[i] - conditional[i] - known - told,
            // Equal gains of 0 are not ordered by rounding.
            Some(given) => (entropies[i] - given[i]).max(0.),
        };
        let free = (0..inputs).filter(|i| picks.iter().all(|pick| pick.index != *i));
        // `max_by` would take the last of equals.
        let index = free.rev().max_by(|i, j| gain(i).total_cmp(&gain(j))).expect("k ≤ N");
        let gain = gain(&index);
        told += gain;
        known += conditional[index];
        let value = gain.clamp(0., left);
        left -= value;
        picks.push(Pick { index, value: Some(value) });

        if !drawn && joint.nrows() * classes > CONFIGURATIONS {
            drawn = true;
            joint = Array2::ones([CONFIGURATIONS.div_ceil(samples) * samples, samples]);
            for pick in &picks {
                extend_drawn(&mut joint, p, pick.index, rng);
            }
        } else if drawn {
            extend_drawn(&mut joint, p, index, rng);
        } else {
            let of = p.slice(s![.., index, ..]);
            let all = |[m, s]: [usize; 2]| joint[[m / classes, s]] * of[[s, m % classes]];
            joint = Array2::from_shape_fn([joint.nrows() * classes, samples], |(m, s)| all([m, s]));
        }
    }
    picks
}

/// `p(θ_s | ŷ_m, ŷ) ∝ p(θ_s | ŷ_m) p_s(ŷ)` in row `m`, with `ŷ` drawn from sample `m mod S`.
fn extend_drawn(joint: &mut Array2<f64>, p: ArrayView3<'_, f64>, input: usize, rng: &mut dyn Rng) {
    let samples = joint.ncols();
    for (m, mut row) in joint.rows_mut().into_iter().enumerate() {
        let mut left = rng.random::<f64>();
        let of = p.slice(s![m % samples, input, ..]);
        let last = of.iter().rposition(|&p| p > 0.).expect("probabilities");
        let label = of.iter().position(|p| {
            left -= p;
            left < 0.
        });
        row *= &p.slice(s![.., input, label.unwrap_or(last).min(last)]);
        // Above 0: the sample that the label was drawn from can say it.
        row /= row.sum();
    }
}

/// Of logits `[S, B, K]`.
fn softmax(logits: &Array3<f32>) -> Array3<f64> {
    let mut p = logits.mapv(f64::from);
    for mut row in p.lanes_mut(Axis(2)) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|x| (x - max).exp());
        row /= row.sum();
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    /// The probability of a thousand labels underflows; that of a sample given them does not.
    #[test]
    fn many_labels() {
        let p = Array3::from_shape_fn([2, 1, 10], |(s, _, c)| if s == c % 2 { 0.11 } else { 0.09 });
        let (mut joint, rng) = (Array2::ones([64, 2]), &mut stream(0, Purpose::Pool, 0));
        (0..1000).for_each(|_| extend_drawn(&mut joint, p.view(), 0, rng));
        // The log odds of a label are ±l, l = ln(0.11 / 0.09): mean 0.1 l, standard deviation √0.99 l.
        let ratio = (0.11_f64 / 0.09).ln();
        let nats = |(m, row): (usize, ndarray::ArrayView1<'_, f64>)| {
            assert!((row.sum() - 1.).abs() < 1e-12);
            (row[m % 2] / row[1 - m % 2]).ln()
        };
        let mean = joint.rows().into_iter().enumerate().map(nats).sum::<f64>() / 64.;
        let error = ratio * (0.99 * 1000. / 64_f64).sqrt();
        assert!((mean - 100. * ratio).abs() < 4. * error, "{mean} for {}", 100. * ratio);
    }
}
