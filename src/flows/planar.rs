//! The planar flow (Rezende & Mohamed 2015).
use super::{Bijector, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;

/// `y = z + û tanh(w·z + b)`; `ln|det| = ln(1 + w·û (1 − tanh²(w·z + b)))`.
///
/// `û = u + (m(w·u) − w·u) w/‖w‖²` with `m(x) = −1 + ln(1 + eˣ)`, so that `w·û > −1` and the map is
/// invertible. The map moves every `z` along the same direction `û`. The inverse solves a scalar
/// equation for `w·z`.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let h = Planar::new(&mut params, "h", 4, rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Planar {
    w: ParamId,
    u: ParamId,
    b: ParamId,
}

/// `w [D, 1]`, `û`, `q = 1 + w·û > 0` and `b`.
struct Parts<'t, T> {
    w: Var<'t, T>,
    u: Var<'t, T>,
    q: Var<'t, T>,
    b: Var<'t, T>,
}

impl Planar {
    /// A layer over `d` entries, near the identity: `û ≈ 0`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let normal = |std| Init::Normal { mean: 0., std };
        let w = normal((d as f64).powf(-0.5)).sample::<T>(&[d], rng);
        // `û` should start near 0. Its component along `w` is 0 if `m(w·u) = 0`, that is if
        // `w·u = ln(e − 1)`; for `u = 0`, `m` would be −0.31.
        let along = T::of((std::f64::consts::E - 1.).ln()) / w.iter().map(|&w| w * w).sum::<T>();
        let u = normal(1e-4).sample::<T>(&[d], rng) + w.mapv(|w| along * w);
        let w = params.add(format!("{name}.w"), w);
        let u = params.add(format!("{name}.u"), u);
        Self { w, u, b: params.add(format!("{name}.b"), Init::Constant(0.).sample(&[1], rng)) }
    }

    fn parts<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Parts<'t, T> {
        let (w, u, d) = (p[self.w], p[self.u], p[self.w].shape()[0]);
        check_shape("Planar", x, d);
        let dot = (w * u).sum();
        let q = dot.softplus();
        let u = u + w * ((q - dot - T::one()) / (w * w).sum());
        Parts { w: w.reshape(&[d, 1]), u, q, b: p[self.b] }
    }
}

impl<'t, T: Scalar> Parts<'t, T> {
    /// `û tanh(w·z + b) [S, D]` and `ln(1 + w·û (1 − tanh²)) [S]` for `a = w·z [S, 1]`. The
    /// argument of the logarithm is computed as `tanh² + q sech²`, without cancellation, with
    /// `sech² x = 4 sigmoid(2x) sigmoid(−2x)`.
    fn at(&self, a: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let (a, t) = ((a + self.b) * T::of(2.), (a + self.b).tanh());
        let rest = (a.sigmoid() * (-a).sigmoid()) * T::of(4.);
        let slope = t * t + self.q * rest;
        (t * self.u, slope.ln().sum_axis(1))
    }
}

impl<T: Scalar> Bijector<T> for Planar {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let parts = self.parts(p, x);
        let (step, ln_det) = parts.at(x.matmul(parts.w));
        (x + step, ln_det)
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let parts = self.parts(p, y);
        // w·y = a + (q − 1) tanh(a + b) in a = w·x.
        let a = y.matmul(parts.w).root([parts.q, parts.b], |a, [q, b]| {
            let (t, one) = ((a + b).tanh(), T::one());
            let rest = (a + b).cosh().powi(-2);
            (a + (q - one) * t, t * t + q * rest, [t, (q - one) * rest])
        });
        let (step, ln_det) = parts.at(a);
        let x = y - step;
        // An error of `a` is multiplied by up to `q − 1` in the component of the step along `w`.
        // That component of `x` is known to be `a`, so it is corrected.
        let along = (a - x.matmul(parts.w)) / (parts.w * parts.w).sum();
        (x + along.matmul_t(parts.w), -ln_det)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::{Tape, Tensor};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    fn ln_det<T: Scalar>(u: f64, z: f64) -> f64 {
        let (mut params, tape) = (Params::<T>::default(), Tape::default());
        let h = Planar::new(&mut params, "h", 1, &mut ChaCha8Rng::seed_from_u64(0));
        for (_, value) in params.iter_mut() {
            value.view_mut().fill(T::of(1.));
        }
        params.get_mut(h.u).view_mut().fill(T::of(u));
        let x = tape.constant(Tensor::from_elem(vec![1, 1], T::of(z)));
        h.forward(&params.freeze(&tape), x).1.item().f64()
    }

    /// The error of `h⁻¹` is a few roundings of `h(z)`, which is as large as `q`: `2⁻²⁴ |h(z)|`
    /// each. Along `w`, where `h` is steep, `w·z` is accurate to a few roundings of its own.
    #[test]
    fn inverse_is_accurate_for_steep_steps() {
        for (u, d) in [(1e2, 1), (1e4, 3), (1e6, 5)] {
            let (mut params, tape) = (Params::<f32>::default(), Tape::default());
            let h = Planar::new(&mut params, "h", d, &mut ChaCha8Rng::seed_from_u64(0));
            params.get_mut(h.u).view_mut().fill(u);
            params.get_mut(h.w).view_mut().fill(0.5);
            let p = params.freeze(&tape);
            let z =
                tape.constant(crate::autodiff::gradcheck::randn(&[20, d], 0).mapv(|z| z as f32));
            let (y, ln_det) = h.forward(&p, z);
            let (back, back_ln_det) = h.inverse(&p, y);
            let largest = y.value().iter().fold(0_f32, |most, y| most.max(y.abs()));
            let off = (back - z).value().iter().fold(0_f32, |most, z| most.max(z.abs()));
            assert!(off <= 20. * largest * f32::EPSILON, "{u}: {off} of {largest}");
            for (z, back) in z.value().outer_iter().zip(back.value().outer_iter()) {
                let (along, off) = (0.5 * z.sum().abs(), 0.5 * (&back - &z).sum().abs());
                let size = d as f32 + back.mapv(f32::abs).sum();
                assert!(along > 0.3 || off <= 20. * size * f32::EPSILON, "{u}: {off} along w");
            }
            assert!((ln_det + back_ln_det).value().iter().all(|l| l.is_finite()));
        }
    }

    /// `1 + (q − 1)(1 − tanh²)` with `q = 10⁶` would cancel where tanh is nearly 1. Only the
    /// rounding of the exponent `2(z + 1)`, at most 42, and of the logarithm remain.
    #[test]
    fn steep_log_det_does_not_cancel() {
        for z in [-20., -9., -1., 0., 3., 6., 9., 20.] {
            let (single, double) = (ln_det::<f32>(1e6, z), ln_det::<f64>(1e6, z));
            let exact = (1. + (1e6 - 1.) / (1_f64 + z).cosh().powi(2)).ln();
            let off = [(single - exact).abs() / 2_f64.powi(-24), (double - exact).abs() / 1e-14];
            assert!(off[0] < 100. && off[1] < 100., "{z}: {single}, {double} for {exact}");
        }
    }
}
