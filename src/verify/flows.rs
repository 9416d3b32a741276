//! Flows: invertible, with the log-determinants of their Jacobians.
use super::faults;
use super::suite::{Finding, Property, Subject, Suite, largest};
use crate::autodiff::gradcheck::{Report, Verdict, gradcheck, randn};
use crate::autodiff::{Owned, Tape, Var};
use crate::flows::{
    Bijector, Chain, Conditioner, Coupling, Elementwise, Iaf, Inverse, Kink, KinkShape, Lu,
    Permutation, Planar, Stabiliser,
};
use crate::nn::{BoundParams, Init, Params};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, Axis, s};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::ops::Range;

/// A bijector with parameters, all of order one: near the identity, where flows start, much vanishes
/// below any tolerance.
pub struct Flow {
    /// What it learns.
    pub params: Params<f64>,
    /// It.
    pub map: Box<dyn Bijector<f64>>,
}

/// The entries of what a flow to be verified takes: odd, so that halves differ.
pub const D: usize = 5;
const SAMPLES: usize = 3;

type Build = fn(&mut Params<f64>, &mut ChaCha8Rng) -> Box<dyn Bijector<f64>>;

const CONDITIONER: Conditioner =
    Conditioner { hidden: 7, stabiliser: Stabiliser::Exp, weight_norm: true };

/// Every flow there is.
const FLOWS: [(&str, Build); 13] = [
    ("elementwise", |p, rng| {
        Box::new(Elementwise::new(p, "f", D, Init::Constant(0.), Init::Constant(0.), rng))
    }),
    ("coupling, exp", |p, rng| Box::new(Coupling::new(p, "f", D, CONDITIONER, rng))),
    ("coupling, tanh", |p, rng| {
        let conditioner = Conditioner { stabiliser: Stabiliser::Tanh, ..CONDITIONER };
        Box::new(Coupling::new(p, "f", D, conditioner, rng))
    }),
    ("coupling, sigmoid", |p, rng| {
        let conditioner = Conditioner { stabiliser: Stabiliser::Sigmoid, ..CONDITIONER };
        Box::new(Coupling::new(p, "f", D, conditioner, rng))
    }),
    ("coupling, plain weights", |p, rng| {
        let conditioner = Conditioner { weight_norm: false, ..CONDITIONER };
        Box::new(Coupling::new(p, "f", D, conditioner, rng))
    }),
    ("IAF", |p, rng| {
        let order = Permutation::random(D, rng);
        Box::new(Iaf::new(p, "f", order, CONDITIONER, rng))
    }),
    ("invertible linear", |p, rng| {
        Box::new(Lu::new(p, "f", D, Init::Constant(0.), Init::Constant(0.), rng))
    }),
    ("kink, smooth", |p, _| Box::new(Kink::new(p, "f", D, KinkShape::Smooth))),
    ("kink, PReLU", |p, _| Box::new(Kink::new(p, "f", D, KinkShape::Prelu))),
    ("planar", |p, rng| Box::new(Planar::new(p, "f", D, rng))),
    ("permutation", |_, rng| Box::new(Permutation::random(D, rng))),
    ("chain", |p, rng| Box::new(chain(p, rng))),
    ("chain, backwards", |p, rng| Box::new(Inverse(chain(p, rng)))),
];

fn chain(p: &mut Params<f64>, rng: &mut ChaCha8Rng) -> Chain<f64> {
    let tanh = Conditioner { stabiliser: Stabiliser::Tanh, ..CONDITIONER };
    Chain::default()
        .then(Elementwise::new(p, "a", D, Init::Constant(0.), Init::Constant(0.), rng))
        .then(Coupling::new(p, "b", D, tanh, rng))
        .then(Permutation::random(D, rng))
        .then(Coupling::new(p, "c", D, CONDITIONER, rng))
}

/// A flow by its builder, its parameters drawn from `N(0, 1)`.
pub(super) fn at_random(build: Build) -> Flow {
    let mut params = Params::default();
    let map = build(&mut params, &mut ChaCha8Rng::seed_from_u64(1));
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into();
    }
    Flow { params, map }
}

/// The flow of a sound coupling, for what is broken about it.
pub(super) fn coupling() -> Flow {
    at_random(FLOWS[1].1)
}

