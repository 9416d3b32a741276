//! Flows: they are invertible, and their log-determinants and gradients are correct.
use super::gradients::at_smooth_point;
use super::suite::{Instance, Measurement, Property, Suite, distance};
use crate::autodiff::gradcheck::{gradcheck, randn};
use crate::autodiff::{Owned, Tape, Var};
use crate::flows::{
    Bijector, Chain, Conditioner, Coupling, Elementwise, Iaf, Inverse, Kink, KinkShape, Lu,
    Permutation, Planar, RankOne, Stabiliser, Triangular,
};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, Params};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, Axis, Ix2, IxDyn, s};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::ops::Range;

/// A bijector with its parameters.
pub struct Flow {
    /// The parameters. Those of the suite are of order one: flows are initialised near the
    /// identity, where many errors would be below any tolerance.
    pub params: Params<f64>,
    /// The bijector.
    pub map: Box<dyn Bijector<f64>>,
}

impl Flow {
    /// The bijector that `build` makes for inputs `[S, d]`, with every parameter drawn from `N(0,
    /// 1)`.
    pub fn new(build: Build, d: usize) -> Self {
        let mut params = Params::default();
        let map = build(&mut params, d, &mut ChaCha8Rng::seed_from_u64(1));
        for ((_, w), seed) in params.iter_mut().zip(10..) {
            *w = randn(w.shape(), seed).into();
        }
        Self { params, map }
    }

    /// `h(x)`, `h⁻¹(h(x))` and both log-determinants.
    pub(super) fn forward_and_inverse(&self, x: &Owned<f64>) -> [Owned<f64>; 4] {
        let tape = Tape::default();
        let (p, x) = (self.params.freeze(&tape), tape.constant(x.clone()));
        let (y, log_det) = self.map.forward(&p, x);
        let (back, inverse_log_det) = self.map.inverse(&p, y);
        [y, back, log_det, inverse_log_det].map(|v| v.value().to_owned())
    }
}

/// Adds a bijector's parameters for inputs `[S, d]` and returns it.
pub type Build = fn(&mut Params<f64>, usize, &mut ChaCha8Rng) -> Box<dyn Bijector<f64>>;

/// The number of entries of an input in the suite; odd, so that the two halves of a coupling differ
/// in size.
pub const D: usize = 5;
const SAMPLES: usize = 3;

/// The conditioner of the flows below.
pub const CONDITIONER: Conditioner =
    Conditioner { hidden: 7, stabiliser: Stabiliser::Exp, weight_norm: true };

const TANH: Conditioner = Conditioner { stabiliser: Stabiliser::Tanh, ..CONDITIONER };
const SIGMOID: Conditioner = Conditioner { stabiliser: Stabiliser::Sigmoid, ..CONDITIONER };
const PLAIN: Conditioner = Conditioner { weight_norm: false, ..CONDITIONER };

const ZERO: Init = Init::Constant(0.);

/// Every bijector, under its name in reports.
// ANCHOR: list
pub const FLOWS: [(&str, Build); 15] = [
    ("elementwise", |p, d, rng| Box::new(Elementwise::new(p, "f", d, ZERO, ZERO, rng))),
    ("coupling, exp", |p, d, rng| Box::new(Coupling::new(p, "f", d, CONDITIONER, rng))),
    // ANCHOR_END: list
    ("coupling, tanh", |p, d, rng| Box::new(Coupling::new(p, "f", d, TANH, rng))),
    ("coupling, sigmoid", |p, d, rng| Box::new(Coupling::new(p, "f", d, SIGMOID, rng))),
    ("coupling, plain weights", |p, d, rng| Box::new(Coupling::new(p, "f", d, PLAIN, rng))),
    ("IAF", |p, d, rng| {
        let order = Permutation::random(d, rng);
        Box::new(Iaf::new(p, "f", order, CONDITIONER, rng))
    }),
    ("invertible linear", |p, d, rng| Box::new(Lu::new(p, "f", d, ZERO, ZERO, rng))),
    ("triangular", |p, d, rng| Box::new(Triangular::new(p, "f", d, ZERO, ZERO, rng))),
    ("rank one", |p, d, rng| Box::new(RankOne::new(p, "f", d, rng))),
    ("kink, smooth", |p, d, _| Box::new(Kink::new(p, "f", d, KinkShape::Smooth))),
    ("kink, PReLU", |p, d, _| Box::new(Kink::new(p, "f", d, KinkShape::Prelu))),
    ("planar", |p, d, rng| Box::new(Planar::new(p, "f", d, rng))),
    ("permutation", |_, d, rng| Box::new(Permutation::random(d, rng))),
    ("chain", |p, d, rng| Box::new(chain(p, d, rng))),
    ("chain, backwards", |p, d, rng| Box::new(Inverse(chain(p, d, rng)))),
];

