//! Graders of exercises 15 to 20: checks that must accept what is right and notice every fault.
use crate::grading::{Verdict, caught};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// A loss, from log-likelihoods, the KL and the number of training examples.
pub type Loss = dyn Fn(&[f64], f64, usize) -> f64;
/// A function of several numbers.
pub type Function = dyn Fn(&[f64]) -> f64;
/// Its gradient.
pub type Gradient = dyn Fn(&[f64]) -> Vec<f64>;
/// A map of the plane with its log-determinant.
pub type Map = dyn Fn([f64; 2]) -> ([f64; 2], f64);
/// The last change by an optimiser, from all gradients so far.
pub type Change = dyn Fn(&[f64]) -> f64;
/// A log-density of a number.
pub type LogDensity = dyn Fn(f64) -> f64;
/// Samples of a number, from how many and a seed.
pub type Sampler = dyn Fn(usize, u64) -> Vec<f64>;
/// Dropout masks, from their number of entries, the rate and a seed.
pub type Masks = dyn Fn(usize, f64, u64) -> Vec<f64>;

/// The name of an implementation, and whether the check accepts it or how it panics.
type Case<'a> = (&'a str, Result<bool, String>);

fn case(name: &str, accepts: impl FnOnce() -> bool) -> Case<'_> {
    (name, caught(accepts))
}

/// The verdict on each of the implementations, which are of a `kind`.
fn verdicts<'a>(cases: &[Case<'a>], kind: &str) -> Result<Vec<(&'a str, bool)>, String> {
    let verdict = |(name, accepted): &Case<'a>| match accepted {
        Ok(accepted) => Ok((*name, *accepted)),
        Err(why) if why.starts_with("not done yet") => Err(why.clone()),
        Err(why) => Err(format!("{why}\nIt was given {kind}: {name}")),
    };
    cases.iter().map(verdict).collect()
}

/// Judges a check by its verdicts on implementations that are `sound`, and on `faulty` ones.
fn judge(sound: &[Case], faulty: &[Case]) -> Verdict {
    let (sound, faulty) = (verdicts(sound, "what is right")?, verdicts(faulty, "this fault")?);
    let refused: Vec<_> = sound.iter().filter(|(_, accepted)| !accepted).map(|s| s.0).collect();
    let missed: Vec<_> = faulty.iter().filter(|(_, accepted)| *accepted).map(|f| f.0).collect();
    let list =
        |names: &[&str]| names.iter().map(|name| format!("\n  * {name}")).collect::<String>();
    if refused.len() == sound.len() && missed.is_empty() {
        return Err(format!(
            "your check refuses everything, also what is right:{}\nIs a tolerance too tight, or an \
             expected value wrong?",
            list(&refused)
        ));
    }
    if missed.len() == faulty.len() && refused.is_empty() {
        let first = faulty[0].0;
        return Err(format!("your check accepts everything, for instance this fault: {first}"));
    }
    if !refused.is_empty() {
        return Err(format!("your check refuses what is right:{}", list(&refused)));
    }
    if missed.is_empty() {
        return Ok(());
    }
    let (found, all) = (faulty.len() - missed.len(), faulty.len());
    Err(format!("your check notices {found} of {all} faults, but not:{}", list(&missed)))
}

