//! Which inputs to label: acquisition functions of active learning (Gal, Islam & Ghahramani 2017).
pub use crate::predict::batch_bald::{Pick, batch_bald};

use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::data::Task;
use crate::error::Result;
use crate::predict::forward::{logits, predict};
use crate::predict::predictive::overflows;
use crate::predict::score::Score;
use ndarray::{Array3, ArrayView2, Axis};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An acquisition function: which inputs of a pool are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acquisition {
    /// Uniformly at random.
    Random,
    /// The highest [`Score::Bald`].
    Bald,
    /// The highest [`Score::Entropy`].
    MaxEntropy,
    /// The highest [`Score::VariationRatio`], that of the samples' votes.
    VariationRatio,
    /// The highest [`Score::MaxConfidence`], `1 − max_c p̄_c`: the acquisition function that the
    /// authors' code calls the variation ratio.
    LeastConfidence,
    /// The highest [`Score::MeanStd`].
    MeanStd,
    /// The highest *joint* mutual information `I[y₁ … yₙ; θ]`, chosen greedily: see [`batch_bald`].
    /// A duplicate of a chosen input adds little.
    BatchBald,
}

impl Acquisition {
    /// All acquisition functions.
    pub const ALL: [Self; 7] = [
        Self::Random,
        Self::Bald,
        Self::MaxEntropy,
        Self::VariationRatio,
        Self::LeastConfidence,
        Self::MeanStd,
        Self::BatchBald,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match (self, self.score()) {
            (Self::MaxEntropy, _) => "max entropy",
            (Self::LeastConfidence, _) => "least confidence",
            (Self::BatchBald, _) => "BatchBALD",
            (_, score) => score.map_or("random", Score::name),
        }
    }

    /// Whether the function is defined for the task. The variation ratio needs votes for classes,
    /// the least confidence and BatchBALD need class probabilities; a regression has neither.
    pub fn fits(self, task: &Task) -> bool {
        matches!(task, Task::Classification { .. })
            || !matches!(self, Self::VariationRatio | Self::LeastConfidence | Self::BatchBald)
    }

    /// Whether the function distinguishes inputs if there is a single posterior sample. Otherwise
    /// the score of every input is 0.
    pub fn ranks_with_one_sample(self) -> bool {
        matches!(self, Self::MaxEntropy | Self::LeastConfidence)
    }

    fn score(self) -> Option<Score> {
        match self {
            Self::Random | Self::BatchBald => None,
            Self::Bald => Some(Score::Bald),
            Self::MaxEntropy => Some(Score::Entropy),
            Self::VariationRatio => Some(Score::VariationRatio),
            Self::LeastConfidence => Some(Score::MaxConfidence),
            Self::MeanStd => Some(Score::MeanStd),
        }
    }
}

impl fmt::Display for Acquisition {
    /// The name of the function on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Unlabelled inputs, scored block by block.
pub struct Pool<'a> {
    model: &'a Model,
    /// `[S, D]`, shared by all blocks.
    theta: &'a Tensor<f32>,
    acquisition: Acquisition,
    /// `N`, the number of inputs added.
    len: usize,
    /// The scores `[N]`; empty for random choice and BatchBALD, which do not score inputs one by
    /// one.
    scores: Vec<f64>,
    /// Blocks of `p_s(y = c | x_n)` `[S, B, K]` for BatchBALD; empty otherwise.
    blocks: Vec<Array3<f64>>,
}

impl<'a> Pool<'a> {
    /// An empty pool. Its inputs will be scored with the posterior samples `theta [S, D]`.
    pub fn new(model: &'a Model, theta: &'a Tensor<f32>, acquisition: Acquisition) -> Self {
        Self { model, theta, acquisition, len: 0, scores: vec![], blocks: vec![] }
    }

    /// Add inputs `x [B, inputs]`.
    ///
    /// # Errors
    /// If the network's outputs overflow on one of the inputs.
    ///
    /// # Panics
    /// If the inputs or the acquisition function do not fit the model.
    pub fn add(&mut self, x: ArrayView2<'_, f32>) -> Result<()> {
        let name = |row| format!("input {} (from 0) of the pool", self.len + row);
        if let Some(score) = self.acquisition.score() {
            let found = predict(self.model, self.theta, x);
            found.check(name)?;
            self.scores.extend(score.of(&found));
        } else if self.acquisition == Acquisition::BatchBald {
            let logits = logits(self.model, self.theta, x);
            if let Some(((_, row, _), _)) = logits.indexed_iter().find(|(_, x)| !x.is_finite()) {
                return Err(overflows(name(row)));
            }
            self.blocks.push(softmax(&logits));
        }
        self.len += x.nrows();
        Ok(())
    }

    /// The `k` inputs to label, or all if there are fewer. They are in descending order of their
    /// scores; for BatchBALD, in the order of the greedy choice; for random choice, in random
    /// order. Of inputs with equal values, the one that was added first is chosen. `rng` is used
    /// for random choice and for the estimates of BatchBALD.
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
                let p = ndarray::concatenate(Axis(1), &blocks).expect("blocks of one model");
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

/// The softmax of logits `[S, B, K]`.
fn softmax(logits: &Array3<f32>) -> Array3<f64> {
    let mut p = logits.mapv(f64::from);
    for mut row in p.lanes_mut(Axis(2)) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|x| (x - max).exp());
        row /= row.sum();
    }
    p
}