fn chain(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Chain<f64> {
    Chain::default()
        .then(Elementwise::new(p, "a", d, ZERO, ZERO, rng))
        .then(Coupling::new(p, "b", d, TANH, rng))
        .then(Permutation::random(d, rng))
        .then(Coupling::new(p, "c", d, CONDITIONER, rng))
}

/// The suite of every bijector. For a flow of your own, replace the instances (`docs/verify.md`).
pub fn suite() -> Suite<Flow> {
    Suite {
        // ANCHOR: properties
        properties: vec![
            Property::new(
                "inverse",
                "h⁻¹(h(x)) = x, and the log-determinants of both directions cancel",
                |flow| inverse(flow, &randn(&[9, D], 2)),
            ),
            Property::new(
                "log-determinant",
                "ln|det ∂h/∂x| is that of the Jacobian built row by row, and no sample depends on another",
                |flow| {
                    let x = randn(&[SAMPLES, D], 2);
                    Measurement::worst([log_det(flow, &x), independence(flow, &x)])
                },
            ),
            Property::new(
                "gradients",
                "the tape's derivatives of h and of its log-determinant agree with finite differences",
                |flow| gradients(flow, D, false),
            ),
            Property::new(
                "gradients of the inverse",
                "the same for h⁻¹, by which the density of any θ is computed",
                |flow| gradients(flow, D, true),
            ),
        ],
        // ANCHOR_END: properties
        instances: FLOWS.map(|(name, build)| Instance::new(name, Flow::new(build, D))).into(),
        faults: faults(),
    }
}

/// The rounding error allowed in a value of order one after `h` and `h⁻¹`.
const ROUNDING: f64 = 1e-9;

fn close(a: &Owned<f64>, b: &Owned<f64>, at: &str) -> Measurement {
    Measurement::new(distance(a, b), ROUNDING, at)
}

/// `h⁻¹(h(x)) = x`, and the log-determinants cancel, at `x [S, D]`.
pub fn inverse(flow: &Flow, x: &Owned<f64>) -> Measurement {
    let [_, back, log_det, inverse_log_det] = flow.forward_and_inverse(x);
    Measurement::worst([
        close(&back, x, "x"),
        close(&inverse_log_det, &-log_det, "log-determinant"),
    ])
}

/// The reason why the flow cannot be judged at `x [S, D]`, if its Jacobian is numerically singular:
/// rounding `h(x)` then moves `h⁻¹(h(x))` by more than a hundredth of the error that is allowed.
pub(super) fn singular(flow: &Flow, x: &Owned<f64>) -> Option<Measurement> {
    let [y, back, ..] = flow.forward_and_inverse(x);
    let tape = Tape::default();
    let nudged = &y * &randn(y.shape(), 8).mapv(|r| 1. + f64::EPSILON * r);
    let again = flow.map.inverse(&flow.params.freeze(&tape), tape.constant(nudged)).0.value();
    let difference = distance(&again.to_owned(), &back);
    (difference > ROUNDING / 100.).then(|| {
        let why = format!("nearly singular: the last digit of h(x) moves x by {difference:.0e}");
        Measurement::not_judged(why)
    })
}

/// The log-determinant at each row of `x [S, D]`, against `ln|det|` of the Jacobian at that row.
///
/// # Panics
/// If `x` is not `[S, D]`.
pub fn log_det(flow: &Flow, x: &Owned<f64>) -> Measurement {
    let x = x.view().into_dimensionality::<Ix2>().expect("[S, D]");
    Measurement::worst(x.rows().into_iter().map(|x| log_det_at(flow, x)))
}

/// The number of rows of a Jacobian that are computed in one pass.
const COPIES: usize = 128;

/// Row `j` of the Jacobian is the gradient of entry `j` of `h` with respect to a separate copy of
/// `x [D]`. Up to [`COPIES`] copies share a pass, since samples are independent.
fn log_det_at(flow: &Flow, x: ArrayView1<'_, f64>) -> Measurement {
    let d = x.len();
    let mut jacobian = Array2::zeros((d, d));
    let mut found = 0.;
    for start in (0..d).step_by(COPIES) {
        let rows = start..d.min(start + COPIES);
        let tape = Tape::default();
        let copies = x.broadcast((rows.len(), d)).expect("[B, D]").to_owned();
        let x = tape.leaf(copies.into_dyn());
        let (y, log_det) = flow.map.forward(&flow.params.freeze(&tape), x);
        let entry = |i: IxDyn| f64::from(i[1] == start + i[0]);
        let entry = Owned::from_shape_fn(vec![rows.len(), d], entry);
        let grads = (y * tape.constant(entry)).sum().backward();
        if let Some(gradient) = grads.wrt(x) {
            jacobian.slice_mut(s![rows, ..]).into_dyn().assign(gradient);
        }
        found = log_det.value()[0];
    }
    let expected = ln_abs_det(jacobian);
    let error = (found - expected).abs() / expected.abs().max(1.);
    Measurement::new(error, ROUNDING, format!("{found:.6} said, {expected:.6} of the Jacobian"))
}

/// The gradient of each row of `h(x)` with respect to every other row of `x [S, D]` is exactly 0.
pub fn independence(flow: &Flow, x: &Owned<f64>) -> Measurement {
    let tape = Tape::default();
    let x = tape.leaf(x.clone());
    let y = flow.map.forward(&flow.params.freeze(&tape), x).0;
    let (samples, d) = (x.shape()[0], x.shape()[1]);
    let entries = (0..samples).flat_map(|sample| (0..d).map(move |j| (sample, j)));
    Measurement::worst(entries.map(|(sample, j)| {
        let grads = y.slice(0, sample..sample + 1).slice(1, j..j + 1).sum().backward();
        let others = grads.wrt(x).is_some_and(|rows| {
            let mut others = rows.rows().into_iter().enumerate().filter(|(t, _)| *t != sample);
            others.any(|(_, row)| row.iter().any(|&g| g != 0.))
        });
        Measurement::holds(!others, format!("what sample {sample} sees of others"))
    }))
}

/// The derivatives of `h`, or of `h⁻¹` if `inverse`, and of its log-determinant, against finite
/// differences. They are taken with respect to inputs `[S, d]` and parameters, at the first of a
/// few points that has no kink within the checker's step.
pub fn gradients(flow: &Flow, d: usize, inverse: bool) -> Measurement {
    at_smooth_point(2..8, |seed| {
        let noise = randn(&[SAMPLES, d], seed);
        let at = match inverse {
            true => flow.forward_and_inverse(&noise)[0].clone(),
            false => noise,
        };
        let params = flow.params.iter().map(|(_, w)| w.to_owned());
        let inputs: Vec<_> = [at].into_iter().chain(params).collect();
        gradcheck(&inputs, |v| {
            let p = BoundParams::from_vars(v[0].tape(), v[1..].to_vec());
            let (y, log_det) = match inverse {
                true => flow.map.inverse(&p, v[0]),
                false => flow.map.forward(&p, v[0]),
            };
            Var::concat(&[y, log_det.reshape(&[SAMPLES, 1])], 1)
        })
    })
}

/// Changes an output and its log-determinant.
type Change<T> = for<'t> fn(Var<'t, T>, Var<'t, T>) -> (Var<'t, T>, Var<'t, T>);

const UNCHANGED: Change<f64> = |y, log_det| (y, log_det);

/// A bijector with the outputs of `forward` and `inverse` changed.
struct Changed<T> {
    map: Box<dyn Bijector<T>>,
    forward: Change<T>,
    inverse: Change<T>,
}

impl<T: Scalar> Bijector<T> for Changed<T> {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let (y, log_det) = self.map.forward(p, x);
        (self.forward)(y, log_det)
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let (x, log_det) = self.map.inverse(p, y);
        (self.inverse)(x, log_det)
    }
}

