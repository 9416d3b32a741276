//! 19. Write the check that notices wrong random numbers.

/// A sampler of dropout masks: `n` entries that are 0 with probability `p` and otherwise
/// `1/(1 − p)`, independently, for a seed.
pub type Masks = dyn Fn(usize, f64, u64) -> Vec<f64>;

/// Whether it is. Use as many entries and seeds as you like, and tolerances of four standard
/// errors.
pub fn accepts(masks: &Masks) -> bool {
    let _ = masks;
    todo!("values, their frequencies, and that neighbours and seeds are independent")
}