/// All of it. For a flow of one's own, change the subjects (`docs/verify.md`).
pub fn suite() -> Suite<Flow> {
    let subject =
        |(name, build): (&str, Build)| Subject { name: name.into(), it: at_random(build) };
    Suite {
        properties: vec![
            Property {
                name: "inverse",
                proves: "h⁻¹(h(x)) = x, and the log-determinants there and back cancel",
                measure: inverse,
            },
            Property {
                name: "log-determinant",
                proves: "ln|det ∂h/∂x| is that of the Jacobian built row by row, and no sample looks at another",
                measure: log_det,
            },
            Property {
                name: "gradients",
                proves: "the tape's derivatives of h and of its log-determinant are those of differences",
                measure: |flow| gradients(flow, false),
            },
            Property {
                name: "gradients of the inverse",
                proves: "the same of h⁻¹, with which densities of any θ are computed",
                measure: |flow| gradients(flow, true),
            },
        ],
        subjects: FLOWS.into_iter().map(subject).collect(),
        faults: faults::flows(),
    }
}

/// The largest difference, relative to the largest entry or 1.
fn distance(a: &Owned<f64>, b: &Owned<f64>) -> f64 {
    let size = b.iter().fold(1., |m: f64, e| m.max(e.abs()));
    largest((a - b).iter().map(|e| e.abs())) / size
}

/// What rounding may do to numbers of order one on the way there and back.
const ROUNDING: f64 = 1e-9;

fn inverse(flow: &Flow) -> Finding {
    invertible(flow, randn(&[9, D], 2))
}

impl Flow {
    /// `h(x)`, `h⁻¹(h(x))` and both log-determinants.
    pub(super) fn there_and_back(&self, x: &Owned<f64>) -> [Owned<f64>; 4] {
        let tape = Tape::default();
        let (p, x) = (self.params.freeze(&tape), tape.constant(x.clone()));
        let (y, log_det) = self.map.forward(&p, x);
        let (back, inverse_log_det) = self.map.inverse(&p, y);
        [y, back, log_det, inverse_log_det].map(|v| v.value().to_owned())
    }
}

/// Whether `a` is `b` but for rounding.
pub(super) fn same(a: &Owned<f64>, b: &Owned<f64>) -> Finding {
    Finding::new(distance(a, b), ROUNDING, "")
}

/// Why the flow cannot be judged at `x [S, D]`, if the last digit of `h(x)` decides on more of `h⁻¹`
/// than is allowed: its Jacobian is singular but for rounding.
pub(super) fn singular(flow: &Flow, x: &Owned<f64>) -> Option<Finding> {
    let [y, back, ..] = flow.there_and_back(x);
    let tape = Tape::default();
    let nudged = &y * &randn(y.shape(), 8).mapv(|r| 1. + f64::EPSILON * r);
    let again = flow.map.inverse(&flow.params.freeze(&tape), tape.constant(nudged)).0.value();
    let apart = distance(&again.to_owned(), &back);
    (apart > ROUNDING / 100.).then(|| {
        Finding::not_judged(format!(
            "nearly singular: the last digit of h(x) moves x by {apart:.0e}"
        ))
    })
}

/// There and back from `x [S, D]`.
pub(super) fn invertible(flow: &Flow, x: Owned<f64>) -> Finding {
    let [_, back, log_det, inverse_log_det] = flow.there_and_back(&x);
    Finding::worst([
        Finding { at: "x".into(), ..same(&back, &x) },
        Finding { at: "log-determinant".into(), ..same(&inverse_log_det, &-log_det) },
    ])
}

fn log_det(flow: &Flow) -> Finding {
    let tape = Tape::default();
    let (p, x) = (flow.params.freeze(&tape), tape.leaf(randn(&[SAMPLES, D], 2)));
    let (y, log_det) = flow.map.forward(&p, x);
    let mut findings = vec![];
    for s in 0..SAMPLES {
        let mut jacobian = Array2::zeros((D, D));
        let mut elsewhere = 0_f64;
        for j in 0..D {
            let grads = y.slice(0, s..s + 1).slice(1, j..j + 1).sum().backward();
            let Some(rows) = grads.wrt(x) else { continue };
            for (t, row) in rows.rows().into_iter().enumerate() {
                match t == s {
                    true => jacobian.row_mut(j).assign(&row),
                    false => elsewhere += row.iter().map(|g| g.abs()).sum::<f64>(),
                }
            }
        }
        let (found, expected) = (log_det.value()[s], ln_abs_det(jacobian));
        let error = (found - expected).abs() / expected.abs().max(1.);
        findings.push(Finding::new(error, ROUNDING, format!("sample {s}")));
        findings.push(Finding::of(elsewhere == 0., format!("what sample {s} sees of others")));
    }
    Finding::worst(findings)
}

