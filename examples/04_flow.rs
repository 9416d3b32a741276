//! A normalising flow: an invertible h maps Gaussian noise ε to θ = h(ε) with the density
//! `ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|`. We fit q to a banana-shaped density p by maximising
//! the bound E_q[ln p(θ) − ln q(θ)], without and with couplings.
//!
//! `cargo run --release --example 04_flow`
//!
//! It draws p and the grid that each flow bends, and prints the name of the picture.
use bhn::autodiff::{Tape, Var};
use bhn::bayes::{Hypernet, HypernetConfig, Posterior};
use bhn::flows::Bijector;
use bhn::nn::Params;
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use ndarray::arr2;
use rand::RngExt;
use rand_distr::StandardNormal;

/// `ln p(θ)` for `θ [S, 2]`, giving `[S]`. The density p is a banana,
/// `p(θ) = N(θ₁; 0, 1) N(θ₂; θ₁² − 1, 0.5²)`.
fn ln_p<'t>(theta: Var<'t, f64>) -> Var<'t, f64> {
    let constant = |x| theta.tape().constant(arr2(&[[x]]).into_dyn());
    let (theta1, theta2) = (theta.slice(1, 0..1), theta.slice(1, 1..2));
    let first = theta1.normal_log_prob(constant(0.), constant(0.));
    let second = theta2.normal_log_prob(theta1 * theta1 - 1., constant(4_f64.ln()));
    (first + second).sum_axis(1)
}

fn main() {
    // T is the number of couplings. If there are none, h scales and shifts each axis, and q is a
    // Gaussian with a diagonal covariance. Each coupling transforms half of the entries by a
    // network of the other half, and so can bend the density.
    let [(gaussian, left), (flow, right)] = [0, 4].map(fit);

    // p is normalised, so the bound is −KL(q‖p), and at most 0.
    println!("bound by T = 0: {gaussian:.3} nats, by T = 4: {flow:.3}; 0 is perfect");
    assert!(gaussian < -0.5, "a Gaussian cannot bend");
    assert!(flow > -0.05, "the flow can");

    let picture = std::env::current_exe().expect("a program").with_extension("svg");
    let chart = Chart { columns: 2, size: (380., 340.), panels: vec![left, right] };
    std::fs::write(&picture, chart.svg("flow")).expect("a writable folder");
    println!("picture: {}", picture.display());
}

/// Fit q with T `couplings`; returns its bound, and its picture.
fn fit(couplings: usize) -> (f64, Panel) {
    let config = HypernetConfig {
        couplings,
        hidden: 32,
        log_scale: 0.,
        shift: 0.,
        ..HypernetConfig::default()
    };
    let mut params = Params::default();
    let q = Hypernet::new(&mut params, "q", 2, &config, &mut stream(0, Purpose::Init, 0));
    let mut adam = Optimiser::new(Update::default(), &params);
    println!("T = {couplings}: {} parameters", params.count());

    let (steps, mut bounds) = (2000, vec![]);
    for step in 0..steps {
        let tape = Tape::default();
        let p = params.bind(&tape);
        let draw = q.draw(&p, 256, &mut stream(0, Purpose::Noise, step));
        let ln_q = draw.log_q().expect("a flow has a density");
        // The reparametrisation gradient: it flows through θ to the parameters of h.
        let bound = (ln_p(draw.theta) - ln_q).mean();
        bounds.push(bound.item());
        if (step + 1) % 500 == 0 {
            let recent = bounds[bounds.len() - 100..].iter().sum::<f64>() / 100.;
            println!("  step {:4}: E[ln p − ln q] = {recent:.3}", step + 1);
        }
        let grads = p.gradients((-bound).backward());
        let rate = 0.01 * (1. - step as f64 / steps as f64);
        adam.step(&mut params, &grads, rate, Clip::default());
    }
    check_ln_det(q.flow(), &params);
    let picture = picture(couplings, q.flow(), &params);
    (bounds[bounds.len() - 100..].iter().sum::<f64>() / 100., picture)
}

/// Samples of p, and h(ε) for ε on the lines of a grid over [−2, 2]².
fn picture(couplings: usize, h: &impl Bijector<f64>, params: &Params<f64>) -> Panel {
    let rng = &mut stream(1, Purpose::Sample, 0);
    let mut normal = || rng.sample::<f64, _>(StandardNormal);
    let samples = (0..1000).map(|_| (normal(), normal()));
    let samples = samples.map(|(a, b)| (a, a * a - 1. + 0.5 * b)).collect();
    let mut layers = vec![Layer::new("samples of p", Ink::Gray, Mark::Dots(samples, 1.5, 0.6))];
    for line in 0..18 {
        let (across, at) = (line % 2, f64::from(line / 2) * 0.5 - 2.);
        let along = (0..=80).map(|i| f64::from(i) * 0.05 - 2.);
        let eps: Vec<_> = along.map(|e| if across == 0 { [e, at] } else { [at, e] }).collect();
        let tape = Tape::default();
        let (theta, _) = h.forward(&params.freeze(&tape), tape.constant(arr2(&eps).into_dyn()));
        let points = theta.value().rows().into_iter().map(|row| (row[0], row[1])).collect();
        layers.push(Layer::new("h(ε), ε on a grid", Ink::Series(0), Mark::Line(points)));
    }
    let (x, y) = (Axis::new("θ₁").range(-3., 3.), Axis::new("θ₂").range(-4., 6.));
    Panel { title: format!("T = {couplings}"), x, y, layers }
}

/// Compare the log-determinant of h with that of a finite-difference Jacobian at one point.
fn check_ln_det(h: &impl Bijector<f64>, params: &Params<f64>) {
    let (tape, d) = (Tape::default(), 1e-5);
    let rows = [[0.3, -0.8], [0.3 + d, -0.8], [0.3 - d, -0.8], [0.3, -0.8 + d], [0.3, -0.8 - d]];
    let (theta, ln_det) = h.forward(&params.freeze(&tape), tape.constant(arr2(&rows).into_dyn()));
    let theta = theta.value();
    // ∂θᵢ/∂εₖ: rows 1 and 2 move ε₁, rows 3 and 4 move ε₂.
    let jacobian = |i: usize, k: usize| (theta[[1 + 2 * k, i]] - theta[[2 + 2 * k, i]]) / (2. * d);
    let numeric = (jacobian(0, 0) * jacobian(1, 1) - jacobian(0, 1) * jacobian(1, 0)).abs().ln();
    println!("  ln|det ∂h/∂ε| = {:.6}, by finite differences {numeric:.6}", ln_det.value()[0]);
    assert!((ln_det.value()[0] - numeric).abs() < 1e-7);
}
