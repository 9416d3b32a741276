//! Tests of the library from its kernels to the bound, its statistics and scores.
mod bayes;
mod convolutions;
mod flows;
mod gradcheck;
mod kernels;
mod lengths;
mod metrics;
mod nan;
mod nuts;
mod optim;
mod posteriors;
mod range;
mod shapes;
mod stats;
mod sums;
