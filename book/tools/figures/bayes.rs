//! Inference, its gradients, and predictions.
use anyhow::{Context, Result};
use bhn::autodiff::{Owned, Tape};
use bhn::bayes::{Estimator, Hypernet, HypernetConfig, Model};
use bhn::data::{Dataset, Options, Shift, load};
use bhn::nn::Params;
use bhn::predict::score::Score;
use bhn::predict::{ACTIVE, Widths, draw, predict};
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use bhn::run::config::Config;
use bhn::run::train::fit;
use bhn::stats::{k_hat, over_seeds};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::{PI, SQRT_2};

/// `ln p(D)` and the bound of normals, for one parameter, by quadrature: two answers "yes" and one
/// "no" of a logistic model, with a prior `N(0, 3²)`.
pub fn gap() -> Chart {
    let normal =
        |x: f64, m: f64, s: f64| -0.5 * ((x - m) / s).powi(2) - (s * (2. * PI).sqrt()).ln();
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

/// Standard deviations of two estimators of `d/d ln s` of `KL(N(0, s²) ‖ N(0, 1))`: in closed form,
/// and of the library's gradients.
pub fn variance() -> Chart {
    let line = |f: &dyn Fn(f64) -> f64| {
        Mark::Line((1..=200).map(|i| f64::from(i) / 100.).map(|s| (s, f(s))).collect())
    };
    let measured = |estimator: Estimator| {
        let points = (1..=8).map(|i| f64::from(i) / 4.);
        Mark::Dots(points.map(|s| (s, deviation(estimator, s))).collect(), 4., 1.)
    };
    Chart::one(Panel {
        x: Axis::new("width s of q; the posterior has s = 1").range(0., 2.),
        y: Axis::new("standard deviation of one sample").range(0., 6.),
        layers: vec![
            Layer::new("path and score", Ink::Series(1), line(&|s| SQRT_2 * s * s)),
            Layer::new("path alone", Ink::Series(0), line(&|s| SQRT_2 * (s * s - 1.).abs())),
            Layer::new("", Ink::Series(1), measured(Estimator::Total)),
            Layer::new("", Ink::Series(0), measured(Estimator::Path)),
        ],
        ..Panel::default()
    })
}

/// The standard deviation of 1000 gradients of `ln q(θ) − ln p(θ)`, each from one sample.
fn deviation(estimator: Estimator, s: f64) -> f64 {
    let config = HypernetConfig { couplings: 0, ..HypernetConfig::default() };
    let mut params = Params::<f64>::default();
    let q = Hypernet::new(&mut params, "q", 1, &config, &mut stream(0, Purpose::Init, 0));
    // The elementwise layer has s = eʷ + 0.001 and the shift b.
    for ((_, value), x) in params.iter_mut().zip([(s - 0.001).ln(), 0.]) {
        *value = Owned::from_elem(vec![1], x).into();
    }
    let gradient = |step| {
        let tape = Tape::default();
        let p = params.bind(&tape);
        let draw = estimator.draw(&q, &p, 1, &mut stream(0, Purpose::Noise, step));
        let log_q = draw.log_q().expect("a density");
        let loss = (log_q - draw.theta.standard_normal_log_prob()).sum();
        let gradients = p.gradients(loss.backward());
        let dw = gradients[0].as_ref().and_then(|dw| dw.dense()).expect("a gradient of w");
        dw.as_slice()[0] * s / (s - 0.001)
    };
    let all: Vec<f64> = (0..1000).map(gradient).collect();
    let mean = over_seeds(&all).value;
    (all.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / 999.).sqrt()
}

/// A classifier of digits with two hidden layers of `units`, trained on the first `examples` with
/// the recipe of `bhn train`.
fn classifier(units: usize, examples: usize, epochs: usize) -> Result<(Model, Dataset)> {
    let options = Options { train_subset: Some(examples), ..Options::default() };
    let digits = load("mnist", &options, None)?;
    let text = format!(
        "
        [flow]
        couplings = 2
        hidden = 20
        elementwise = 'last'
        [primary]
        layers = ['dense {units}', 'relu', 'dense {units}', 'relu', 'dense 10']
        [train]
        epochs = {epochs}
        posterior_rate = 10.0
        gradient = 'path'
        "
    );
    let mut config = Config::parse("figure", &text)?;
    config.subset = Some(examples);
    Ok((fit(config, &digits)?, digits))
}

/// The KL of each scale of the classifier from its prior, in descending order, by layer.
pub fn pruned() -> Result<Chart> {
    let (model, _) = classifier(200, 500, 300)?;
    let widths = Widths::of(&model, 0).context("a prior that is not Gaussian")?;
    let names = ["first layer", "second layer", "output layer"];
    let layers = widths.parts.iter().enumerate().map(|(i, (_, range))| {
        let mut kl = widths.kl[range.clone()].to_vec();
        kl.sort_by(|a, b| b.total_cmp(a));
        let points = kl.iter().enumerate().map(|(rank, kl)| (rank as f64 + 1., kl.max(1e-4)));
        Layer::new(names[i], Ink::Series(i), Mark::Line(points.collect()))
    });
    let line = Mark::Dashed(vec![(1., ACTIVE), (200., ACTIVE)]);
    let limit = Layer::new(format!("{ACTIVE} nats"), Ink::Gray, line);
    Ok(Chart::one(Panel {
        x: Axis::new("scales, by their KL").range(1., 200.),
        y: Axis::new("KL from the prior, nats").range(1e-4, 10.).log(),
        layers: layers.chain([limit]).collect(),
        ..Panel::default()
    }))
}

/// Aleatoric and epistemic uncertainty of digits, upright and rotated by a right angle.
pub fn uncertain() -> Result<Chart> {
    let (model, digits) = classifier(50, 2000, 30)?;
    let (theta, _) = draw(&model, 100, &mut stream(0, Purpose::Noise, 0));
    let upright = digits.test.x.slice(ndarray::s![..200, ..]).to_owned();
    let rng = &mut stream(0, Purpose::Images, 0);
    let rotated = Shift::Rotation(90.).apply_to_rows(upright.view(), [28, 28], rng);
    let dots = |x: ndarray::ArrayView2<'_, f32>| {
        let predictive = predict(&model, &theta, x);
        let [total, epistemic] = [Score::Entropy, Score::Bald].map(|score| score.of(&predictive));
        let points = total.iter().zip(&epistemic).map(|(total, e)| (total - e, *e)).collect();
        Mark::Dots(points, 3., 0.6)
    };
    Ok(Chart::one(Panel {
        x: Axis::new("aleatoric uncertainty, nats"),
        y: Axis::new("epistemic uncertainty, nats"),
        layers: vec![
            Layer::new("rotated by 90°", Ink::Series(1), dots(rotated.view())),
            Layer::new("upright", Ink::Series(0), dots(upright.view())),
        ],
        ..Panel::default()
    }))
}

