//! Defends: hypernets are normalised densities, consistent with their samples, and start at their
//! documented values; base distributions are those of their formulas.
use bhn::autodiff::gradcheck::{gradcheck, randn};
use bhn::autodiff::profile::Profile;
use bhn::autodiff::{Tape, Tensor};
use bhn::bayes::{Axes, Base, FlowKind, Hypernet, HypernetConfig, Place, Posterior};
use bhn::flows::Chain;
use bhn::nn::Params;
use bhn::verify::hypernets::{self, Density};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rstest::rstest;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The density of a hypernet with random parameters.
fn density(kind: FlowKind, d: usize, base: Base) -> Density {
    described(d, HypernetConfig { kind, base, ..Default::default() })
}

fn described(d: usize, config: HypernetConfig) -> Density {
    let mut params = Params::<f64>::default();
    let config = HypernetConfig { couplings: 3, hidden: 6, ..config };
    let hypernet = Hypernet::new(&mut params, "h", d, &config, &mut rng(3));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = (randn(w.shape(), seed) * 0.4).into();
    }
    Density::new(d, params, Box::new(hypernet))
}

const TWO_MODES: Base = Base::Mixture { components: 2, distance: 2., axes: Axes::First };

const GRID_OF_MODES: Base = Base::Mixture { components: 3, distance: 3., axes: Axes::All };

/// In two dimensions, by quadrature over a grid.
#[rstest]
#[case::realnvp(FlowKind::Realnvp, Base::Normal)]
#[case::iaf(FlowKind::Iaf, Base::Normal)]
#[case::linear(FlowKind::Linear, Base::Normal)]
#[case::planar(FlowKind::Planar, Base::Normal)]
#[case::cholesky(FlowKind::Cholesky, Base::Normal)]
#[case::low_rank(FlowKind::LowRank, Base::Normal)]
#[case::mixture(FlowKind::Realnvp, TWO_MODES)]
fn density_integrates_to_one(#[case] kind: FlowKind, #[case] base: Base) {
    hypernets::integral(&density(kind, 2, base)).assert();
}

/// `ln q` is the same if it is computed with a sample and if it is computed by the inverse.
#[rstest]
#[case::realnvp(FlowKind::Realnvp, Base::Normal)]
#[case::iaf(FlowKind::Iaf, Base::Normal)]
#[case::linear(FlowKind::Linear, Base::Normal)]
#[case::planar(FlowKind::Planar, Base::Normal)]
#[case::cholesky(FlowKind::Cholesky, Base::Normal)]
#[case::low_rank(FlowKind::LowRank, Base::Normal)]
#[case::mixture_first(FlowKind::Iaf, TWO_MODES)]
#[case::mixture_all(FlowKind::Planar, GRID_OF_MODES)]
fn log_q_of_samples_matches_log_prob(#[case] kind: FlowKind, #[case] base: Base) {
    hypernets::consistent(&density(kind, 5, base)).assert();
}

/// `ln q` is consistent and integrates to one if the elementwise layer comes last.
#[rstest]
#[case::realnvp(FlowKind::Realnvp)]
#[case::iaf(FlowKind::Iaf)]
#[case::planar(FlowKind::Planar)]
fn elementwise_layer_may_come_last(#[case] kind: FlowKind) {
    let config = HypernetConfig { kind, elementwise: Place::Last, ..Default::default() };
    hypernets::consistent(&described(5, config)).assert();
    hypernets::integral(&described(2, config)).assert();
}

/// For every flow, `θ` initially has the mean `shift` and about the scale of `log_scale`.
#[rstest]
fn initial_samples_have_configured_mean_and_scale(
    #[values(
        FlowKind::Realnvp,
        FlowKind::Iaf,
        FlowKind::Linear,
        FlowKind::Planar,
        FlowKind::Cholesky,
        FlowKind::LowRank
    )]
    kind: FlowKind,
    #[values(true, false)] weight_norm: bool,
) {
    let (d, mut params) = (8, Params::<f64>::default());
    let config = HypernetConfig { kind, shift: 3., weight_norm, ..Default::default() };
    let hypernet = Hypernet::new(&mut params, "h", d, &config, &mut rng(3));
    let tape = Tape::default();
    let draw = hypernet.draw(&params.freeze(&tape), 4000, &mut rng(4));
    let std = (-2.5_f64).exp() + 0.001;
    for entry in draw.theta.value().columns() {
        // The initial shift varies by 0.01, and two kinks of slope 0.9 move it; the error of 4000
        // samples is small.
        assert!((entry.mean().unwrap() - 3.).abs() < 0.07, "{entry}");
        assert!((0.85..1.1).contains(&(entry.std(1.) / std)), "{}", entry.std(1.) / std);
    }
}

