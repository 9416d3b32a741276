//! The figures of the book, computed by the library.
use bhn::autodiff::{Owned, Tape, Tensor, Var};
use bhn::bayes::{Hypernet, HypernetConfig, Place, Posterior};
use bhn::flows::Bijector;
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::nn::{Init, Params};
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use ndarray::arr2;
use std::f64::consts::{PI, SQRT_2};

/// Every figure by its name, the stem of its file.
pub const FIGURES: [(&str, fn() -> Chart); 6] = [
    ("differences", differences),
    ("adam", adam),
    ("bend", bend),
    ("gap", gap),
    ("variance", variance),
    ("calibration", calibration),
];

/// Errors of two formulas for the slope of `eˣ` at 1.
fn differences() -> Chart {
    let f = |t: f64| (1. + t).exp();
    let two = |h: f64| (f(h) - f(-h)) / (2. * h);
    let four = |h: f64| (8. * (f(h) - f(-h)) - (f(2. * h) - f(-2. * h))) / (12. * h);
    let steps: Vec<f64> = (0..=110).map(|i| 10_f64.powf(-11. + f64::from(i) / 10.)).collect();
    let error = |formula: &dyn Fn(f64) -> f64| {
        let error = |h: f64| ((formula(h) - f(0.)) / f(0.)).abs().max(1e-16);
        Mark::Line(steps.iter().map(|&h| (h, error(h))).collect())
    };
    Chart::one(Panel {
        x: Axis::new("step h").log(),
        y: Axis::new("relative error of the slope").log(),
        layers: vec![
            Layer::new("two points", Ink::Series(1), error(&two)),
            Layer::new("four points", Ink::Series(0), error(&four)),
        ],
        ..Panel::default()
    })
}

/// The loss of the network of the chapter on layers, by three optimisers.
fn adam() -> Chart {
    let run = |update: Update, rate: f64| {
        let rng = &mut stream(0, Purpose::Init, 0);
        let x = Owned::from_shape_fn(vec![64, 1], |i| -3. + 6. * i[0] as f64 / 63.);
        let y = x.mapv(f64::sin);
        let mut params = Params::<f64>::default();
        let mut add = |name, shape: [usize; 2], std| {
            params.add(name, Init::Normal { mean: 0., std }.sample(&shape, rng))
        };
        let [v1, b1] = [add("v1", [20, 1], 1.), add("b1", [1, 20], 1.)];
        let [v2, b2] = [add("v2", [1, 20], 0.3), add("b2", [1, 1], 0.)];
        let mut optimiser = Optimiser::new(update, &params);
        let step = |step: i32| {
            let tape = Tape::default();
            let p = params.bind(&tape);
            let hidden = (tape.constant(x.clone()).matmul_t(p[v1]) + p[b1]).relu();
            let error = hidden.matmul_t(p[v2]) + p[b2] - tape.constant(y.clone());
            let loss = error.square().mean();
            let point = (f64::from(step), loss.item());
            let gradients = p.gradients(loss.backward());
            optimiser.step(&mut params, &gradients, rate, Clip::default());
            point
        };
        Mark::Line((0..1000).map(step).step_by(10).collect())
    };
    let descent = Update::Sgd { momentum: 0. };
    Chart::one(Panel {
        x: Axis::new("step"),
        y: Axis::new("mean squared error").log(),
        layers: vec![
            Layer::new("Adam, rate 0.01", Ink::Series(0), run(Update::default(), 0.01)),
            Layer::new("gradient descent, rate 0.1", Ink::Series(1), run(descent, 0.1)),
            Layer::new("gradient descent, rate 0.01", Ink::Series(2), run(descent, 0.01)),
        ],
        ..Panel::default()
    })
}

/// `ln p(θ)` of the banana `N(θ₁; 0, 1) N(θ₂; θ₁² − 1, 0.5²)`, `[S]` for `θ [S, 2]`.
fn banana<'t>(theta: Var<'t, f64>) -> Var<'t, f64> {
    let constant = |x| theta.tape().constant(arr2(&[[x]]).into_dyn());
    let (first, second) = (theta.slice(1, 0..1), theta.slice(1, 1..2));
    let ln_first = first.normal_log_prob(constant(0.), constant(0.));
    let ln_second = second.normal_log_prob(first * first - 1., constant(4_f64.ln()));
    (ln_first + ln_second).sum_axis(1)
}

