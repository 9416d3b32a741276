//! Pool-based active learning (Gal, Islam & Ghahramani 2017): train on the labelled examples, test,
//! choose examples to label, repeat.
use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::data::{Dataset, Split, files, temporary};
use crate::error::{Error, Result};
use crate::experiments::digits::probabilities;
use crate::metrics::accuracy;
use crate::predict::acquire::{Acquisition, Pool};
use crate::predict::{draw, logits, predict};
use crate::random::{Purpose, stream};
use crate::run::atomic;
use crate::run::checkpoint::{self, Checkpoint, Header};
use crate::run::config::Config;
use crate::run::seal::{self, BLANK};
use crate::run::train::Trainer;
use ndarray::{ArrayView1, ArrayView2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest accepted size of a `rounds.json`, in bytes.
const BYTES: u64 = 1 << 28;

/// Settings shared by all learners of a comparison.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Initial labels per class.
    pub per_class: usize,
    /// Number of training rows reserved for the initial labels; the other rows are the pool.
    pub set_aside: usize,
    /// Number of pool rows that are scored in a round; they are drawn anew each round.
    pub candidates: usize,
    /// Labels acquired per round.
    pub bought: usize,
    /// Number of rounds with acquisition; after the last of these the network is trained once more.
    pub rounds: usize,
    /// Posterior samples for tests and scores.
    pub samples: usize,
    /// Every `test_every`-th round is tested, from the first on; the last round is always tested.
    pub test_every: usize,
}

/// A learner.
#[derive(Clone, Debug)]
pub struct Learner {
    /// Configuration of network, method and training; need not be resolved.
    pub config: Config,
    /// Whether each round continues from the weights of the previous round.
    pub warm: bool,
    /// Acquisition function.
    pub acquisition: Acquisition,
}

/// Result of one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Number of labels trained on.
    pub labels: usize,
    /// Test accuracy, if the round was tested.
    pub accuracy: Option<f64>,
    /// Acquired training rows, by descending score.
    pub bought: Vec<usize>,
}

/// `rounds.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<R> {
    rounds: R,
    /// SHA-256 of the file with [`BLANK`] in this field.
    sha256: String,
}

