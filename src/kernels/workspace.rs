//! Memory that a thread reuses from one kernel to the next.
use super::bf16::Pair;
use std::cell::Cell;
use std::thread::LocalKey;

/// An element type of buffers.
pub trait Buffered: Copy + Default + 'static {
    /// The buffers of this thread that are not in use.
    fn free() -> &'static LocalKey<Cell<Vec<Vec<Self>>>>;
}

macro_rules! buffered {
    ($($t:ty)*) => {$(
        impl Buffered for $t {
            fn free() -> &'static LocalKey<Cell<Vec<Vec<Self>>>> {
                thread_local!(static FREE: Cell<Vec<Vec<$t>>> = const { Cell::new(vec![]) });
                &FREE
            }
        }
    )*};
}
buffered!(f32 f64 Pair);

/// Calls `f` with a buffer of `n` elements that this thread reuses; their values are arbitrary.
/// Calls may nest.
pub fn with_workspace<T: Buffered, R>(n: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut free = T::free().take();
    let mut buffer = free.pop().unwrap_or_default();
    T::free().set(free);
    buffer.resize(n.max(buffer.len()), T::default());
    let result = f(&mut buffer[..n]);
    let mut free = T::free().take();
    free.push(buffer);
    T::free().set(free);
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
