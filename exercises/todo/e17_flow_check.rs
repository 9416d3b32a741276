//! 17. Write the check that notices a faulty flow.

/// A map of the plane: from a point, the image and what is claimed to be `ln |det|` of the
/// Jacobian. It is smooth, and maps points of order one to points of order one.
pub type Map = dyn Fn([f64; 2]) -> ([f64; 2], f64);

/// Whether `inverse` is the inverse of `forward`, and the log-determinants of both are right. The
/// Jacobian may be any invertible matrix, with a negative determinant, too.
pub fn accepts(forward: &Map, inverse: &Map) -> bool {
    todo!("a fault that both directions share is only found by computing the Jacobian")
}
