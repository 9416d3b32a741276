//! Adam and gradient clipping against their formulas, step by step.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::randn;
use crate::autodiff::{Gradient, Owned};
use crate::nn::Params;
use crate::nn::optim::{Clip, Optimiser, Update};

/// The parameters after one step per gradient, from `START` at a learning rate of 0.1.
pub type Descend = fn(Update, Clip, &[[f64; 3]]) -> [f64; 3];

const START: [f64; 3] = [1., -2., 0.5];

fn descend(update: Update, clip: Clip, gradients: &[[f64; 3]]) -> [f64; 3] {
    let mut params = Params::<f64>::default();
    let tensor = |v: [f64; 3]| Owned::from_shape_vec(vec![3], v.to_vec()).expect("one axis");
    params.add("w", tensor(START));
    let mut optimiser = Optimiser::new(update, &params);
    for &g in gradients {
        optimiser.step(&mut params, &[Some(Gradient::from(tensor(g)))], 0.1, clip);
    }
    let w = params.iter().next().expect("w").1;
    [w[0], w[1], w[2]]
}

/// The suite of [`Optimiser`].
pub fn suite() -> Suite<Descend> {
    Suite {
        properties: vec![
            Property::new(
                "Adam",
                "w ← w − η m̂/(√v̂ + ε), with the moments' bias corrected, for every step",
                |descend| {
                    let found = descend(Update::default(), Clip::NONE, &gradients());
                    close(found, adam(&gradients(), corrected))
                },
            ),
            Property::new(
                "clipping",
                "the global norm is brought to its bound first, then each element to its own",
                |descend| {
                    let mut w = START;
                    for g in gradients() {
                        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
                        let scale = (2. / norm).min(1.);
                        (0..3).for_each(|i| w[i] -= 0.1 * (scale * g[i]).clamp(-0.9, 0.9));
                    }
                    let clip = Clip { norm: 2., element: 0.9 };
                    close(descend(Update::Sgd { momentum: 0. }, clip, &gradients()), w)
                },
            ),
        ],
        instances: vec![Instance::new("Optimiser", descend as Descend)],
        faults: faults(),
    }
}

/// Seven gradients, one of them large.
fn gradients() -> [[f64; 3]; 7] {
    std::array::from_fn(|i| {
        let g = randn(&[3], 60 + i as u64);
        [g[0], g[1], g[2]].map(|g| if i == 2 { 40. * g } else { g })
    })
}

fn close(found: [f64; 3], expected: [f64; 3]) -> Measurement {
    // The tolerance allows for a few dozen roundings of values of order one.
    let each = found.into_iter().zip(expected);
    Measurement::worst(each.map(|(f, e)| Measurement::close(f, e, 1e-13)))
}

/// Adam with the default decay rates of the moments; `step(t, m, v)` is the update at a learning
/// rate of 1, given the moments `m` and `v` after `t` steps.
fn adam(gradients: &[[f64; 3]], step: fn(i32, f64, f64) -> f64) -> [f64; 3] {
    let (mut w, mut m, mut v) = (START, [0.; 3], [0.; 3]);
    for (t, g) in (1..).zip(gradients) {
        for i in 0..3 {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
            w[i] -= 0.1 * step(t, m[i], v[i]);
        }
    }
    w
}

/// `m̂/(√v̂ + ε)` with the bias of `t` steps corrected.
fn corrected(t: i32, m: f64, v: f64) -> f64 {
    let [m, v] = [m / (1. - 0.9_f64.powi(t)), v / (1. - 0.999_f64.powi(t))];
    m / (v.sqrt() + 1e-8)
}

fn faults() -> Vec<Instance<Descend>> {
    let fault = |name, f: Descend| Instance::new(name, f);
    vec![
        fault("Adam: its moments' bias not corrected", |update, clip, gradients| match update {
            Update::Sgd { .. } => descend(update, clip, gradients),
            Update::Adam { .. } => adam(gradients, |_, m, v| m / (v.sqrt() + 1e-8)),
        }),
        fault("Adam: one step behind in its correction", |update, clip, gradients| match update {
            Update::Sgd { .. } => descend(update, clip, gradients),
            Update::Adam { .. } => adam(gradients, |t, m, v| corrected(t + 1, m, v)),
        }),
        fault("clipping: each element, and no norm", |update, clip, gradients| {
            descend(update, Clip { norm: f64::INFINITY, ..clip }, gradients)
        }),
        fault("clipping: elements before the norm", |update, clip, gradients| {
            let clamped = |g: &[f64; 3]| g.map(|g| g.clamp(-clip.element, clip.element));
            let clipped: Vec<_> = gradients.iter().map(clamped).collect();
            descend(update, Clip { element: f64::INFINITY, ..clip }, &clipped)
        }),
    ]
}
