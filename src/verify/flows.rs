//! Flows: invertible, with the log-determinants of their Jacobians.
use super::faults;
use super::suite::{Finding, Property, Subject, Suite, largest};
use crate::flows::{
    Bijector, Chain, Conditioner, Coupling, Elementwise, Iaf, Inverse, Kink, KinkShape, Lu,
    Permutation, Planar, Stabiliser,
};
use crate::gradcheck::{Report, Verdict, gradcheck, randn};
use crate::nn::{Bound, Init, Params};
use crate::tape::{Owned, Tape, Var};
use ndarray::Array2;
use rand::{SeedableRng, rngs::ChaCha8Rng};

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
        *w = randn(w.shape(), seed).into_shared();
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
    let tape = Tape::default();
    let (p, x) = (flow.params.freeze(&tape), tape.constant(randn(&[9, D], 2)));
    let (y, log_det) = flow.map.forward(&p, x);
    let (back, inverse_log_det) = flow.map.inverse(&p, y);
    let of = |v: Var<'_, f64>| v.value().to_owned();
    Finding::worst([
        Finding::new(distance(&of(back), &of(x)), ROUNDING, "x"),
        Finding::new(distance(&of(inverse_log_det), &of(-log_det)), ROUNDING, "log-determinant"),
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

/// By Gaussian elimination with pivoting.
fn ln_abs_det(mut a: Array2<f64>) -> f64 {
    let (n, mut sum) = (a.nrows(), 0.);
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs()));
        let pivot = pivot.expect("a row");
        (0..n).for_each(|j| a.swap([k, j], [pivot, j]));
        sum += a[[k, k]].abs().ln();
        for i in k + 1..n {
            let (factor, row) = (a[[i, k]] / a[[k, k]], a.row(k).to_owned());
            a.row_mut(i).scaled_add(-factor, &row);
        }
    }
    sum
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
            let p = Bound::from_vars(v[1..].to_vec());
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