/// Grades exercise 15.
///
/// # Errors
/// If the check refuses the loss, or accepts a fault.
pub fn bound(accepts: fn(&Loss) -> bool) -> Verdict {
    fn mean(l: &[f64]) -> f64 {
        l.iter().sum::<f64>() / l.len() as f64
    }
    let named =
        |name: &'static str, loss: fn(&[f64], f64, usize) -> f64| case(name, || accepts(&loss));
    judge(
        &[
            named("the loss", |l, kl, n| kl / n as f64 - mean(l)),
            named("the loss, computed as −(N mean(ln p) − KL)/N", |l, kl, n| {
                -(n as f64 * mean(l) - kl) / n as f64
            }),
        ],
        &[
            named("the KL is divided by the size of the minibatch", |l, kl, _| {
                kl / l.len() as f64 - mean(l)
            }),
            named("the KL is not divided at all", |l, kl, _| kl - mean(l)),
            named("the KL is missing", |l, _, _| -mean(l)),
            named("the log-likelihoods are summed and not averaged", |l, kl, n| {
                kl / n as f64 - l.iter().sum::<f64>()
            }),
            named("the sum of the log-likelihoods is divided by N", |l, kl, n| {
                (kl - l.iter().sum::<f64>()) / n as f64
            }),
            named("the sign of the KL is wrong", |l, kl, n| -kl / n as f64 - mean(l)),
            named("it is the bound and not the loss", |l, kl, n| mean(l) - kl / n as f64),
            named("only the first example counts", |l, kl, n| kl / n as f64 - l[0]),
            named("the KL counts a tenth too little", |l, kl, n| 0.9 * kl / n as f64 - mean(l)),
        ],
    )
}

/// Grades exercise 16.
///
/// # Errors
/// If the check refuses a gradient that is right, or accepts a fault.
pub fn gradient(accepts: fn(&Function, &Gradient, usize) -> bool) -> Verdict {
    // f(x) = x₀² x₁ + sin x₂.
    let f = |x: &[f64]| x[0] * x[0] * x[1] + x[2].sin();
    let claimed = |name: &'static str, gradient: fn(&[f64]) -> Vec<f64>| {
        case(name, || accepts(&f, &gradient, 3))
    };
    let tanh = |x: &[f64]| (x[0] + 0.3).tanh();
    let tanh_slope = |x: &[f64]| vec![1. - (x[0] + 0.3).tanh().powi(2)];
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>() / 2.;
    judge(
        &[
            claimed("2 x₀ x₁, x₀², cos x₂ for x₀² x₁ + sin x₂", |x| {
                vec![2. * x[0] * x[1], x[0] * x[0], x[2].cos()]
            }),
            case("1 − tanh² for tanh(x + 0.3), of one argument", || {
                accepts(&tanh, &tanh_slope, 1)
            }),
            case("x for ‖x‖²/2, of five arguments", || accepts(&norm, &|x| x.to_vec(), 5)),
            case("0 for a constant", || accepts(&|_| 3., &|x| vec![0.; x.len()], 4)),
        ],
        &[
            claimed("the gradient has the opposite sign", |x| {
                vec![-2. * x[0] * x[1], -x[0] * x[0], -x[2].cos()]
            }),
            claimed("x₀ instead of x₀², which are equal where x₀ is 0 or 1", |x| {
                vec![2. * x[0] * x[1], x[0], x[2].cos()]
            }),
            claimed("a forgotten consumer: x₀ x₁ instead of 2 x₀ x₁", |x| {
                vec![x[0] * x[1], x[0] * x[0], x[2].cos()]
            }),
            claimed("the last derivative is 0", |x| vec![2. * x[0] * x[1], x[0] * x[0], 0.]),
            claimed("the first two derivatives are exchanged", |x| {
                vec![x[0] * x[0], 2. * x[0] * x[1], x[2].cos()]
            }),
            claimed("1 instead of cos x₂, which are equal where x₂ is 0", |x| {
                vec![2. * x[0] * x[1], x[0] * x[0], 1.]
            }),
            claimed("|x₀| x₀ instead of x₀², which are equal where x₀ > 0", |x| {
                vec![2. * x[0] * x[1], x[0].abs() * x[0], x[2].cos()]
            }),
            claimed("the last derivative is 1 % too large", |x| {
                vec![2. * x[0] * x[1], x[0] * x[0], 1.01 * x[2].cos()]
            }),
            claimed("the last derivative is missing", |x| vec![2. * x[0] * x[1], x[0] * x[0]]),
        ],
    )
}

