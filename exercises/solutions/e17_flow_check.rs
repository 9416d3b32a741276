//! 17. Write the check that notices a faulty flow.

/// A map of the plane: from a point, the image and what is claimed to be `ln |det|` of the
/// Jacobian. It is smooth, and maps points of order one to points of order one.
pub type Map = dyn Fn([f64; 2]) -> ([f64; 2], f64);

/// The round trip, and the determinant of the Jacobian by central differences, at several points.
pub fn accepts(forward: &Map, inverse: &Map) -> bool {
    let h = 1e-5;
    let near = |a: f64, b: f64| (a - b).abs() < 1e-7;
    [[0.3, -0.7], [-1.1, 0.4], [0.9, 1.2], [-0.2, -1.3]].into_iter().all(|[a, b]| {
        let (y, ln_det) = forward([a, b]);
        let (back, inverse_ln_det) = inverse(y);
        let column = |above: [f64; 2], below: [f64; 2]| {
            let (above, below) = (forward(above).0, forward(below).0);
            [0, 1].map(|i| (above[i] - below[i]) / (2. * h))
        };
        let by_a = column([a + h, b], [a - h, b]);
        let by_b = column([a, b + h], [a, b - h]);
        let det = by_a[0] * by_b[1] - by_a[1] * by_b[0];
        near(back[0], a)
            && near(back[1], b)
            && near(ln_det, det.abs().ln())
            && near(inverse_ln_det, -ln_det)
    })
}