/// With reversal, IAF steps order the entries forwards and backwards in turn: in one step the first
/// entry depends on no other, and after two steps every entry depends on all.
#[rstest]
#[case(1, [1, 2, 3])]
#[case(2, [3, 3, 3])]
fn reversal_alternates_autoregressive_order(
    #[case] couplings: usize,
    #[case] expected: [usize; 3],
) {
    let (d, mut params) = (3, Params::<f64>::default());
    let permutation = bhn::flows::Order::Reversal;
    let config = HypernetConfig {
        kind: FlowKind::Iaf,
        couplings,
        hidden: 8,
        permutation,
        ..Default::default()
    };
    let hypernet = Hypernet::new(&mut params, "h", d, &config, &mut rng(3));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    let (p, eps) = (params.freeze(&tape), tape.leaf(randn(&[50, d], 1)));
    let theta = bhn::flows::Bijector::forward(hypernet.flow(), &p, eps).0;
    let seen = [0, 1, 2].map(|i| {
        let grads = theta.slice(1, i..i + 1).sum().backward();
        let columns = grads.wrt(eps).unwrap().columns().into_iter();
        columns.filter(|column| column.iter().any(|&g| g != 0.)).count()
    });
    assert_eq!(seen, expected);
}

/// Samples of a mixture against its own density: the largest distance between the empirical and the
/// integrated distribution function, which for n samples exceeds 2.5/√n with probability 7·10⁻⁶
/// (Kolmogorov). And the density integrates to one.
#[rstest]
#[case(Base::Normal)]
#[case(TWO_MODES)]
#[case(GRID_OF_MODES)]
#[case(Base::Mixture { components: 1, distance: 2., axes: Axes::All })]
fn base_samples_match_base_density(#[case] base: Base) {
    let (n, cells, width) = (20_000, 40_000, 20.);
    let tape = Tape::<f64>::default();
    let edge = |i: usize| width * (2. * i as f64 / cells as f64 - 1.);
    let middles = (0..cells).map(|i| (edge(i) + edge(i + 1)) / 2.).collect();
    let middles = tape.constant(Tensor::from_shape_vec(vec![cells, 1], middles).unwrap());
    let mut below = vec![0.];
    for density in &base.log_prob(middles).exp().value() {
        below.push(below.last().unwrap() + density * 2. * width / cells as f64);
    }
    assert!((below[cells] - 1.).abs() < 1e-12, "{}", below[cells]);

    let mut samples: Vec<f64> = base.sample([n, 1], &mut rng(6)).into_iter().collect();
    samples.sort_by(f64::total_cmp);
    let distribution = |x: f64| {
        let at = (x / width + 1.) / 2. * cells as f64;
        let i = at as usize;
        below[i] + (at - i as f64) * (below[i + 1] - below[i])
    };
    let distance = |(i, &x): (usize, &f64)| (distribution(x) - (i as f64 + 0.5) / n as f64).abs();
    let worst = samples.iter().enumerate().map(distance).fold(0., f64::max);
    assert!(worst < 2.5 / (n as f64).sqrt(), "{worst}");
}

/// In more dimensions, the density of a base distribution is the product over entries; `axes` names
/// those that are mixtures.
#[rstest]
#[case(Axes::First, [true, false, false])]
#[case(Axes::All, [true, true, true])]
fn mixture_axes_select_multimodal_entries(#[case] axes: Axes, #[case] mixed: [bool; 3]) {
    let base = Base::Mixture { components: 2, distance: 4., axes };
    let (n, tape) = (5000, Tape::<f64>::default());
    let samples = base.sample([n, 3], &mut rng(6));
    let eps = tape.constant(samples.clone());
    let each = (0..3).map(|j| {
        let entry = eps.slice(1, j..j + 1);
        if mixed[j] { base.log_prob(entry) } else { entry.standard_normal_log_prob() }
    });
    let product = each.reduce(|a, b| a + b).unwrap();
    assert!((product - base.log_prob(eps)).abs().value().iter().all(|e| *e < 1e-12));
    for (column, mixed) in samples.columns().into_iter().zip(mixed) {
        // Var[ε²] is 2 for a normal, 2 + 4·16 for the mixture: four standard errors of the mean
        // square.
        let (square, error) = if mixed { (17., 8.1) } else { (1., 1.42) };
        let found = column.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!((found - square).abs() < 4. * error / (n as f64).sqrt(), "{found} {square}");
    }
}