/// Grades exercise 17.
///
/// # Errors
/// If the check refuses a flow, or accepts a fault.
pub fn flow(accepts: fn(&Map, &Map) -> bool) -> Verdict {
    // y₁ = x₁, y₂ = exp(tanh x₁) x₂ + x₁².
    fn forward([a, b]: [f64; 2]) -> [f64; 2] {
        [a, a.tanh().exp() * b + a * a]
    }
    fn inverse([a, b]: [f64; 2]) -> [f64; 2] {
        [a, (b - a * a) / a.tanh().exp()]
    }
    let coupling = |name: &'static str, there: fn(f64) -> f64, back: fn(f64) -> f64| {
        let [forward, inverse]: [&Map; 2] =
            [&move |x| (forward(x), there(x[0])), &move |y| (inverse(y), back(y[0]))];
        case(name, || accepts(forward, inverse))
    };
    let map =
        |name: &'static str,
         there: fn([f64; 2]) -> ([f64; 2], f64),
         back: fn([f64; 2]) -> ([f64; 2], f64)| case(name, || accepts(&there, &back));
    judge(
        &[
            coupling("a coupling", f64::tanh, |a| -a.tanh()),
            map("the identity", |x| (x, 0.), |y| (y, 0.)),
            map(
                "y = (−2 x₁, x₂), whose determinant is negative",
                |[a, b]| ([-2. * a, b], 2_f64.ln()),
                |[a, b]| ([-a / 2., b], -2_f64.ln()),
            ),
            map(
                "y = (x₁ + 2 x₂, 3 x₁ + x₂), whose Jacobian is not triangular",
                |[a, b]| ([a + 2. * b, 3. * a + b], 5_f64.ln()),
                |[a, b]| ([(2. * b - a) / 5., (3. * a - b) / 5.], -5_f64.ln()),
            ),
        ],
        &[
            coupling("both log-determinants have the wrong sign", |a| -a.tanh(), f64::tanh),
            coupling("both log-determinants are 0", |_| 0., |_| 0.),
            coupling("the log-determinant of the inverse is 0", f64::tanh, |_| 0.),
            coupling("the log-determinant of the inverse has no minus", f64::tanh, f64::tanh),
            coupling("both are twice as large", |a| 2. * a.tanh(), |a| -2. * a.tanh()),
            coupling("both are 1 % too large", |a| 1.01 * a.tanh(), |a| -1.01 * a.tanh()),
            coupling(
                "both are determinants and not logarithms",
                |a| a.tanh().exp(),
                |a| -a.tanh().exp(),
            ),
            map(
                "the inverse forgets the shift",
                |[a, b]| ([a, a.tanh().exp() * b + a * a], a.tanh()),
                |[a, b]| ([a, b / a.tanh().exp()], -a.tanh()),
            ),
            map(
                "the product of the diagonal, for a Jacobian that is not triangular",
                |[a, b]| ([a + 2. * b, 3. * a + b], 0.),
                |[a, b]| ([(2. * b - a) / 5., (3. * a - b) / 5.], 0.),
            ),
            map(
                "y₂ = x₂², which is inverted for positive entries only",
                |[a, b]| ([a, b * b], (2. * b).abs().ln()),
                |[a, b]| ([a, b.abs().sqrt()], -(2. * b.abs().sqrt()).ln()),
            ),
        ],
    )
}

/// What may be wrong with an Adam.
#[derive(Clone, Copy, PartialEq)]
enum AdamFault {
    BiasedM,
    BiasedV,
    EpsilonInside,
    Magnitude,
    Beta,
    Restart,
    Sign,
    Descent,
}

fn adam_change(gradients: &[f64], fault: Option<AdamFault>) -> f64 {
    let is = |other| fault == Some(other);
    let beta = if is(AdamFault::Beta) { 0.99 } else { 0.999 };
    let (mut m, mut v) = (0., 0.);
    for g in gradients {
        m = 0.9 * m + 0.1 * g;
        v = beta * v + (1. - beta) * if is(AdamFault::Magnitude) { g.abs() } else { g * g };
    }
    let t = if is(AdamFault::Restart) { 1 } else { gradients.len() as i32 };
    let m_hat = if is(AdamFault::BiasedM) { m } else { m / (1. - 0.9_f64.powi(t)) };
    let v_hat = if is(AdamFault::BiasedV) { v } else { v / (1. - beta.powi(t)) };
    match fault {
        Some(AdamFault::EpsilonInside) => -0.01 * m_hat / (v_hat + 1e-8).sqrt(),
        Some(AdamFault::Sign) => 0.01 * m_hat / (v_hat.sqrt() + 1e-8),
        Some(AdamFault::Descent) => -0.01 * gradients[gradients.len() - 1],
        _ => -0.01 * m_hat / (v_hat.sqrt() + 1e-8),
    }
}

