//! Defends: data, runs, predictions and experiments, through the library.
#[path = "../common/mnist.rs"]
mod mnist;
#[path = "../common/npz.rs"]
mod npz;
#[path = "../common/parsers.rs"]
mod parsers;
#[path = "../common/test_data.rs"]
mod test_data;

mod acquire;
mod arrays;
mod config;
mod containers;
mod data;
mod datasets;
mod experiments;
mod inputs;
mod labels;
mod oracles;
mod out_of_distribution;
mod point_prior;
mod predict;
mod report;
mod runs;
mod seeds;
mod splits;
mod swag;
mod tables;
mod train;
