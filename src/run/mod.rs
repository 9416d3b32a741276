//! A run, from its configuration to its folder.
pub mod checkpoint;
pub mod config;
mod folder;
pub mod lock;
pub mod machine;
pub mod record;
pub mod summary;
pub mod train;

pub use folder::{Progress, Run, Trained, load_data, read_metrics};
