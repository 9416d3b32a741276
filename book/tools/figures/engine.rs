//! Differentiation, training and speed.
use bhn::autodiff::{Owned, Tape};
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::nn::{Init, Params};
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};

/// Errors of two formulas for the slope of `eˣ` at 1.
pub fn differences() -> Chart {
    let f = |t: f64| (1. + t).exp();
    let two = |h: f64| (f(h) - f(-h)) / (2. * h);
    let four = |h: f64| (8. * (f(h) - f(-h)) - (f(2. * h) - f(-2. * h))) / (12. * h);
    let steps: Vec<f64> = (0..=110).map(|i| 10_f64.powf(-11. + f64::from(i) / 10.)).collect();
    let error = |formula: &dyn Fn(f64) -> f64| {
        let error = |h: f64| ((formula(h) - f(0.)) / f(0.)).abs().max(1e-16);
        Mark::Line(steps.iter().map(|&h| (h.log10(), error(h).log10())).collect())
    };
    Chart::one(Panel {
        x: Axis::new("log₁₀ of the step h").range(-11., 0.),
        y: Axis::new("log₁₀ of the relative error").range(-16., 0.),
        layers: vec![
            Layer::new("two points", Ink::Series(1), error(&two)),
            Layer::new("four points", Ink::Series(0), error(&four)),
        ],
        ..Panel::default()
    })
}

/// The loss of the network of the chapter on layers, by three optimisers.
pub fn adam() -> Chart {
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

/// The roofline of the processor of `docs/results/speed.md`: the speed that arithmetic and memory
/// allow, by the operations for each byte that is moved.
pub fn roof() -> Chart {
    let (peak, memory) = (116., 23.);
    let limit = |intensity: f64| (memory * intensity).min(peak);
    let points = (0..=120).map(|i| 10_f64.powf(-1. + f64::from(i) / 30.));
    // Operations and bytes in f32: Adam, and products of n rows with a matrix 800 × 800.
    let product = |n: f64| 2. * n * 800. * 800. / (4. * (2. * n * 800. + 800. * 800.));
    let works = [
        ("Adam", 10. / 28.),
        ("1 row", product(1.)),
        ("8 rows", product(8.)),
        ("128 rows", product(128.)),
    ];
    let dots: Vec<_> = works.iter().map(|&(_, intensity)| (intensity, limit(intensity))).collect();
    let texts = works.iter().map(|&(name, x)| (x * 1.1, limit(x) * 0.6, name.to_string()));
    Chart::one(Panel {
        x: Axis::new("operations per byte").range(0.1, 1000.).log(),
        y: Axis::new("GFLOP/s of one thread").range(1., 300.).log(),
        layers: vec![
            Layer::new("limit", Ink::Gray, Mark::Line(points.map(|x| (x, limit(x))).collect())),
            Layer::new(
                "Adam, and products with 800 × 800",
                Ink::Series(0),
                Mark::Dots(dots, 5., 1.),
            ),
            Layer::new("", Ink::Gray, Mark::Text(texts.collect())),
        ],
        ..Panel::default()
    })
}