#[rstest]
fn base_log_prob_passes_gradcheck(#[values(Base::Normal, TWO_MODES, GRID_OF_MODES)] base: Base) {
    gradcheck(&[randn(&[3, 4], 1)], |x| base.log_prob(x[0])).assert();
}

/// The standard deviation of starting values is the documented one within a tenth, not only their
/// mean.
#[test]
fn initial_parameters_have_documented_std() {
    let (d, mut params) = (400, Params::<f64>::default());
    let config = HypernetConfig { couplings: 1, hidden: 50, layers: 2, ..Default::default() };
    let kinds = [
        FlowKind::Realnvp,
        FlowKind::Iaf,
        FlowKind::Linear,
        FlowKind::Planar,
        FlowKind::Cholesky,
        FlowKind::LowRank,
    ];
    for (kind, name) in kinds.into_iter().zip(["a", "b", "c", "d", "e", "f"]) {
        Hypernet::new(&mut params, name, d, &HypernetConfig { kind, ..config }, &mut rng(3));
    }
    let weights = |name: &str| {
        let found = params.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("no {name} in {params:?}")).1.clone()
    };
    // The standard deviation of n numbers is within four of its standard errors, σ/√2n.
    let spread = |name: &str, std: f64| {
        let w = weights(name);
        let off = (w.std(0.) / std - 1.).abs();
        assert!(off < 4. / (2. * w.len() as f64).sqrt(), "{name}: {} and not {std}", w.std(0.));
    };
    for name in ["a.elementwise.w", "a.elementwise.b", "b.elementwise.b", "c.linear.2.b"] {
        spread(name, 0.01);
    }
    for name in ["a.coupling.0.scale.r", "a.coupling.0.trunk.r", "b.iaf.0.shift.r"] {
        spread(name, 1e-4);
    }
    spread("a.coupling.0.scale.v", 1.);
    spread("c.linear.1.lv", 0.01 / 20.);
    spread("c.linear.1.w", 0.01);
    spread("e.triangular.n", 0.01 / 20.);
    spread("e.triangular.w", 0.01);
    spread("f.rank_one.9.v", 1. / 20.);
    let scales: Vec<_> = (0..10).map(|k| weights(&format!("f.rank_one.{k}.c"))[0]).collect();
    assert!(scales.iter().all(|c| c.abs() > 0. && c.abs() < 0.05), "{scales:?}");
    // α = sigmoid(a) starts at 0.9.
    assert!(weights("c.kink.1.a").iter().all(|a| (1. / (1. + (-a).exp()) - 0.9).abs() < 1e-12));
    // w ~ N(0, 1/D); u is along w what makes û 0, and 10⁻⁴ of noise.
    spread("d.planar.0.w", 400_f64.powf(-0.5));
    let (w, u) = (weights("d.planar.0.w"), weights("d.planar.0.u"));
    let along = (std::f64::consts::E - 1.).ln() / w.iter().map(|w| w * w).sum::<f64>();
    let noise = &u - &(&w * along);
    assert!((noise.std(0.) / 1e-4 - 1.).abs() < 4. / 800_f64.sqrt(), "{}", noise.std(0.));
}

/// A coupling conditions half of `θ` on the other: in one coupling without a permutation before it,
/// the first half is only changed by the elementwise layer.
#[test]
fn no_permutation_before_first_coupling() {
    let (d, mut params) = (9, Params::<f64>::default());
    let config = HypernetConfig { couplings: 1, hidden: 6, ..Default::default() };
    let hypernet = Hypernet::new(&mut params, "h", d, &config, &mut rng(3));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = randn(w.shape(), seed).into();
    }
    let (tape, eps) = (Tape::default(), randn(&[1, d], 1));
    let p = params.freeze(&tape);
    let flow = hypernet.flow();
    let theta = bhn::flows::Bijector::forward(flow, &p, tape.constant(eps.clone())).0.value();
    let find = |name: &str| params.iter().find(|(n, _)| n.ends_with(name)).unwrap().1.clone();
    let first = eps * find("elementwise.w").mapv(|w| w.exp() + 0.001) + &find("elementwise.b");
    let same: Vec<_> = theta.iter().zip(&first).map(|(a, b)| a == b).collect();
    assert_eq!(same, [true, true, true, true, false, false, false, false, false]);
}

