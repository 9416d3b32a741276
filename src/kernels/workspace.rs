//! Memory that a thread reuses from one kernel to the next.
use super::scalar::Scalar;

/// Calls `f` with a buffer of `n` elements that this thread reuses; their values are arbitrary.
/// Calls may nest.
pub fn with_workspace<T: Scalar, R>(n: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut free = T::workspace().take();
    let mut buffer = free.pop().unwrap_or_default();
    T::workspace().set(free);
    buffer.resize(n.max(buffer.len()), T::zero());
    let result = f(&mut buffer[..n]);
    let mut free = T::workspace().take();
    free.push(buffer);
    T::workspace().set(free);
    result
}

/// `a b`: elements of an array that `op` allocates or splits.
///
/// # Panics
/// If it exceeds `isize::MAX`: a view with strides of 0 may have that many.
pub fn elements(op: &str, [a, b]: [usize; 2]) -> usize {
    let product = a.checked_mul(b).filter(|&product| isize::try_from(product).is_ok());
    product.unwrap_or_else(|| panic!("{op}: {a} × {b} elements are too many"))
}
