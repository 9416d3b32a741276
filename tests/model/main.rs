//! Defends: data, runs, predictions and experiments, through the library.
#[path = "../common/at_hand.rs"]
mod at_hand;
#[path = "../common/parsers.rs"]
mod parsers;

mod acquire;
mod arrays;
mod config;
mod containers;
mod data;
mod datasets;
mod experiments;
mod inputs;
mod labels;
mod odd;
mod oracles;
mod predict;
mod report;
mod runs;
mod seeds;
mod train;