/// All rounds of one learner. Each finished round is added to `rounds.json` in `dir`. For a warm
/// start its network is saved there too, as `model-ROUND.safetensors`, and replaces that of the
/// previous round. Only missing rounds are computed.
///
/// Acquired rows leave the pool. Each round starts with a new optimiser and uses the learning rate
/// and the number of epochs of the configuration. `done` is called with the number of each round,
/// from 0, when it finishes.
///
/// # Errors
/// If the configuration does not fit the data, the reserved rows contain fewer than `per_class`
/// examples of a class, training diverges, or a file is damaged or cannot be read or written.
///
/// # Panics
/// If the data have no classes, or fewer rows than are set aside.
pub fn learn(
    dir: &Path,
    learner: &Learner,
    protocol: &Protocol,
    data: &Dataset,
    mut done: impl FnMut(usize),
) -> Result<Vec<Round>> {
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    temporary::sweep(dir)?;
    let (mut rounds, mut model) = resume(dir, learner)?;
    let fingerprint = data.fingerprint();
    // A different seed for each round and each seed of a learner.
    let seed_of = |round: usize| (learner.config.seed << 32) + round as u64;
    let first = first_labels(data, protocol, learner.config.seed)?;
    while rounds.len() <= protocol.rounds {
        let number = rounds.len();
        let labelled: Vec<usize> =
            first.iter().chain(rounds.iter().flat_map(|round| &round.bought)).copied().collect();
        let seed = seed_of(number);
        let config = Config { seed, ..learner.config.clone() }.resolve(data)?;
        let trainer = train(&config, data, &labelled, model.take())?;

        let trained = &trainer.model;
        let samples = config.samples(protocol.samples);
        let (theta, _) = draw(trained, samples, &mut stream(seed, Purpose::Evaluation, 0));
        let is_due = number == protocol.rounds || number.is_multiple_of(protocol.test_every);
        let accuracy = is_due.then(|| {
            let predicted = predict(trained, &theta, data.test.x.view());
            accuracy(probabilities(&predicted), data.test.y.classes()).value
        });
        let bought = match number == protocol.rounds {
            true => vec![],
            false => {
                let rng = &mut stream(seed, Purpose::Pool, 1);
                let taken: HashSet<_> = labelled.iter().collect();
                let pool = 0..data.train.len() - protocol.set_aside;
                let mut rows: Vec<_> = pool.filter(|row| !taken.contains(row)).collect();
                rows.shuffle(rng);
                rows.truncate(protocol.candidates);
                let candidates = data.train.batch(&rows).0;
                let mut pool = Pool::new(trained, &theta, learner.acquisition);
                pool.add(candidates.view())?;
                let places = match (samples, learner.acquisition) {
                    (1, Acquisition::Bald) => {
                        by_rounding(trained, &theta, candidates.view(), protocol.bought)
                    }
                    _ => {
                        let picks = pool.choose(protocol.bought, rng);
                        picks.into_iter().map(|pick| pick.index).collect()
                    }
                };
                places.into_iter().map(|place| rows[place]).collect()
            }
        };
        rounds.push(Round { labels: labelled.len(), accuracy, bought });
        if learner.warm {
            // The header stores the seed that the network was built with: the flow's permutations
            // depend on it and are not among the parameters.
            let config = Config { seed: seed_of(0), ..config };
            let header = Header {
                examples: labelled.len(),
                steps: trainer.steps(),
                epoch: config.train.epochs,
                ..Header::new(config, data, fingerprint.clone())
            };
            checkpoint::save(&network(dir, number), &header, &trainer.model.params, None)?;
            model = Some(trainer.model);
        }
        let sealed = Sealed { rounds: &rounds, sha256: BLANK.into() };
        let json = seal::seal(serde_json::to_vec(&sealed).expect("finite numbers"));
        atomic::write(&dir.join("rounds.json"), &json)?;
        if let Some(last) = number.checked_sub(1).filter(|_| learner.warm) {
            fs::remove_file(network(dir, last)).ok();
        }
        done(number);
    }
    Ok(rounds)
}

/// `model`, or a new network if `None`, trained on the rows `labelled`.
fn train(
    config: &Config,
    data: &Dataset,
    labelled: &[usize],
    model: Option<Model>,
) -> Result<Trainer> {
    let mut config = config.clone();
    config.train.batch = even(labelled.len(), config.train.batch);
    let mut trainer = Trainer::new(&config, data.shape(), &data.task, labelled.len());
    if let Some(model) = model {
        trainer.model = model;
    }
    let (x, y) = data.train.batch(labelled);
    let split = Split { x, y };
    (0..config.train.epochs).try_for_each(|_| trainer.epoch(&split, |_, _| ()))?;
    Ok(trainer)
}

/// The size of minibatches of `n` examples that are as few as minibatches of at most `most`, and
/// as equal as possible. A last minibatch of a few examples would move every weight as far as any
/// other, since Adam's steps do not depend on the scale of the gradient.
fn even(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most).max(1)).max(1)
}

/// The `k` rows of `x [N, inputs]` with the largest `H[p̄] − H[p]` of a single network. This
/// difference is 0, except for the rounding of exponentials in single precision. The authors' code
/// ranks by this rounding error if the network has no uncertainty.
fn by_rounding(model: &Model, theta: &Tensor<f32>, x: ArrayView2<'_, f32>, k: usize) -> Vec<usize> {
    let logits = logits(model, theta, x);
    let left = |logits: ArrayView1<'_, f32>| {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let below = logits.mapv(|x| f64::from(x) - f64::from(max));
        let e = below.mapv(|x| f64::from((x as f32).exp()));
        let (mut z, mut along) = (0., 0.);
        for (e, x) in e.iter().zip(&below).filter(|(e, _)| **e > 0.) {
            z += e;
            along += e * x;
        }
        let term = |e: &f64| if *e > 0. { e / z * (e / z).ln() } else { 0. };
        let entropy = 0. - e.iter().map(term).sum::<f64>();
        (entropy - (z.ln() - along / z)).max(0.) as f32
    };
    let left: Vec<_> = logits.index_axis(Axis(0), 0).rows().into_iter().map(left).collect();
    let mut order: Vec<_> = (0..left.len()).collect();
    order.sort_by(|&i, &j| left[j].total_cmp(&left[i]));
    order.truncate(k);
    order
}

