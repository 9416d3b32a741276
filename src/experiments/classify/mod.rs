//! Classification: MNIST with all or a tenth of its training images (Tables 1 and 2), CIFAR-10
//! (Table 1), and an ablation of the settings in which the authors' code differs from our defaults.
mod cifar;
mod claims;
mod mnist;
mod protocol;
mod report;

pub use cifar::{CIFAR_5, CIFAR_10};
pub use mnist::{MNIST, MNIST_5K, SWITCHES};
pub(super) use protocol::base;