/// Grades exercise 18.
///
/// # Errors
/// If the check refuses Adam, or accepts a fault.
pub fn adam(accepts: fn(&Change) -> bool) -> Verdict {
    let with = |name: &'static str, fault| {
        case(name, || accepts(&move |gradients: &[f64]| adam_change(gradients, Some(fault))))
    };
    // The step with both corrections in the learning rate, as in section 2 of Adam's paper.
    let fused = |gradients: &[f64]| {
        let (mut m, mut v) = (0., 0.);
        for g in gradients {
            m += 0.1 * (g - m);
            v += 0.001 * (g * g - v);
        }
        let t = gradients.len() as i32;
        let root = (1. - 0.999_f64.powi(t)).sqrt();
        let rate = 0.01 * root / (1. - 0.9_f64.powi(t));
        -rate * m / (f64::sqrt(v) + 1e-8 * root)
    };
    judge(
        &[
            case("Adam", || accepts(&|gradients: &[f64]| adam_change(gradients, None))),
            case("Adam with the corrections in the learning rate", || accepts(&fused)),
        ],
        &[
            with("m is not corrected for its start", AdamFault::BiasedM),
            with("v is not corrected for its start", AdamFault::BiasedV),
            with("the corrections of every step are those of step 1", AdamFault::Restart),
            with("ε is inside the square root", AdamFault::EpsilonInside),
            with("v is the mean of |g| and not of g²", AdamFault::Magnitude),
            with("β₂ is 0.99", AdamFault::Beta),
            with("it ascends", AdamFault::Sign),
            with("it is gradient descent", AdamFault::Descent),
        ],
    )
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A normal density with its mean and standard deviation.
fn normal(x: f64, mean: f64, std: f64) -> f64 {
    (-0.5 * ((x - mean) / std).powi(2)).exp() / (std * TAU.sqrt())
}

fn normals(n: usize, seed: u64, mean: f64, std: f64) -> Vec<f64> {
    let rng = &mut rng(seed);
    (0..n).map(|_| mean + std * rng.sample::<f64, _>(StandardNormal)).collect()
}

/// Samples of the Laplace distribution with mean 0, or of the exponential one if `one_sided`.
fn laplace(n: usize, seed: u64, scale: f64, one_sided: bool) -> Vec<f64> {
    let rng = &mut rng(seed);
    let mut sample = || {
        let size = -scale * (1. - rng.random::<f64>()).ln();
        if rng.random::<bool>() || one_sided { size } else { -size }
    };
    (0..n).map(|_| sample()).collect()
}

/// Samples of 0.3 N(−1.5, 0.5²) + 0.7 N(1, 0.8²), times `sign`.
fn mixture(n: usize, seed: u64, sign: f64) -> Vec<f64> {
    let rng = &mut rng(seed);
    let mut sample = || {
        let (mean, std) = if rng.random::<f64>() < 0.3 { (-1.5, 0.5) } else { (1., 0.8) };
        sign * (mean + std * rng.sample::<f64, _>(StandardNormal))
    };
    (0..n).map(|_| sample()).collect()
}

