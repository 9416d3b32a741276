//! 16. Write the check that notices a flow that is none.

/// A map of the plane, its inverse, and what are said to be their log-determinants.
pub struct Claim {
    pub forward: Box<dyn Fn([f64; 2]) -> ([f64; 2], f64)>,
    pub inverse: Box<dyn Fn([f64; 2]) -> ([f64; 2], f64)>,
}

/// The round trip, and the determinant of the Jacobian by differences, at several points.
pub fn accepts(claim: &Claim) -> bool {
    let points = [[0.3, -0.7], [-1.1, 0.4], [0.9, 1.2], [-0.2, -1.3]];
    points.into_iter().all(|x| {
        let (y, ln_det) = (claim.forward)(x);
        let (back, back_ln_det) = (claim.inverse)(y);
        let slope = |of: usize, by: usize| {
            let moved = |t: f64| {
                let mut x = x;
                x[by] += t;
                (claim.forward)(x).0[of]
            };
            (moved(1e-5) - moved(-1e-5)) / 2e-5
        };
        let det: f64 = slope(0, 0) * slope(1, 1) - slope(0, 1) * slope(1, 0);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        near(back[0], x[0])
            && near(back[1], x[1])
            && near(det.abs().ln(), ln_det)
            && near(ln_det, -back_ln_det)
    })
}
