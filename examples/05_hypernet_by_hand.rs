//! A Bayesian hypernetwork from its parts: noise ε → flow h → scales g → weight-normalised network
//! f → bound → Adam. On the paper's toy regression (figure 1) the uncertainty about f(x) is small
//! near the data, x in [0, ½], and grows with the distance from them.
//!
//! `cargo run --release --example 05_hypernet_by_hand`
//!
//! It draws the mean of f ± 2 standard deviations, and prints the name of the picture.
use bhn::autodiff::{Owned, Tape, Var};
use bhn::flows::{Bijector, Chain, Conditioner, Coupling, Elementwise, Permutation};
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::nn::{BoundParams, Init, ParamId, Params};
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis as Scale, Chart, Ink, Layer, Mark, Panel};
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
        // ANCHOR: step
        let (g, ln_det) = h.forward(&p, eps);
        // ln q(g) = ln N(ε; 0, I) − ln|det ∂h/∂ε| and ln p(g) = ln N(g; 0, I), each [S].
        let kl = (eps.standard_normal_log_prob() - ln_det - g.standard_normal_log_prob()).mean();
        // (N/B) Σ_B ln N(y; f(x), 1/τ), averaged over samples: an estimate for the whole data set.
        let means = f(&p, layers, g, tape.constant(batch(&x))).reshape(&[S, B]);
        let log_lik = tape.constant(batch(&y)).normal_log_prob(means, p[log_tau]).mean() * N as f64;
        let elbo = log_lik - kl;
        // ANCHOR_END: step
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
    let grid: Vec<f64> = (-20..=60).map(|i| f64::from(i) / 40.).collect();
    let (g, _) = h.forward(&p, noise(&tape, 500, &mut stream(0, Purpose::Sample, 0)));
    let inputs = tape.constant(arr1(&grid).insert_axis(Axis(1)).into_dyn());
    let outputs = f(&p, layers, g, inputs).reshape(&[500, grid.len()]).value();
    let (mean, std) = (outputs.mean_axis(Axis(0)).expect("samples"), outputs.std_axis(Axis(0), 0.));
    for i in (0..grid.len()).step_by(10) {
        let seen = if (0. ..=0.5).contains(&grid[i]) { "data" } else { "" };
        println!("f({:5.2}) = {:6.2} ± {:.2}  {seen}", grid[i], mean[i], std[i]);
    }
    let on = std[30];
    assert!((40..80).step_by(10).all(|i| std[i] < std[i + 10]));
    assert!(std[0] > 4. * on && std[80] > 4. * on, "uncertainty grows away from the data");

    let band = (0..grid.len()).map(|i| (grid[i], mean[i] - 2. * std[i], mean[i] + 2. * std[i]));
    let line = (0..grid.len()).map(|i| (grid[i], mean[i])).collect();
    let data = x.iter().copied().zip(y.iter().copied()).collect();
    let layers = vec![
        Layer::new("mean of f ± 2 std", Ink::Series(0), Mark::Band(band.collect(), 0.3)),
        Layer::new("mean of f", Ink::Series(0), Mark::Line(line)),
        Layer::new("data", Ink::Series(1), Mark::Dots(data, 1.5, 0.5)),
    ];
    let panel = Panel { x: Scale::new("x"), y: Scale::new("y"), layers, ..Panel::default() };
    let picture = std::env::current_exe().expect("a program").with_extension("svg");
    std::fs::write(&picture, Chart::one(panel).svg("band")).expect("a writable folder");
    println!("picture: {}", picture.display());
}