type Fault = (&'static str, Change<f64>, Change<f64>);

/// `sound` with the outputs of `forward` and `inverse` changed.
fn changed(sound: &dyn Fn() -> Flow, (name, forward, inverse): Fault) -> Instance<Flow> {
    let Flow { params, map } = sound();
    Instance::new(name, Flow { params, map: Box::new(Changed { map, forward, inverse }) })
}

/// `sound` with an `inverse` that is not the inverse of its `forward`.
pub(super) fn inverse_faults(sound: &dyn Fn() -> Flow) -> Vec<Instance<Flow>> {
    let faults: [Fault; 2] = [
        ("log-determinant: the wrong sign, back", UNCHANGED, |x, l| (x, -l)),
        ("the inverse is not one", UNCHANGED, |x, l| (x * 1.001, l)),
    ];
    faults.map(|fault| changed(sound, fault)).into()
}

/// `sound` with a log-determinant that is wrong in both directions.
pub(super) fn log_det_faults(sound: &dyn Fn() -> Flow) -> Vec<Instance<Flow>> {
    let faults: [Fault; 4] = [
        ("log-determinant: the wrong sign, there and back", |y, l| (y, -l), |x, l| (x, -l)),
        ("log-determinant: counted twice", |y, l| (y, l * 2.), |x, l| (x, l * 2.)),
        ("log-determinant: forgotten", |y, l| (y, l * 0.), |x, l| (x, l * 0.)),
        (
            "log-determinant: without the floor of the scales",
            |y, l| (y, l - 1e-3),
            |x, l| (x, l + 1e-3),
        ),
    ];
    faults.map(|fault| changed(sound, fault)).into()
}

fn faults() -> Vec<Instance<Flow>> {
    fn next<'t>(x: Var<'t, f64>, axis: usize) -> Var<'t, f64> {
        let n = x.shape()[axis];
        x.gather(axis, (0..n).map(|i| (i + 1) % n).collect::<Vec<_>>())
    }
    let coupling = || Flow::new(FLOWS[1].1, D);
    let permutation = || {
        let map = Box::new(Permutation::new(vec![2, 0, 4, 1, 3]));
        Flow { params: Params::default(), map }
    };
    let of_coupling: [Fault; 3] = [
        ("log-determinant: no gradient", |y, l| (y, l.detach()), |x, l| (x, l.detach())),
        ("a sample sees the next", |y, l| (y + next(y, 0) * 1e-3, l), UNCHANGED),
        ("the inverse has no gradient", UNCHANGED, |x, l| (x.detach(), l)),
    ];
    let name = "a permutation that is off by one on its way back";
    let mut all = inverse_faults(&coupling);
    all.extend(log_det_faults(&coupling));
    all.extend(of_coupling.map(|fault| changed(&coupling, fault)));
    all.push(changed(&permutation, (name, UNCHANGED, |x, l| (next(x, 1), l))));
    all
}

