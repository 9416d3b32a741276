//! Random streams: every random number is a function of (seed, purpose, index).
//!
//! The generator for the noise of step 1000 is constructed from the number 1000 and not by
//! advancing one generator through 999 steps. So a run can be resumed at any step without a saved
//! generator state.
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// The purpose of random numbers. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial values of parameters, and fixed permutations.
    Init,
    /// The order of training examples; the index is the epoch.
    Batches,
    /// Samples of the base distribution in training; the index is the step.
    Noise,
    /// Posterior samples for validation and testing.
    Evaluation,
    /// Posterior samples requested by a user.
    Sample,
    /// The split of a file's rows into training, validation and test.
    Split,
    /// Synthetic examples of an experiment.
    Toy,
    /// Noise images.
    Images,
    /// Active learning. In an experiment, whose rounds have a seed each, index 0 is for the initial
    /// labels and index 1 for the candidates and random acquisitions of a round. `bhn acquire` uses
    /// index 0.
    Pool,
    /// Data augmentation; the index is the step.
    Augment,
}

/// The generator of stream `index` of a `purpose` in a run with `seed`: ChaCha8, which has 2⁶⁴
/// independent streams.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose as u64) << 56 | index);
    rng
}
