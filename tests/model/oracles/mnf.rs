//! Defends: the bound of multiplicative normalizing flows reaches the evidence if the posterior is
//! in the family and never exceeds it; its importance weights over weights and multipliers average
//! to the evidence, which every missing term changes.
use bhn::autodiff::gradcheck::randn;
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::bayes::{Augmented, Estimator, Mnf, MnfConfig};
use bhn::experiments::fit::{Joint, Training, weigh};
use bhn::experiments::oracles::{Fitted, Linear};
use bhn::flows::Bijector;
use bhn::nn::{BoundParams, Params};
use bhn::primary::{Block, BlockKind};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// `θ [D]` as the weights of one unit, of which the first `inputs` have multipliers.
fn mnf(d: usize, inputs: usize, config: MnfConfig) -> (Mnf<f64>, Params<f64>) {
    let mut params = Params::default();
    let block = Block { offset: 0, outputs: 1, inputs, kind: BlockKind::Dense };
    let q = Mnf::new(&mut params, "q", &vec![0.; d], &[block], &config, &mut rng(0));
    (q, params)
}

/// Trains `q` and measures it with 50,000 samples.
fn fit(linear: &Linear, (q, mut params): (Mnf<f64>, Params<f64>), steps: u64) -> Fitted {
    let gradient = Estimator::Total;
    let training = Training { steps, samples: 32, rate: 3e-2, decay: 1e3, anneal: 0., gradient };
    training.run(&q, &mut params, linear, 0).expect("it converges");
    Fitted::new(&weigh(&q, &params, linear, (20, 2500), 0)).expect("finite")
}

/// `ln p(D)` minus the bound, after a check that it is not negative.
fn gap(linear: &Linear, found: &Fitted) -> f64 {
    let gap = linear.log_evidence() - found.elbo.value;
    assert!(gap > -4. * found.elbo.error, "{gap} ± {}", found.elbo.error);
    gap
}

/// What training leaves in nats: the spread of the multipliers decays slowly where the gradient's
/// noise is larger than its mean.
const LEFT: f64 = 0.05;

/// Columns of 1 and −1 (Walsh functions), each times its own scale: `XᵀX` is diagonal.
fn orthogonal() -> Linear {
    let x = Array2::from_shape_fn((8, 3), |(n, k)| {
        let sign = if n >> k & 1 == 0 { 1. } else { -1. };
        sign * [0.5, 1., 2.][k]
    });
    let noise: Array1<f64> = randn(&[8], 1).into_dimensionality().unwrap();
    let y = x.dot(&Array1::from(vec![1., -0.7, 0.4])) + noise * 0.5;
    Linear { x, y, lambda: 1., tau: 4. }
}

/// Independent normals are in the closure of the family: the multipliers' spread goes to 0.
#[test]
fn bound_reaches_evidence_of_orthogonal_design() {
    let linear = orthogonal();
    assert!(linear.least_of_mean_field() < 1e-12);
    let config = MnfConfig { log_std: -1., log_scale: -1., hidden: 32, ..MnfConfig::default() };
    let found = fit(&linear, mnf(3, 3, config), 8000);
    let gap = gap(&linear, &found);
    assert!(gap < LEFT, "{gap} ± {}", found.elbo.error);
}

/// Correlated entries: from a start at which `r(z|w)` hardly depends on `w`, training ends at
/// independent normals, the best of which are a known distance from the evidence.
#[test]
fn uninformed_start_reaches_bound_of_mean_field() {
    let linear = Linear::polynomial(20, 4, 0);
    let config = MnfConfig { log_std: -1., hidden: 32, ..MnfConfig::default() };
    let found = fit(&linear, mnf(4, 4, config), 3000);
    let (gap, least) = (gap(&linear, &found), linear.least_of_mean_field());
    assert!(gap < least + LEFT + 4. * found.elbo.error, "{gap} ± {}: {least}", found.elbo.error);
}

/// Two correlated entries: from a start at which most of the spread of `w` is that of `z`, and `r`
/// depends on the difference of the weights, multipliers close more than half of the gap of
/// independent normals. The weights then average to the evidence.
#[test]
fn multipliers_close_gap_of_mean_field() {
    let linear = Linear::polynomial(20, 2, 0);
    let config = MnfConfig { log_std: -3., log_scale: 0., hidden: 32, ..MnfConfig::default() };
    let (q, mut params) = mnf(2, 2, config);
    for (name, w) in params.iter_mut() {
        let start = match name {
            "q.mean" => linear.posterior().mean.to_vec(),
            "q.auxiliary.0.c" => vec![0.5, -0.5],
            "q.auxiliary.0.b1" => vec![2., 2.],
            _ => continue,
        };
        *w = Tensor::from(Array1::from(start).into_dyn());
    }
    let found = fit(&linear, (q, params), 4000);
    let (gap, least) = (gap(&linear, &found), linear.least_of_mean_field());
    assert!(gap < 0.5 * least, "{gap} ± {}: {least}", found.elbo.error);
    let off = found.importance.value - linear.log_evidence();
    assert!(off.abs() < 4. * found.importance.error, "{off} ± {}", found.importance.error);
}

