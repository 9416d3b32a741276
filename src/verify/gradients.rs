//! Backward rules of all operations against finite differences.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::{Case, Report, TOLERANCE, Verdict};
use crate::autodiff::ops::checks::operations;
use crate::autodiff::{Cotangent, Owned, Tensor, Var};
use ndarray::{ArrayD, Axis, Ix2, s};
use std::ops::Range;

/// The suite of every operation on the tape.
pub fn suite() -> Suite<Case> {
    Suite {
        properties: vec![Property::new(
            "differences",
            "each rule agrees with finite differences along random directions, with a random cotangent and a second consumer",
            |case| measurement(&case.check()),
        )],
        instances: operations().map(|case| Instance::new(case.name, *case)).collect(),
        faults: faults(),
    }
}

/// The measurement of the worst input of a gradient check. An input that finite differences cannot
/// check counts as NaN, which fails.
pub(super) fn measurement(report: &Report) -> Measurement {
    Measurement::worst(report.0.iter().enumerate().map(|(k, verdict)| {
        let error = match *verdict {
            Verdict::Pass { error } | Verdict::Mismatch { error, .. } => error,
            Verdict::NotCheckable { .. } => f64::NAN,
        };
        Measurement::new(error, TOLERANCE, format!("input {k}"))
    }))
}

/// The gradient check for the first of `seeds` whose point has no kink within the checker's step; a
/// failure if every point has a kink.
pub fn at_smooth_point(seeds: Range<u64>, check: impl Fn(u64) -> Report) -> Measurement {
    let smooth = |report: &Report| {
        !report.0.iter().any(|verdict| matches!(verdict, Verdict::NotCheckable { .. }))
    };
    match seeds.map(check).find(smooth) {
        Some(report) => measurement(&report),
        None => Measurement::holds(false, "no point without a kink"),
    }
}

/// `f(x)`, entry by entry, with the backward rule `rule`.
fn map<'t>(
    x: Var<'t, f64>,
    f: fn(f64) -> f64,
    rule: fn(&Cotangent<'_, f64>) -> Owned<f64>,
) -> Var<'t, f64> {
    Var::record("map", &[x], x.value().mapv(f), move |c, sink| sink.add(0, || rule(c)))
}

fn faults() -> Vec<Instance<Case>> {
    let unary = |name, f| Instance::new(name, Case { name, shapes: &[&[3, 4]], f });
    let product = |name, f| Instance::new(name, Case { name, shapes: &[&[3, 4], &[4, 5]], f });
    vec![
        unary("exp: the wrong sign", |x| map(x[0], f64::exp, |c| -(c.g * c.y))),
        unary("tanh: 1 − y for 1 − y²", |x| {
            map(x[0], f64::tanh, |c| c.g * &c.y.mapv(|y| 1. - y))
        }),
        unary("x²: a forgotten factor of two", |x| map(x[0], |x| x * x, |c| c.g * c.x(0))),
        unary("softmax: its sum held fixed", |x| {
            let e = x[0].value().mapv(f64::exp);
            let sums = e.sum_axis(Axis(1)).insert_axis(Axis(1));
            Var::record("softmax", &[x[0]], e / sums, |c, sink| sink.add(0, || c.g * c.y))
        }),
        unary("x·x: only one of two consumers is counted", |x| x[0] * x[0].detach()),
        unary("mean: divided twice", |x| {
            let (n, shape) = (x[0].value().len() as f64, x[0].shape());
            let y = ArrayD::from_elem(vec![1], x[0].value().sum() / n);
            Var::record("mean", &[x[0]], y, move |c, sink| {
                let g = c.g[0] / n / n;
                sink.add(0, || ArrayD::from_elem(shape.clone(), g));
            })
        }),
        product("matrix product: one gradient left out", |x| x[0].detach().matmul(x[1])),
        product("matrix product: a gradient with its rows reversed", |x| {
            let y = x[0].matmul(x[1]).value().to_owned();
            Var::record("matmul", &[x[0], x[1]], y, |c, sink| {
                let matrix =
                    |x: &Tensor<f64>| x.to_owned().into_dimensionality::<Ix2>().expect("two axes");
                let [a, b, g] = [c.x(0), c.x(1), c.g].map(matrix);
                sink.add(0, || g.dot(&b.t()).slice(s![..;-1, ..]).to_owned().into_dyn());
                sink.add(1, || a.t().dot(&g).into_dyn());
            })
        }),
        unary("relu: a gradient where its input is negative", |x| {
            map(x[0], |x| x.max(0.), |c| c.g.to_owned())
        }),
    ]
}
