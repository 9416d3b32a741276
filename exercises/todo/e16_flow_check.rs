//! 16. Write the check that notices a flow that is none.

/// A map of the plane, its inverse, and what are said to be their log-determinants.
pub struct Claim {
    pub forward: Box<dyn Fn([f64; 2]) -> ([f64; 2], f64)>,
    pub inverse: Box<dyn Fn([f64; 2]) -> ([f64; 2], f64)>,
}

/// Whether both directions are inverse to each other and both log-determinants are right. Maps are
/// smooth; points of order one go to points of order one.
pub fn accepts(claim: &Claim) -> bool {
    let _ = claim;
    todo!("a mistake that both directions share is a mistake, too")
}