/// The log-determinant at `x [D]` against that of the Jacobian, whose row `j` is the gradient of entry `j` of what has
/// become of copy `j` of `x`: samples do not see each other.
pub(super) fn volume(flow: &Flow, x: ArrayView1<'_, f64>) -> Finding {
    let d = x.len();
    let mut jacobian = Array2::zeros((d, d));
    let mut found = 0.;
    for start in (0..d).step_by(COPIES) {
        let rows = start..d.min(start + COPIES);
        let tape = Tape::default();
        let copies = x.broadcast((rows.len(), d)).expect("[B, D]").to_owned();
        let x = tape.leaf(copies.into_dyn());
        let (y, log_det) = flow.map.forward(&flow.params.freeze(&tape), x);
        let entry = Owned::from_shape_fn(vec![rows.len(), d], |i| {
            f64::from(u8::from(i[1] == start + i[0]))
        });
        let grads = (y * tape.constant(entry)).sum().backward();
        if let Some(gradient) = grads.wrt(x) {
            jacobian.slice_mut(s![rows, ..]).into_dyn().assign(gradient);
        }
        found = log_det.value()[0];
    }
    let expected = ln_abs_det(jacobian);
    let error = (found - expected).abs() / expected.abs().max(1.);
    Finding::new(error, ROUNDING, format!("{found:.6} said, {expected:.6} of the Jacobian"))
}

/// Rows of a Jacobian at a time.
const COPIES: usize = 128;

/// By Gaussian elimination with pivoting, a panel of columns at a time: beyond it, eliminating is a matrix product.
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

/// `aᵢ ← aᵢ − aᵢₖ aₖ` within these columns.
fn eliminate(a: &mut Array2<f64>, [i, k]: [usize; 2], columns: Range<usize>) {
    let factor = a[[i, k]];
    let (above, mut below) = a.multi_slice_mut((s![k, columns.clone()], s![i, columns]));
    below.scaled_add(-factor, &above);
}

/// At the first of a few points without a kink within the checker's step.
fn gradients(flow: &Flow, inverse: bool) -> Finding {
    let check = |seed| {
        let (tape, noise) = (Tape::default(), randn(&[SAMPLES, D], seed));
        let at = match inverse {
            true => flow
                .map
                .forward(&flow.params.freeze(&tape), tape.constant(noise))
                .0
                .value()
                .to_owned(),
            false => noise,
        };
        let params = flow.params.iter().map(|(_, w)| w.to_owned());
        let inputs: Vec<_> = [at].into_iter().chain(params).collect();
        gradcheck(&inputs, |v| {
            let p = BoundParams::from_vars(v[1..].to_vec());
            let (y, log_det) = match inverse {
                true => flow.map.inverse(&p, v[0]),
                false => flow.map.forward(&p, v[0]),
            };
            Var::concat(&[y, log_det.reshape(&[SAMPLES, 1])], 1)
        })
    };
    let smooth = |r: &Report| !r.0.iter().any(|v| matches!(v, Verdict::NotCheckable { .. }));
    match (2..8).map(check).find(smooth) {
        Some(report) => super::gradients::finding(&report),
        None => Finding::of(false, "no point without a kink"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A = L U` of triangles whose determinants are products, with rows turned round so that pivots are needed.
    #[test]
    fn a_determinant_of_several_panels() {
        for n in [1, 5, PANEL, 2 * PANEL + 3] {
            let noise = randn(&[n, n], 1).into_dimensionality::<ndarray::Ix2>().expect("[n, n]");
            let triangle = |turned: bool| {
                Array2::from_shape_fn((n, n), |(i, j)| match i == j {
                    true => 1. + i as f64 / n as f64,
                    false if turned == (j > i) => noise[[i, j]] / n as f64,
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
