//! One seed, many streams: every random number is a function of (seed, purpose, index).
//!
//! The generator for step 1000's noise is built from the number 1000, not reached by drawing 999
//! times. So nothing about randomness has to be saved to resume a run: its position is enough.
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// What random numbers are for. Streams of different purposes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Starting values of parameters, and fixed permutations.
    Init,
    /// The order of examples; the index is the epoch.
    Batches,
    /// The hypernet's noise in training; the index is the step.
    Noise,
    /// Posterior samples for validation and testing.
    Evaluation,
    /// Posterior samples that a user asks for.
    Sample,
    /// Which rows of a file are for training, validation and test.
    Split,
    /// Examples that an experiment makes up.
    Toy,
    /// Images of noise.
    Images,
    /// What active learning labels first, looks at, and takes by chance: index 0 and 1, with a seed for each round.
    Pool,
    /// How images are changed; the index is the step.
    Augment,
}

/// The generator for `purpose` number `index` of a run with `seed`: ChaCha8, whose 2⁶⁴ streams are
/// independent.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose as u64) << 56 | index);
    rng
}
