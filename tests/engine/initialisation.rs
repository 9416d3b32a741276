//! Defends: a posterior is centred at the given `θ`, and data-dependent initialisation normalises
//! every layer.
use super::posteriors::{LAYERS, model, rng, task};
use bhn::autodiff::Tape;
use bhn::autodiff::gradcheck::randn;
use bhn::bayes::{FlowKind, Place};
use bhn::flows::Bijector;
use bhn::nn::Params;
use bhn::primary::{Layer, Shape};
use bhn::run::config::{Config, MethodKind};
use rstest::rstest;

/// With negligible noise, samples are at the given centre, except for masks.
#[rstest]
fn recentre_sets_posterior_centre(
    #[values(
        MethodKind::Mle,
        MethodKind::Dropout,
        MethodKind::ConcreteDropout,
        MethodKind::Bbb,
        MethodKind::Laplace,
        MethodKind::Swag
    )]
    method: MethodKind,
) {
    let mut model = model(method, |c| c.mean_field.log_std = -60.);
    let centre: Vec<_> = randn(&[model.primary.dim()], 4).into_iter().collect();
    model.posterior.recentre(&mut model.params, &centre);
    if method == MethodKind::Bbb {
        for (_, w) in model.params.iter_mut().filter(|(name, _)| name.ends_with("log_std")) {
            w.view_mut().fill(-60.);
        }
    }
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let theta = model.posterior.draw(&p, 1, &mut rng(1)).theta.value();
    let is_mask = |i: usize| model.primary.masks().iter().any(|(range, _)| range.contains(&i));
    for (i, (found, expected)) in theta.iter().zip(&centre).enumerate() {
        assert!(is_mask(i) || (found - expected).abs() < 1e-12, "{i}: {found} for {expected}");
    }
}

/// With negligible noise, samples are at the given centre, since the multipliers are near 1.
#[test]
fn recentre_sets_means_and_multipliers() {
    let mut model = model(MethodKind::Mnf, |_| ());
    let centre: Vec<_> = randn(&[model.primary.dim()], 4).into_iter().collect();
    for (name, w) in model.params.iter_mut() {
        // The scales of z are e⁻⁶⁰ + 0.001.
        if name.ends_with("log_std") || name.ends_with("elementwise.w") {
            w.view_mut().fill(-60.);
        }
    }
    model.posterior.recentre(&mut model.params, &centre);
    let tape = Tape::default();
    let theta = model.posterior.draw(&model.params.bind(&tape), 1, &mut rng(1)).theta.value();
    let off = theta.iter().zip(&centre).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
    assert!(off < 0.05, "{off}");
}

