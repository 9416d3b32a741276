//! A run: from its configuration to its folder, and back to a trained model.
pub mod atomic;
pub mod checkpoint;
pub mod config;
mod extend;
pub mod folds;
pub mod lock;
pub mod machine;
pub mod memory;
mod missing;
pub mod record;
mod resume;
pub(crate) mod seal;
pub mod summary;
pub mod target;
pub mod train;
mod trained;

pub use checkpoint::{Checkpoint, Header};
pub use config::{Config, Method, MethodKind};
pub use extend::extend;
pub use record::{Epoch, read_metrics};
pub use resume::{Progress, Run};
pub use summary::Summary;
pub use target::Target;
pub use train::Trainer;
pub use trained::{Trained, load_data};
