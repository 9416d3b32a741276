//! The gradient checks of all operations, for `bhn verify`.
use super::{arithmetic, conv, elementwise, linear, loss, reduce, root, shape, triangular};
use crate::autodiff::gradcheck::Case;

/// The gradient checks of all operations, file by file.
pub fn operations() -> impl Iterator<Item = &'static Case> {
    let files = [
        arithmetic::gradchecks::ALL,
        conv::gradchecks::ALL,
        elementwise::gradchecks::ALL,
        linear::gradchecks::ALL,
        loss::gradchecks::ALL,
        reduce::gradchecks::ALL,
        root::gradchecks::ALL,
        shape::gradchecks::ALL,
        triangular::gradchecks::ALL,
    ];
    files.into_iter().flatten()
}