/// A grid of noise after flows that were trained on the banana.
fn bend() -> Chart {
    let panel = |couplings: usize| {
        let config = HypernetConfig {
            couplings,
            hidden: 32,
            log_scale: 0.,
            shift: 0.,
            elementwise: Place::Last,
            ..HypernetConfig::default()
        };
        let mut params = Params::<f64>::default();
        let q = Hypernet::new(&mut params, "q", 2, &config, &mut stream(0, Purpose::Init, 0));
        let mut adam = Optimiser::new(Update::default(), &params);
        let steps = 1500;
        for step in 0..steps {
            let tape = Tape::default();
            let p = params.bind(&tape);
            let draw = q.draw(&p, 128, &mut stream(0, Purpose::Noise, step));
            let loss = (draw.log_q().expect("a density") - banana(draw.theta)).mean();
            let gradients = p.gradients(loss.backward());
            let rate = 0.01 * (1. - step as f64 / steps as f64);
            adam.step(&mut params, &gradients, rate, Clip::default());
        }
        let line = |at: &dyn Fn(f64) -> [f64; 2]| {
            let points: Vec<f64> = (-50..=50).flat_map(|i| at(f64::from(i) / 20.)).collect();
            let tape = Tape::default();
            let noise = Tensor::from_shape_vec(vec![101, 2], points).expect("101 points");
            let (theta, _) = q.flow().forward(&params.freeze(&tape), tape.constant(noise));
            Mark::Line(theta.value().as_slice().chunks(2).map(|p| (p[0], p[1])).collect())
        };
        let lines = (-5..=5).flat_map(|i| {
            let c = f64::from(i) / 2.;
            let layers = [line(&|t| [c, t]), line(&|t| [t, c])];
            let [across, along] = layers;
            [Layer::new("ε₁ constant", Ink::Series(0), across), Layer::new("ε₂ constant", Ink::Series(1), along)]
        });
        let title = match couplings {
            0 => "no coupling".to_string(),
            1 => "one coupling".to_string(),
            n => format!("{n} couplings"),
        };
        let (x, y) = (Axis::new("θ₁").range(-3., 3.), Axis::new("θ₂").range(-3., 6.));
        Panel { title, x, y, layers: lines.collect() }
    };
    Chart { columns: 2, size: (380., 330.), panels: [0, 1, 2, 8].map(panel).into() }
}

/// `ln p(D)` and the bound of normals, for one parameter, by quadrature: two answers "yes" and one
/// "no" of a logistic model, with a prior `N(0, 3²)`.
fn gap() -> Chart {
    let normal = |x: f64, m: f64, s: f64| -0.5 * ((x - m) / s).powi(2) - (s * (2. * PI).sqrt()).ln();
    let joint = |t: f64| normal(t, 0., 3.) - 2. * (-t).exp().ln_1p() - t.exp().ln_1p();
    let grid = || (-3000..=3000).map(|i| f64::from(i) / 100.);
    let evidence = grid().map(|t| 0.01 * joint(t).exp()).sum::<f64>().ln();
    let bound = |m: f64, s: f64| {
        let term = |t: f64| 0.01 * normal(t, m, s).exp() * (joint(t) - normal(t, m, s));
        grid().map(term).sum::<f64>()
    };
    let widths = || (1..=80).map(|i| 0.05 * f64::from(i));
    let curve = |m: f64, series: usize| {
        let points = widths().map(|s| (s, bound(m, s))).collect();
        Layer::new(format!("bound, mean {m}"), Ink::Series(series), Mark::Line(points))
    };
    let line = Mark::Dashed(vec![(0., evidence), (4., evidence)]);
    Chart::one(Panel {
        x: Axis::new("standard deviation of q").range(0., 4.),
        y: Axis::new("nats").range(evidence - 2.5, evidence + 0.2),
        layers: vec![
            Layer::new("ln p(D)", Ink::Gray, line),
            curve(-1., 2),
            curve(0.85, 0),
            curve(2.5, 1),
        ],
        ..Panel::default()
    })
}

/// Standard deviations of two estimators of `d/d ln s` of `KL(N(0, s²) ‖ N(0, 1))`.
fn variance() -> Chart {
    let widths = || (1..=200).map(|i| f64::from(i) / 100.);
    let line = |f: &dyn Fn(f64) -> f64| Mark::Line(widths().map(|s| (s, f(s))).collect());
    Chart::one(Panel {
        x: Axis::new("width s of q; the posterior has s = 1").range(0., 2.),
        y: Axis::new("standard deviation of one sample").range(0., 6.),
        layers: vec![
            Layer::new("path and score", Ink::Series(1), line(&|s| SQRT_2 * s * s)),
            Layer::new("path alone", Ink::Series(0), line(&|s| SQRT_2 * (s * s - 1.).abs())),
        ],
        ..Panel::default()
    })
}

/// Reliability of predictions that are too confident, and of predictions that are not.
fn calibration() -> Chart {
    let confidences = || (0..=50).map(|i| 0.5 + f64::from(i) / 100.);
    let squeezed = |c: f64| {
        let logit = (c / (1. - c).max(1e-9)).ln() / 2.;
        1. / (1. + (-logit).exp())
    };
    let line = |f: &dyn Fn(f64) -> f64| Mark::Line(confidences().map(|c| (c, f(c))).collect());
    Chart::one(Panel {
        x: Axis::new("confidence").range(0.5, 1.),
        y: Axis::new("accuracy").range(0.5, 1.),
        layers: vec![
            Layer::new("calibrated", Ink::Gray, line(&|c| c)),
            Layer::new("logits twice too large", Ink::Series(1), line(&squeezed)),
        ],
        ..Panel::default()
    })
}

/// Draws all.
pub fn write() -> anyhow::Result<()> { Ok(()) }
