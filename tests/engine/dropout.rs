//! Defends: dropout masks have their rates and means, concrete dropout learns its rates, and
//! prediction without masks is that of their mean.
use super::posteriors::rng;
use bhn::autodiff::Tape;
use bhn::bayes::{Draw, Dropout, Kl, Posterior, Rates};
use bhn::nn::Params;
use rstest::rstest;

#[test]
fn masks_have_configured_rate_and_unit_mean() {
    let (d, samples, rate) = (50, 2_000, 0.3);
    let mut params = Params::<f64>::default();
    let q = Dropout::new(&mut params, "q", &vec![5.; d], &[(10..50, rate)], Rates::Fixed, false);
    let tape = Tape::default();
    let theta = q.draw(&params.bind(&tape), samples, &mut rng(1)).theta.value();
    let (scales, masks) = theta.view().split_at(ndarray::Axis(1), 10);
    assert!(scales.iter().all(|&scale| scale == 5.));
    let dropped = masks.iter().filter(|&&mask| mask == 0.).count() as f64;
    let n = masks.len() as f64;
    assert!((dropped / n - rate).abs() < 4. * (rate * (1. - rate) / n).sqrt(), "{}", dropped / n);
    assert!(masks.iter().all(|&mask| mask == 0. || (mask - 1. / 0.7).abs() < 1e-12));
}

/// A concrete mask is near 0 or `1/(1 − p)`, the first with probability `p`; its penalty equals the
/// formula.
#[test]
fn concrete_masks_match_rate_temperature_and_penalty() {
    let (samples, rate, precision) = (20_000, 0.2, 3.);
    let mut params = Params::<f64>::default();
    let rates = Rates::Learned { precision };
    let q = Dropout::new(&mut params, "q", &[1., 1., 2., -1.], &[(0..2, rate)], rates, false);
    let tape = Tape::default();
    let draw = q.draw(&params.bind(&tape), samples, &mut rng(1));
    let masks = draw.theta.slice(1, 0..2).value();
    let n = masks.len() as f64;
    // P(mask below a half of its top) = P(ln u/(1−u) > −ln p/(1−p)) = p exactly.
    let dropped = masks.iter().filter(|&&mask| mask < 0.5 / 0.8).count() as f64 / n;
    assert!((dropped - rate).abs() < 4. * (rate * 0.8 / n).sqrt(), "{dropped}");
    // The fraction of masks between a tenth and nine tenths of their maximum depends on the
    // temperature t = 0.1: for logistic noise L it is P(|L − ln 4| < t ln 9).
    let share = |l: f64| 1. / (1. + (-l).exp());
    let (centre, half) = (4_f64.ln(), 0.1 * 9_f64.ln());
    let between = share(centre + half) - share(centre - half);
    let found = masks.iter().filter(|&&mask| (0.1..0.9).contains(&(0.8 * mask))).count() as f64 / n;
    assert!((found - between).abs() < 4. * (between / n).sqrt(), "{found} for {between}");
    let entropy = -(rate * rate.ln() + 0.8 * 0.8_f64.ln());
    let expected = precision / 2. * 5. / 0.8 - 2. * entropy;
    assert!((exact_kl(&draw) - expected).abs() < 1e-12);
}

fn exact_kl(draw: &Draw<'_, f64>) -> f64 {
    let Kl::Exact(kl) = draw.kl else { panic!("no KL in closed form") };
    kl.item()
}

/// Each mask acts on the scales up to the next, and the penalty adds up.
#[test]
fn concrete_penalties_add_over_masks() {
    let kl = |masks: &[(std::ops::Range<usize>, f64)], point: &[f64]| {
        let mut params = Params::<f64>::default();
        let rates = Rates::Learned { precision: 3. };
        let q = Dropout::new(&mut params, "q", point, masks, rates, false);
        let tape = Tape::default();
        exact_kl(&q.draw(&params.bind(&tape), 1, &mut rng(1)))
    };
    let (first, second) = ([7., 7., 1., 2.], [9., 3., 4., 5.]);
    let one = kl(&[(1..2, 0.2)], &first) + kl(&[(0..1, 0.4)], &second);
    let both = kl(&[(1..2, 0.2), (4..5, 0.4)], &[first, second].concat());
    assert!((one - both).abs() < 1e-12, "{one} {both}");
}

/// For predictions, dropout has masks of 1; MC dropout samples them.
#[rstest]
#[case(true)]
#[case(false)]
fn only_mc_dropout_samples_masks_in_prediction(#[case] scaled: bool) {
    let mut params = Params::<f64>::default();
    let q = Dropout::new(&mut params, "q", &[5.; 40], &[(10..30, 0.5)], Rates::Fixed, scaled);
    let tape = Tape::default();
    let theta = q.predictive(&params.bind(&tape), 3, &mut rng(1)).theta.value();
    let masks = theta.slice(ndarray::s![.., 10..30]);
    assert_eq!(masks.iter().all(|&mask| mask == 1.), scaled);
    assert_eq!(masks.iter().any(|&mask| mask == 0.), !scaled);
    assert_eq!(theta.iter().filter(|&&x| x == 5.).count(), 3 * 20);
}
