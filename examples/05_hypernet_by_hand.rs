//! A Bayesian hypernetwork from its parts: noise ε → flow h → scales g → weight-normalised network
//! f → bound → Adam. On the paper's toy regression (figure 1) the uncertainty about f(x) is small
//! near the data, x in [0, ½], and grows with the distance from them.
//!
//! `cargo run --release --example 05_hypernet_by_hand`
use bhn::autodiff::{Owned, Tape, Var};
use bhn::flows::{Bijector, Chain, Conditioner, Coupling, Elementwise, Permutation};
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::nn::{BoundParams, Init, ParamId, Params};
use bhn::random::{Purpose, stream};
use ndarray::{Axis, arr1};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

const N: usize = 1000; // examples
const B: usize = 100; // examples in a minibatch
const S: usize = 4; // samples of g per step
const H: usize = 50; // hidden units
const D: usize = H + 1; // scales: one per unit, output unit included

/// `f(x)` for `x [B, 1]` and each sample of the scales `g [S, D]`, giving `[S, B, 1]`. A layer is
/// `g ⊙ (V x)/‖V‖ + b`; the weights `w = g V/‖V‖` are never materialised.
fn f<'t>(
    p: &BoundParams<'t, f64>,
    layers: [ParamId; 4],
    g: Var<'t, f64>,
    x: Var<'t, f64>,
) -> Var<'t, f64> {
    let [v1, b1, v2, b2] = layers.map(|id| p[id]);
    let (s, g1, g2) = (g.shape()[0], g.slice(1, 0..H), g.slice(1, H..D));
    let hidden = x.matmul_t(v1) * (g1 / v1.row_norms()).reshape(&[s, 1, H]) + b1;
    hidden.relu().matmul_t(v2) * (g2 / v2.row_norms()).reshape(&[s, 1, 1]) + b2
}

/// Base noise `ε ~ N(0, I)`, `[S, D]`.
fn noise<'t>(tape: &'t Tape<f64>, s: usize, rng: &mut impl Rng) -> Var<'t, f64> {
    tape.constant(Owned::from_shape_simple_fn(&[s, D][..], || rng.sample(StandardNormal)))
}

fn main() {
    // x = ½ U(0, 1), e ~ N(0, 0.02²), y = x + 0.3 sin 2π(x+e) + 0.3 sin 4π(x+e) + e.
    let rng = &mut stream(0, Purpose::Init, 0);
    let x = Owned::from_shape_simple_fn(&[N, 1][..], || 0.5 * rng.random::<f64>());
    let y = x.index_axis(Axis(1), 0).mapv(|x| {
        let e = 0.02 * rng.sample::<f64, _>(StandardNormal);
        x + 0.3 * (TAU * (x + e)).sin() + 0.3 * (2. * TAU * (x + e)).sin() + e
    });

    // Directions V, biases b and the log-precision ln τ of the observations are point estimates ...
    let mut params = Params::default();
    let mut add = |name, shape: &[usize], std| {
        params.add(name, Init::Normal { mean: 0., std }.sample(shape, rng))
    };
    let layers =
        [add("v1", &[H, 1], 1.), add("b1", &[H], 0.5), add("v2", &[1, H], 1.), add("b2", &[1], 0.)];
    let log_tau = add("log_tau", &[1], 0.);
    // ... while the scales are random: g = h(ε), an elementwise layer and two couplings.
    let (log_scale, shift) = (Init::Constant(-3.), Init::Constant(1.));
    let conditioner = Conditioner { hidden: 50, ..Conditioner::default() };
    let h = Chain::default()
        .then(Elementwise::new(&mut params, "h0", D, log_scale, shift, rng))
        .then(Coupling::new(&mut params, "h1", D, conditioner, rng))
        .then(Permutation::random(D, rng))
        .then(Coupling::new(&mut params, "h2", D, conditioner, rng));

    let mut adam = Optimiser::new(Update::default(), &params);
    let steps = 4000;
    for step in 0..=steps {
        let tape = Tape::default();
        let p = params.bind(&tape);
        let at = step as usize * B % N;
        let batch = |v: &Owned<f64>| v.slice_axis(Axis(0), (at..at + B).into()).to_shared();
        let eps = noise(&tape, S, &mut stream(0, Purpose::Noise, step));
        let (g, ln_det) = h.forward(&p, eps);
        // ln q(g) = ln N(ε; 0, I) − ln|det ∂h/∂ε| and ln p(g) = ln N(g; 0, I), each [S].
        let kl = (eps.standard_normal_log_prob() - ln_det - g.standard_normal_log_prob()).mean();
        // (N/B) Σ_B ln N(y; f(x), 1/τ), averaged over samples: an estimate for the whole data set.
        let means = f(&p, layers, g, tape.constant(batch(&x))).reshape(&[S, B]);
        let log_lik = tape.constant(batch(&y)).normal_log_prob(means, p[log_tau]).mean() * N as f64;
        let elbo = log_lik - kl;
        if step % 1000 == 0 {
            let [elbo, log_lik, kl] = [elbo, log_lik, kl].map(Var::item);
            println!("step {step:4}: ELBO {elbo:7.1} = log-likelihood {log_lik:6.1} − KL {kl:5.1}");
        }
        let loss = elbo / -(N as f64);
        let rate = 0.01 * (1. - step as f64 / (steps + 1) as f64);
        adam.step(&mut params, &p.gradients(loss.backward()), rate, Clip::default());
    }

    // Prediction: the mean and standard deviation of f(x) over 500 samples of g.
    let tape = Tape::default();
    let p = params.freeze(&tape);
    let grid = [-0.5, -0.25, 0., 0.25, 0.5, 0.75, 1., 1.25, 1.5];
    let (g, _) = h.forward(&p, noise(&tape, 500, &mut stream(0, Purpose::Sample, 0)));
    let x = tape.constant(arr1(&grid).insert_axis(Axis(1)).into_dyn());
    let outputs = f(&p, layers, g, x).reshape(&[500, grid.len()]).value();
    let (mean, std) = (outputs.mean_axis(Axis(0)).expect("samples"), outputs.std_axis(Axis(0), 0.));
    for (i, x) in grid.into_iter().enumerate() {
        let seen = if (0. ..=0.5).contains(&x) { "data" } else { "" };
        println!("f({x:5.2}) = {:6.2} ± {:.2}  {seen}", mean[i], std[i]);
    }
    let on = std[3];
    assert!(std[4] < std[5] && std[5] < std[6] && std[6] < std[7] && std[7] < std[8]);
    assert!(std[0] > 4. * on && std[8] > 4. * on, "uncertainty grows away from the data");
}