/// Random initial rows: `per_class` rows of each class, out of the reserved rows.
fn first_labels(data: &Dataset, protocol: &Protocol, seed: u64) -> Result<Vec<usize>> {
    let mut rows: Vec<_> = (data.train.len() - protocol.set_aside..data.train.len()).collect();
    rows.shuffle(&mut stream(seed, Purpose::Pool, 0));
    let labels = data.train.y.classes();
    let of = |class| rows.iter().copied().filter(move |&row| labels[row] == class);
    let all = 0..data.task.outputs();
    let first: Vec<_> = all.flat_map(|class| of(class).take(protocol.per_class)).collect();
    let wanted = data.task.outputs() * protocol.per_class;
    if first.len() == wanted {
        return Ok(first);
    }
    let (what, advice) = ("first labels", "Set more rows aside.");
    Err(Error::invalid(what, first.len(), format!("{wanted}"), advice))
}

/// The finished rounds and, for a warm start, the network of the last of these.
fn resume(dir: &Path, learner: &Learner) -> Result<(Vec<Round>, Option<Model>)> {
    let path = dir.join("rounds.json");
    if !path.exists() {
        return Ok((vec![], None));
    }
    let bytes = files::bytes(&path, BYTES)?;
    let bad = |found: String| {
        let advice = format!("Remove {}: its rounds will be computed again.", dir.display());
        Error::invalid(path.display(), found, "rounds of active learning", advice)
    };
    // Earlier versions wrote the rounds without a checksum.
    let rounds: Vec<Round> = if bytes.starts_with(b"[") {
        serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?
    } else {
        let sealed: Sealed<_> = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if !seal::is_intact(&bytes, &sealed.sha256) {
            return Err(bad(seal::DAMAGED.into()));
        }
        sealed.rounds
    };
    let Some(last) = rounds.len().checked_sub(1).filter(|_| learner.warm) else {
        return Ok((rounds, None));
    };
    let network = network(dir, last);
    if !network.exists() {
        let expected = "the network of the last round, which the next one starts from";
        let advice = format!("Remove {}: its rounds will be computed again.", dir.display());
        return Err(Error::invalid(network.display(), "no such file", expected, advice));
    }
    let saved = Checkpoint::load(&network)?;
    Ok((rounds, Some(saved.model()?)))
}

fn network(dir: &Path, round: usize) -> PathBuf {
    dir.join(format!("model-{round}.safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Options, load};
    use crate::primary::Layer;

    #[test]
    fn minibatches_differ_by_at_most_one_per_batch() {
        for n in 1..600 {
            let (size, count) = (even(n, 128), n.div_ceil(128));
            let last = n - size * (count - 1);
            assert!(size <= 128 && n.div_ceil(size) == count, "{n}: {size}");
            assert!(last <= size && size - last < count, "{n}: {size}, then {last}");
        }
    }

    /// A warm start keeps the function: parameters and the flow's permutations.
    #[test]
    fn warm_start_preserves_the_function() {
        let data = load("mnist", &Options::default(), None).unwrap();
        let mut config = Config { seed: 1, ..Config::default() };
        config.primary.layers = Some(Layer::mlp(&[8], 10));
        (config.flow.couplings, config.flow.hidden, config.train.epochs) = (4, 8, 30);
        let config = config.resolve(&data).unwrap();
        let rows: Vec<_> = (0..100).collect();
        let first = train(&config, &data, &rows, None).unwrap().model;
        let samples = |model: &Model| draw(model, 3, &mut stream(0, Purpose::Evaluation, 0)).0;
        let before = samples(&first);
        let mut next = Config { seed: 2, ..config };
        next.train.epochs = 0;
        let again = train(&next, &data, &rows, Some(first)).unwrap().model;
        assert_eq!(samples(&again), before);
        let new = train(&next, &data, &rows, None).unwrap().model;
        assert_ne!(samples(&new), before);
    }
}