/// Grades exercise 19.
///
/// # Errors
/// If the check refuses a density with its samples, or accepts a fault.
pub fn density(accepts: fn(&LogDensity, &Sampler) -> bool) -> Verdict {
    let pair = |name: &'static str, log_q: fn(f64) -> f64, sample: fn(usize, u64) -> Vec<f64>| {
        case(name, || accepts(&log_q, &sample))
    };
    fn log_normal(x: f64) -> f64 {
        normal(x, 0.5, 0.7).ln()
    }
    fn log_laplace(x: f64) -> f64 {
        -x.abs() / 0.8 - 1.6_f64.ln()
    }
    fn log_mixture(x: f64) -> f64 {
        (0.3 * normal(x, -1.5, 0.5) + 0.7 * normal(x, 1., 0.8)).ln()
    }
    judge(
        &[
            pair("a normal", log_normal, |n, seed| normals(n, seed, 0.5, 0.7)),
            pair("a Laplace", log_laplace, |n, seed| laplace(n, seed, 0.8, false)),
            pair("a mixture of two normals", log_mixture, |n, seed| mixture(n, seed, 1.)),
        ],
        &[
            pair(
                "the constant ½ ln 2π is missing",
                |x| log_normal(x) + 0.5 * TAU.ln(),
                |n, seed| normals(n, seed, 0.5, 0.7),
            ),
            pair(
                "the density is 2 % too large",
                |x| log_normal(x) + 1.02_f64.ln(),
                |n, seed| normals(n, seed, 0.5, 0.7),
            ),
            pair(
                "it is q and not ln q",
                |x| log_laplace(x).exp(),
                |n, seed| laplace(n, seed, 0.8, false),
            ),
            pair("the samples have another mean", log_normal, |n, seed| normals(n, seed, 0.6, 0.7)),
            pair("the samples have another width", log_normal, |n, seed| {
                normals(n, seed, 0.5, 0.75)
            }),
            pair("the samples have the right mean and variance, but are normal", log_laplace, {
                |n, seed| normals(n, seed, 0., 0.8 * 2_f64.sqrt())
            }),
            pair("the samples have the opposite sign", log_mixture, |n, seed| {
                mixture(n, seed, -1.)
            }),
            pair("the samples are all positive, the density is symmetric", log_laplace, {
                |n, seed| laplace(n, seed, 0.8, true)
            }),
        ],
    )
}

/// Grades exercise 20.
///
/// # Errors
/// If the check refuses masks, or accepts a fault.
pub fn masks(accepts: fn(&Masks) -> bool) -> Verdict {
    fn uniform(n: usize, seed: u64) -> Vec<f64> {
        let rng = &mut rng(seed);
        (0..n).map(|_| rng.random()).collect()
    }
    fn mask(u: impl IntoIterator<Item = f64>, p: f64, kept: f64) -> Vec<f64> {
        u.into_iter().map(|u| if u < p { 0. } else { kept }).collect()
    }
    let named =
        |name: &'static str, masks: fn(usize, f64, u64) -> Vec<f64>| case(name, || accepts(&masks));
    judge(
        &[
            named("independent masks", |n, p, seed| mask(uniform(n, seed), p, 1. / (1. - p))),
            named("independent masks of another generator", |n, p, seed| {
                let u = uniform(2 * n, seed + 100);
                mask(u.into_iter().skip(n).map(|u| 1. - u), p, 1. / (1. - p))
            }),
        ],
        &[
            named("entries that are kept are 1", |n, p, seed| mask(uniform(n, seed), p, 1.)),
            named("entries that are kept are 1/p", |n, p, seed| mask(uniform(n, seed), p, 1. / p)),
            named("p and 1 − p are exchanged", |n, p, seed| {
                mask(uniform(n, seed), 1. - p, 1. / p)
            }),
            named("the rate is 10 % too high", |n, p, seed| {
                mask(uniform(n, seed), 1.1 * p, 1. / (1. - p))
            }),
            named("the seed has no effect", |n, p, _| mask(uniform(n, 7), p, 1. / (1. - p))),
            named("entries 0 and 1 are equal, entries 2 and 3 are equal, …", |n, p, seed| {
                let u = uniform(n.div_ceil(2), seed);
                mask((0..n).map(|i| u[i / 2]), p, 1. / (1. - p))
            }),
            named("entries are dropped at regular distances", |n, p, seed| {
                mask((0..n).map(|i| ((i as f64 + seed as f64) * p).fract()), p, 1. / (1. - p))
            }),
        ],
    )
}