/// If there are more than 64 rows, only the last 64 are used.
#[test]
fn data_dependent_initialisation_uses_last_64_rows() {
    let x: ndarray::Array2<f64> = randn(&[100, 3], 5).into_dimensionality().unwrap() * 3. + 1.;
    let fitted = |x: ndarray::ArrayView2<'_, f64>| {
        let mut model = model(MethodKind::Mle, |_| ());
        model.init_from_data(x);
        model
            .params
            .iter()
            .flat_map(|(_, w)| w.iter().copied().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let all = fitted(x.view());
    assert_eq!(all, fitted(x.slice(ndarray::s![36.., ..])));
    assert_ne!(all, fitted(x.slice(ndarray::s![37.., ..])));
    assert_ne!(all, fitted(x.slice(ndarray::s![..64, ..])));
}

/// `h(0)` is the requested centre, through couplings and permutations.
#[rstest]
#[case(MethodKind::Bhn, FlowKind::Realnvp)]
#[case(MethodKind::FullBhn, FlowKind::Realnvp)]
#[case(MethodKind::Bhn, FlowKind::Iaf)]
#[case(MethodKind::Bhn, FlowKind::Linear)]
#[case(MethodKind::Bhn, FlowKind::Planar)]
#[case(MethodKind::FullBhn, FlowKind::Cholesky)]
#[case(MethodKind::Bhn, FlowKind::LowRank)]
fn recentre_accounts_for_couplings_and_permutations(
    #[case] method: MethodKind,
    #[case] kind: FlowKind,
) {
    let mut model = model(method, |c| (c.flow.kind, c.flow.couplings) = (kind, 3));
    let d = model.primary.dim();
    let centre: Vec<_> = randn(&[d], 4).into_iter().collect();
    // A narrow posterior is near its centre: the noise is scaled by s = e⁻⁶⁰ + 0.001.
    let narrow = match kind {
        FlowKind::Linear => "linear.3.w",
        FlowKind::Cholesky => "triangular.w",
        _ => "elementwise.w",
    };
    for (_, w) in model.params.iter_mut().filter(|(name, _)| name.ends_with(narrow)) {
        w.view_mut().fill(-60.);
    }
    model.posterior.recentre(&mut model.params, &centre);
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let theta = model.posterior.draw(&p, 1, &mut rng(1)).theta.value();
    let off = theta.iter().zip(&centre).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
    assert!(off < 0.05, "{off}");
    assert!(centre.iter().any(|x| x.abs() > 1.), "the test would pass at 0");
}

/// `h(0)` is exactly the requested centre wherever the elementwise layer is, whatever its scales.
#[rstest]
fn flow_maps_zero_to_requested_centre(
    #[values(FlowKind::Realnvp, FlowKind::Iaf)] kind: FlowKind,
    #[values(Place::First, Place::Last)] place: Place,
) {
    let mut model = model(MethodKind::Bhn, |c| {
        (c.flow.kind, c.flow.couplings, c.flow.elementwise) = (kind, 3, place);
    });
    let d = model.primary.dim();
    for ((_, w), seed) in model.params.iter_mut().zip(20..) {
        *w = (randn(w.shape(), seed) * 0.3).into();
    }
    let centre: Vec<_> = randn(&[d], 4).into_iter().collect();
    model.posterior.recentre(&mut model.params, &centre);
    let tape = Tape::default();
    let zero = tape.constant(ndarray::Array2::zeros((1, d)));
    let flow = model.posterior.flow().unwrap();
    let theta = flow.forward(&model.params.bind(&tape), zero).0.value();
    let off = theta.iter().zip(&centre).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
    assert!(off < 1e-9, "{off}");
}

/// After data-dependent initialisation every activation's input has mean 0 and variance 1.
#[test]
fn data_dependent_initialisation_normalises_every_layer() {
    let x = randn(&[40, 3], 5).into_dimensionality().unwrap() * 3. + 1.;
    for depth in 1..=LAYERS.len() {
        let Layer::Dense(units) = LAYERS[depth - 1] else { continue };
        let mut params = Params::<f64>::default();
        let mut config = Config { method: MethodKind::Mle, ..Config::default() };
        config.primary.layers = Some(LAYERS[..depth].to_vec());
        let mut model = config.build::<f64>(3, &task());
        model.init_from_data(x.view());
        std::mem::swap(&mut params, &mut model.params);
        let tape = Tape::default();
        let p = params.bind(&tape);
        let theta = model.posterior.draw(&p, 1, &mut rng(1)).theta;
        let out = model.primary.forward(&p, theta, tape.constant(x.clone().into_dyn())).value();
        assert_eq!(out.shape(), [1, 40, units]);
        let out = out.index_axis(ndarray::Axis(0), 0);
        for unit in out.columns() {
            assert!(unit.mean().unwrap().abs() < 1e-12 && (unit.var(0.) - 1.).abs() < 1e-12);
        }
    }
}

/// In a convolution, every channel is normalised over examples and positions.
#[test]
fn data_dependent_initialisation_normalises_every_channel() {
    let x = randn(&[40, 30], 5).into_dimensionality().unwrap() * 3. + 1.;
    let mut config = Config { method: MethodKind::Mle, ..Config::default() };
    config.primary.layers = Some(vec!["conv 3 2x2".parse().unwrap()]);
    let mut model = config.build::<f64>(Shape::Image([1, 6, 5]), &task());
    model.init_from_data(x.view());
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let theta = model.posterior.draw(&p, 1, &mut rng(1)).theta;
    let out = model.primary.forward(&p, theta, tape.constant(x.into_dyn())).value();
    assert_eq!(out.shape(), [1, 40, 5, 4, 3]);
    for channel in out.axis_iter(ndarray::Axis(4)) {
        assert!(channel.mean().unwrap().abs() < 1e-12 && (channel.var(0.) - 1.).abs() < 1e-12);
    }
}