/// A posterior with two multipliers and a bias, wider than the exact posterior of [`orthogonal`],
/// and `r` narrower than `q(z)`, so that weights have a small variance. The multipliers are around
/// 1.3, and all other parameters random.
fn wide(linear: &Linear) -> (Mnf<f64>, Params<f64>) {
    let config = MnfConfig { hidden: 5, ..MnfConfig::default() };
    let (q, mut params) = mnf(3, 2, config);
    let exact = linear.posterior();
    for ((name, w), seed) in params.iter_mut().zip(60..) {
        let both = |x: f64| Tensor::from_elem(vec![2], x);
        *w = match name {
            "q.mean" => (exact.mean.clone() / 1.3).into_dyn().into(),
            "q.log_std" => exact.factor.diag().mapv(|std| (1.5 * std).ln()).into_dyn().into(),
            "q.multipliers.elementwise.w" => both(-2.8),
            "q.auxiliary.flow.elementwise.w" => both(-3.1),
            "q.multipliers.elementwise.b" | "q.auxiliary.flow.elementwise.b" => both(1.3),
            _ => (&*w + randn(w.shape(), seed) * 0.05).into(),
        };
    }
    (q, params)
}

/// `ln q` of a sample in the augmented space, from its terms, with a fault or without.
type LogQ = for<'t> fn(&Mnf<f64>, &BoundParams<'t, f64>, Augmented<'t, f64>) -> Var<'t, f64>;

/// The mean of `p(D, w) r(z|w) / (q(w|z) q(z) p(D))` over samples, and its standard error.
fn mean_weight(log_q: LogQ) -> [f64; 2] {
    let linear = orthogonal();
    let ((q, params), evidence) = (wide(&linear), linear.log_evidence());
    let tape = Tape::default();
    let p = params.freeze(&tape);
    let sample = q.sample(&p, 400_000, &mut rng(2));
    let log_weight = linear.log_joint(sample.w) - log_q(&q, &p, sample);
    let ratio = log_weight.value().mapv(|w| (w - evidence).exp());
    [ratio.mean().unwrap(), ratio.std(1.) / (ratio.len() as f64).sqrt()]
}

/// Whether a mean is 1, to 4 standard errors of at most 1 %. A wrong density may also make the
/// standard error infinite.
fn is_one([mean, error]: [f64; 2]) -> bool {
    error < 0.01 && (mean - 1.).abs() < 4. * error
}

#[test]
fn importance_weights_average_to_evidence() {
    let found = mean_weight(|_, _, s| s.log_conditional + s.log_multipliers - s.log_auxiliary);
    assert!(is_one(found), "{found:?}");
}

#[test]
fn missing_terms_are_detected() {
    let faults: [(&str, LogQ); 5] = [
        ("r is left out", |_, _, s| s.log_conditional + s.log_multipliers),
        ("r with the wrong sign", |_, _, s| {
            s.log_conditional + s.log_multipliers + s.log_auxiliary
        }),
        ("q(z) is left out", |_, _, s| s.log_conditional - s.log_auxiliary),
        ("the flow's log-determinant is left out", |q, p, s| {
            let ln_det = q.multipliers().flow().inverse(p, s.z).1;
            s.log_conditional + (s.log_multipliers - ln_det) - s.log_auxiliary
        }),
        ("the means are not multiplied", |q, p, s| {
            let one = p.tape().constant(Tensor::ones(s.z.shape()));
            q.log_conditional(p, s.w, one) + s.log_multipliers - s.log_auxiliary
        }),
    ];
    for (name, log_q) in faults {
        let found = mean_weight(log_q);
        assert!(!is_one(found), "{name}: {found:?}");
    }
}

/// The terms of a sample are the densities of its weights and multipliers, evaluated afresh.
#[test]
fn terms_of_samples_are_densities() {
    let (q, params) = wide(&orthogonal());
    let tape = Tape::default();
    let p = params.freeze(&tape);
    let s = q.sample(&p, 50, &mut rng(3));
    let again = [
        (s.log_conditional, q.log_conditional(&p, s.w, s.z)),
        (s.log_multipliers, q.multipliers().log_prob(&p, s.z)),
    ];
    for (sampled, again) in again {
        let off = (sampled - again).abs().value();
        assert!(off.iter().all(|&off| off < 1e-9), "{off}");
    }
}

/// `∫ r(z|w) dz = 1` over two multipliers that depend on each other, and `r` depends on `w`.
#[test]
fn auxiliary_distribution_is_normalised() {
    let (q, params) = wide(&orthogonal());
    let tape = Tape::default();
    let p = params.freeze(&tape);
    let (steps, step) = (401, 0.005);
    let z = Array2::from_shape_fn((steps * steps, 2), |(i, k)| {
        [i / steps, i % steps][k] as f64 * step + 0.3
    });
    let z = tape.constant(z);
    let log_r = |w: f64| {
        let w = tape.constant(Tensor::from_elem(vec![steps * steps, 3], w));
        q.log_auxiliary(&p, z, w).value()
    };
    for w in [-1., 0.5, 3.] {
        let integral: f64 = log_r(w).iter().map(|r| r.exp() * step * step).sum();
        assert!((integral - 1.).abs() < 1e-3, "{integral}");
    }
    assert_ne!(log_r(0.), log_r(1.));
}