#[rstest]
#[case(1, 1, 3, "Coupling: D = 1")]
#[case(4, 1, 0, "Hypernet: no linear layers")]
fn invalid_configurations_panic(
    #[case] d: usize,
    #[case] couplings: usize,
    #[case] layers: usize,
    #[case] said: &str,
) {
    let kind = if layers == 0 { FlowKind::Linear } else { FlowKind::Realnvp };
    let config = HypernetConfig { kind, couplings, layers, ..Default::default() };
    let build = || Hypernet::<f64>::new(&mut Params::default(), "h", d, &config, &mut rng(3));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(build)).map(drop);
    let panic = panic.expect_err("refused");
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).expect("a message");
    assert!(text.starts_with(said), "{text}");
}

/// Scales and shifts have their configured initial values, and a permutation makes the next
/// coupling transform the entries that the previous one left unchanged.
#[test]
fn elementwise_init_and_permutation_between_couplings() {
    let (d, mut params) = (64, Params::<f64>::default());
    let config = HypernetConfig { couplings: 2, hidden: 6, ..Default::default() };
    let hypernet = Hypernet::new(&mut params, "h", d, &config, &mut rng(3));
    let find = |params: &Params<f64>, name: &str| {
        params.iter().find(|(n, _)| n.ends_with(name)).unwrap().1.clone()
    };
    let near = |name, mean: f64| find(&params, name).iter().all(|x| (x - mean).abs() < 0.05);
    assert!(near("elementwise.w", -2.5) && near("elementwise.b", 1.));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = randn(w.shape(), seed).into();
    }
    let (tape, eps) = (Tape::default(), randn(&[1, d], 1));
    let flow = hypernet.flow();
    let theta =
        bhn::flows::Bijector::forward(flow, &params.freeze(&tape), tape.constant(eps.clone()));
    let first = eps * find(&params, "elementwise.w").mapv(|w| w.exp() + 0.001)
        + &find(&params, "elementwise.b");
    let alone = theta.0.value().iter().filter(|x| first.iter().any(|y| y == *x)).count();
    assert!((1..26).contains(&alone), "{alone} of {d} untouched: 16 expected, 32 if not permuted");
}

#[test]
fn profile_counts_noise_bytes() {
    let (profile, params) = (Profile::start(), Params::default());
    let tape = Tape::<f64>::default().profiled(Some(profile.clone()));
    let hypernet = Hypernet::<f64>::from_flow(5, Base::Normal, Chain::default());
    hypernet.draw(&params.bind(&tape), 3, &mut rng(0));
    let noise = profile.rows().into_iter().find(|row| row.name == "noise");
    assert_eq!(noise.expect("a row of its own").bytes, 3. * 5. * 8.);
}

#[test]
fn empty_flow_has_base_density() {
    let (tape, params) = (Tape::default(), Params::default());
    let (p, eps) = (params.bind(&tape), tape.constant(randn(&[4, 2], 0)));
    let base = Base::Mixture { components: 2, distance: 3., axes: Axes::First };
    let hypernet = Hypernet::<f64>::from_flow(2, base, Chain::default());
    assert_eq!(hypernet.log_prob(&p, eps).value(), base.log_prob(eps).value());
}

/// Centres are equally spaced from −c to c; a single centre is at 0.
#[rstest]
#[case(1, &[0.])]
#[case(2, &[-2., 2.])]
#[case(3, &[-2., 0., 2.])]
fn mixture_centres_are_equally_spaced(#[case] components: usize, #[case] centres: &[f64]) {
    let (tape, x) = (Tape::default(), 1.5_f64);
    let base = Base::Mixture { components, distance: 2., axes: Axes::First };
    let found = base.log_prob(tape.constant(Tensor::from_elem(vec![1, 1], x))).item();
    let each = centres.iter().map(|centre| (-0.5 * (x - centre).powi(2)).exp());
    let density = each.sum::<f64>() / components as f64 / std::f64::consts::TAU.sqrt();
    assert!((found - density.ln()).abs() < 1e-14, "{found}, not {}", density.ln());
}