/// `k̂` of `N(0, s²)` as a proposal for `N(0, 1)`, in 1, 5 and 25 dimensions.
pub fn pareto() -> Chart {
    let shape = |s: f64, dimensions: usize| {
        let rng = &mut stream(0, Purpose::Noise, dimensions as u64);
        let log_weight = |_| -> f64 {
            let term = |e: f64| 0.5 * e * e * (1. - s * s) + s.ln();
            (0..dimensions).map(|_| term(rng.sample(StandardNormal))).sum()
        };
        k_hat(&(0..4000).map(log_weight).collect::<Vec<f64>>())
    };
    let widths = || (0..=24).map(|i| 0.6 + f64::from(i) / 30.);
    let layers = [1, 5, 25].iter().enumerate().map(|(i, &dimensions)| {
        let points = widths().map(|s| (s, shape(s, dimensions))).collect();
        let name = format!("{dimensions} dimension{}", if dimensions == 1 { "" } else { "s" });
        Layer::new(name, Ink::Series(i), Mark::Line(points))
    });
    let limit = Layer::new("0.7", Ink::Gray, Mark::Dashed(vec![(0.6, 0.7), (1.4, 0.7)]));
    Chart::one(Panel {
        x: Axis::new("width of q; the posterior has 1").range(0.6, 1.4),
        y: Axis::new("estimated shape of the tail").range(-2.5, 1.5),
        layers: [limit].into_iter().chain(layers).collect(),
        ..Panel::default()
    })
}
