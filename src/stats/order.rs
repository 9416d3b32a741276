//! Sorting of values and search among sorted ones.

/// Panics if there is no value, or if a value is NaN, which has no place in the order.
pub(crate) fn assert_ordered(name: &str, v: &[f64]) {
    assert!(!v.is_empty(), "{name} [0]: no example");
    if let Some(n) = v.iter().position(|v| v.is_nan()) {
        panic!("{name} [{}]: element {n} is NaN", v.len());
    }
}

/// A sorted copy; panics like [`assert_ordered`].
pub(crate) fn sorted(name: &str, v: &[f64]) -> Vec<f64> {
    assert_ordered(name, v);
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    v
}

/// The number of elements less than `x` in the ascending `v`, and the number of those at most `x`:
/// NumPy's `searchsorted` on the left and on the right.
pub(crate) fn searchsorted(v: &[f64], x: f64) -> (usize, usize) {
    (v.partition_point(|&v| v < x), v.partition_point(|&v| v <= x))
}