/// The reason why a fault is equivalent to `sound`, if both compute the same at `x [S, D]` to
/// within rounding.
pub(super) fn equivalent(sound: &Flow, fault: &Flow, x: &Owned<f64>) -> Option<String> {
    let (a, b) = (sound.forward_and_inverse(x), fault.forward_and_inverse(x));
    let worst = Measurement::worst(a.iter().zip(&b).map(|(a, b)| close(a, b, "")));
    worst.passed().then(|| {
        let Measurement { measured, allowed, .. } = worst;
        format!("it changes h and its log-determinants by {measured:.0e}, less than {allowed:.0e}")
    })
}

/// `ln|det a|` by Gaussian elimination with pivoting, a panel of columns at a time: the columns to
/// the right of a panel are updated by a matrix product.
fn ln_abs_det(mut a: Array2<f64>) -> f64 {
    let (n, mut sum) = (a.nrows(), 0.);
    for start in (0..n).step_by(PANEL) {
        let end = n.min(start + PANEL);
        for k in start..end {
            let pivot = (k..n).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs()));
            let pivot = pivot.expect("a row");
            (0..n).for_each(|j| a.swap([k, j], [pivot, j]));
            sum += a[[k, k]].abs().ln();
            for i in k + 1..n {
                a[[i, k]] /= a[[k, k]];
                eliminate(&mut a, [i, k], k + 1..end);
            }
        }
        for k in start..end {
            (k + 1..end).for_each(|i| eliminate(&mut a, [i, k], end..n));
        }
        let (above, below) = a.view_mut().split_at(Axis(0), end);
        let (factors, mut rest) = below.split_at(Axis(1), end);
        let (factors, above) = (factors.slice(s![.., start..]), above.slice(s![start.., end..]));
        general_mat_mul(-1., &factors, &above, 1., &mut rest);
    }
    sum
}

const PANEL: usize = 64;

/// Row `aᵢ ← aᵢ − aᵢₖ aₖ`, in the given `columns` only.
fn eliminate(a: &mut Array2<f64>, [i, k]: [usize; 2], columns: Range<usize>) {
    let factor = a[[i, k]];
    let (above, mut below) = a.multi_slice_mut((s![k, columns.clone()], s![i, columns]));
    below.scaled_add(-factor, &above);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A = L U`, where the determinants of `L` and `U` are products of their diagonals. The rows
    /// are reversed so that pivots are needed.
    #[test]
    fn blocked_determinant_matches_triangular_factors() {
        for n in [1, 5, PANEL, 2 * PANEL + 3] {
            let noise = randn(&[n, n], 1).into_dimensionality::<ndarray::Ix2>().expect("[n, n]");
            let triangle = |upper: bool| {
                Array2::from_shape_fn((n, n), |(i, j)| match i == j {
                    true => 1. + i as f64 / n as f64,
                    false if upper == (j > i) => noise[[i, j]] / n as f64,
                    false => 0.,
                })
            };
            let mut a = triangle(false).dot(&triangle(true));
            a.invert_axis(Axis(0));
            let known: f64 = (0..n).map(|i| 2. * (1. + i as f64 / n as f64).ln()).sum();
            assert!((ln_abs_det(a) - known).abs() < 1e-11 * n as f64, "{n}");
        }
    }
}
