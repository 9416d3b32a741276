//! 20. Write the check that notices faulty random numbers.

/// A sampler of dropout masks, `masks(n, p, seed)`: `n` entries, each of which is 0 with
/// probability `p` and otherwise `1/(1 − p)`. Entries are independent, and so are the masks of
/// different seeds.
pub type Masks = dyn Fn(usize, f64, u64) -> Vec<f64>;

/// Whether `masks` is right. Use as many entries as you like (100,000 take a millisecond), fixed
/// seeds, and tolerances of four standard errors: the share of `n` independent events of
/// probability `P` has the standard error `√(P (1 − P)/n)`.
pub fn accepts(masks: &Masks) -> bool {
    todo!("check the values, their frequency, neighbouring entries, and two seeds, for several p")
}
