//! Exercises 15 to 20: checks that notice faults.
use super::Exercise;
use super::answers::{
    e15_gradient_check, e16_flow_check, e17_bound_check, e18_adam_check, e19_mask_check,
    e20_prediction_check,
};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

pub const EXERCISES: [Exercise; 6] = [
    Exercise {
        number: 15,
        file: "e15_gradient_check",
        chapter: "gradcheck",
        hints: &[
            "(f(x + h) − f(x − h)) / 2h for each argument.",
            "At x = 0, and where arguments are equal, many faults are invisible.",
        ],
        grade: || gradient(e15_gradient_check::accepts),
    },
    Exercise {
        number: 16,
        file: "e16_flow_check",
        chapter: "right",
        hints: &[
            "The round trip says nothing about the log-determinant.",
            "Compute the 2 × 2 Jacobian by differences.",
        ],
        grade: || flow(e16_flow_check::accepts),
    },
    Exercise {
        number: 17,
        file: "e17_bound_check",
        chapter: "inference",
        hints: &["If N equals the size of the batch, or the KL is 0, faults hide."],
        grade: || bound(e17_bound_check::accepts),
    },
    Exercise {
        number: 18,
        file: "e18_adam_check",
        chapter: "training",
        hints: &[
            "The first step of Adam is −η for any positive gradient that is not tiny.",
            "With gradients of 10⁻⁸ the place of ε matters.",
        ],
        grade: || adam(e18_adam_check::accepts),
    },
    Exercise {
        number: 19,
        file: "e19_mask_check",
        chapter: "right",
        hints: &[
            "With p = ½ alone, p and 1 − p are the same.",
            "Entries can have the right frequencies and not be independent.",
        ],
        grade: || masks(e19_mask_check::accepts),
    },
    Exercise {
        number: 20,
        file: "e20_prediction_check",
        chapter: "prediction",
        hints: &["With one sample, every kind of average is the same."],
        grade: || prediction(e20_prediction_check::accepts),
    },
];

/// Whether `accepts` tells the sound from the faulty.
fn judge<C>(
    accepts: impl Fn(&C) -> bool,
    sound: Vec<(&str, C)>,
    faulty: Vec<(&str, C)>,
) -> Result<(), String> {
    for (name, claim) in &sound {
        if !accepts(claim) {
            return Err(format!("your check refuses what is right: {name}"));
        }
    }
    let missed: Vec<_> =
        faulty.iter().filter(|(_, claim)| accepts(claim)).map(|(name, _)| *name).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(format!("your check does not notice: {}", missed.join("; ")))
}

/// Grades a check of gradients.
pub fn gradient(accepts: fn(&e15_gradient_check::Claim) -> bool) -> Result<(), String> {
    use e15_gradient_check::Claim;
    // f(x) = x₀² x₁ + sin x₂.
    let value = || Box::new(|x: &[f64]| x[0] * x[0] * x[1] + x[2].sin());
    let right = |x: &[f64]| vec![2. * x[0] * x[1], x[0] * x[0], x[2].cos()];
    let claim = |gradient: Box<dyn Fn(&[f64]) -> Vec<f64>>| Claim { value: value(), gradient, arguments: 3 };
    let constant = Claim {
        value: Box::new(|_| 3.),
        gradient: Box::new(|x| vec![0.; x.len()]),
        arguments: 4,
    };
    let sound = vec![("x₀² x₁ + sin x₂", claim(Box::new(right))), ("a constant", constant)];
    let faulty = vec![
        ("a gradient with the opposite sign", claim(Box::new(move |x| right(x).iter().map(|g| -g).collect()))),
        ("x₀ instead of x₀²: equal where x₀ is 0 or 1", claim(Box::new(move |x| vec![2. * x[0] * x[1], x[0], x[2].cos()]))),
        ("a forgotten consumer: x₀ x₁ instead of 2 x₀ x₁", claim(Box::new(move |x| vec![x[0] * x[1], x[0] * x[0], x[2].cos()]))),
        ("the last entry 0", claim(Box::new(move |x| vec![2. * x[0] * x[1], x[0] * x[0], 0.]))),
        ("two entries exchanged", claim(Box::new(move |x| vec![x[0] * x[0], 2. * x[0] * x[1], x[2].cos()]))),
        ("1 instead of cos x₂: equal where x₂ is 0", claim(Box::new(move |x| vec![2. * x[0] * x[1], x[0] * x[0], 1.]))),
        ("an entry too few", claim(Box::new(move |x| right(x)[..2].to_vec()))),
    ];
    judge(accepts, sound, faulty)
}

/// Grades a check of flows.
pub fn flow(accepts: fn(&e16_flow_check::Claim) -> bool) -> Result<(), String> {
    use e16_flow_check::Claim;
    // y₁ = x₁, y₂ = exp(tanh x₁) x₂ + x₁².
    let forward = |[a, b]: [f64; 2]| [a, a.tanh().exp() * b + a * a];
    let inverse = |[a, b]: [f64; 2]| [a, (b - a * a) / a.tanh().exp()];
    let claim = move |ln_det: fn(f64) -> f64, inverse_ln_det: fn(f64) -> f64| Claim {
        forward: Box::new(move |x| (forward(x), ln_det(x[0]))),
        inverse: Box::new(move |y| (inverse(y), inverse_ln_det(y[0]))),
    };
    let identity = Claim { forward: Box::new(|x| (x, 0.)), inverse: Box::new(|y| (y, 0.)) };
    let mirror = Claim {
        forward: Box::new(|[a, b]| ([-2. * a, b], 2_f64.ln())),
        inverse: Box::new(|[a, b]| ([-a / 2., b], -2_f64.ln())),
    };
    let tanh = f64::tanh as fn(f64) -> f64;
    let minus = (|a: f64| -a.tanh()) as fn(f64) -> f64;
    let zero = (|_| 0.) as fn(f64) -> f64;
    let sound = vec![
        ("a coupling", claim(tanh, minus)),
        ("the identity", identity),
        ("a reflection, whose determinant is negative", mirror),
    ];
    let faulty = vec![
        ("the sign of both log-determinants", claim(minus, tanh)),
        ("both log-determinants 0", claim(zero, zero)),
        ("the log-determinant of one direction only", claim(tanh, zero)),
        ("equal log-determinants in both directions", claim(tanh, tanh)),
        ("log-determinants of twice the size", claim(|a| 2. * a.tanh(), |a| -2. * a.tanh())),
        (
            "an inverse without the shift",
            Claim {
                forward: Box::new(move |x| (forward(x), x[0].tanh())),
                inverse: Box::new(|[a, b]| ([a, b / a.tanh().exp()], -a.tanh())),
            },
        ),
        (
            "a map that is not invertible: it squares an entry",
            Claim {
                forward: Box::new(|[a, b]| ([a, b * b], (2. * b).abs().ln())),
                inverse: Box::new(|[a, b]| ([a, b.abs().sqrt()], -(2. * b.abs().sqrt()).ln())),
            },
        ),
    ];
    judge(accepts, sound, faulty)
}

/// Grades a check of losses.
pub fn bound(accepts: fn(&e17_bound_check::Loss) -> bool) -> Result<(), String> {
    type Loss = Box<dyn Fn(&[f64], f64, usize) -> f64>;
    let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
    let sound: Vec<(&str, Loss)> =
        vec![("the loss", Box::new(move |l, kl, n| kl / n as f64 - mean(l)))];
    let faulty: Vec<(&str, Loss)> = vec![
        ("the KL divided by the size of the batch", Box::new(move |l, kl, _| kl / l.len() as f64 - mean(l))),
        ("the KL not divided", Box::new(move |l, kl, _| kl - mean(l))),
        ("no KL", Box::new(move |l, _, _| -mean(l))),
        ("the sum of the log-likelihoods", Box::new(move |l, kl, n| kl / n as f64 - l.iter().sum::<f64>())),
        ("the sign of the KL", Box::new(move |l, kl, n| -kl / n as f64 - mean(l))),
        ("the bound instead of the loss", Box::new(move |l, kl, n| mean(l) - kl / n as f64)),
        ("the first log-likelihood only", Box::new(move |l, kl, n| kl / n as f64 - l[0])),
    ];
    judge(|loss: &Loss| accepts(&**loss), sound, faulty)
}

/// Grades a check of Adam.
pub fn adam(accepts: fn(&e18_adam_check::Change) -> bool) -> Result<(), String> {
    type Change = Box<dyn Fn(&[f64]) -> f64>;
    /// What may be wrong.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        BiasedM,
        BiasedV,
        EpsilonInside,
        Magnitude,
        Sign,
        Plain,
    }
    let change = |fault: Fault| -> Change {
        Box::new(move |gradients| {
            let (mut m, mut v) = (0., 0.);
            for g in gradients {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * if fault == Fault::Magnitude { g.abs() } else { g * g };
            }
            let t = gradients.len() as i32;
            let m_hat = if fault == Fault::BiasedM { m } else { m / (1. - 0.9_f64.powi(t)) };
            let v_hat = if fault == Fault::BiasedV { v } else { v / (1. - 0.999_f64.powi(t)) };
            match fault {
                Fault::EpsilonInside => -0.01 * m_hat / (v_hat + 1e-8).sqrt(),
                Fault::Sign => 0.01 * m_hat / (v_hat.sqrt() + 1e-8),
                Fault::Plain => -0.01 * gradients[gradients.len() - 1],
                _ => -0.01 * m_hat / (v_hat.sqrt() + 1e-8),
            }
        })
    };
    let faulty = vec![
        ("m is not corrected for its start", change(Fault::BiasedM)),
        ("v is not corrected for its start", change(Fault::BiasedV)),
        ("ε inside the square root", change(Fault::EpsilonInside)),
        ("v is the mean of |g| and not of g²", change(Fault::Magnitude)),
        ("it climbs", change(Fault::Sign)),
        ("it is gradient descent", change(Fault::Plain)),
    ];
    judge(|change: &Change| accepts(&**change), vec![("Adam", change(Fault::None))], faulty)
}

/// Grades a check of masks.
pub fn masks(accepts: fn(&e19_mask_check::Masks) -> bool) -> Result<(), String> {
    type Masks = Box<dyn Fn(usize, f64, u64) -> Vec<f64>>;
    fn uniform(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.random::<f64>()).collect()
    }
    fn mask(u: Vec<f64>, p: f64, kept: f64) -> Vec<f64> {
        u.into_iter().map(|u| if u < p { 0. } else { kept }).collect()
    }
    let sound: Vec<(&str, Masks)> =
        vec![("independent masks", Box::new(|n, p, seed| mask(uniform(n, seed), p, 1. / (1. - p))))];
    let faulty: Vec<(&str, Masks)> = vec![
        ("kept entries are 1", Box::new(|n, p, seed| mask(uniform(n, seed), p, 1.))),
        ("p and 1 − p are exchanged", Box::new(|n, p, seed| mask(uniform(n, seed), 1. - p, 1. / p))),
        ("the seed has no effect", Box::new(|n, p, _| mask(uniform(n, 7), p, 1. / (1. - p)))),
        ("entries come in pairs", Box::new(|n, p, seed| {
            let u = uniform(n.div_ceil(2), seed);
            mask((0..n).map(|i| u[i / 2]).collect(), p, 1. / (1. - p))
        })),
        ("exactly every kth entry is dropped", Box::new(|n, p, seed| {
            let u = |i: usize| ((i as f64 + seed as f64) * p).fract();
            mask((0..n).map(u).collect(), p, 1. / (1. - p))
        })),
        ("the rate is a tenth too high", Box::new(|n, p, seed| mask(uniform(n, seed), 1.1 * p, 1. / (1. - p)))),
    ];
    judge(|masks: &Masks| accepts(&**masks), sound, faulty)
}

/// Grades a check of predictions.
pub fn prediction(accepts: fn(&e20_prediction_check::Predict) -> bool) -> Result<(), String> {
    type Predict = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64>>;
    fn softmax(z: &[f64]) -> Vec<f64> {
        let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = z.iter().map(|z| (z - max).exp()).sum();
        z.iter().map(|z| (z - max).exp() / sum).collect()
    }
    fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
        let n = rows.len() as f64;
        (0..rows[0].len()).map(|k| rows.iter().map(|row| row[k]).sum::<f64>() / n).collect()
    }
    fn all(z: &[Vec<f64>]) -> Vec<Vec<f64>> {
        z.iter().map(|z| softmax(z)).collect()
    }
    let sound: Vec<(&str, Predict)> = vec![("the mean of probabilities", Box::new(|z| mean(&all(z))))];
    let faulty: Vec<(&str, Predict)> = vec![
        ("the softmax of the mean logits", Box::new(|z| softmax(&mean(z)))),
        ("the first sample only", Box::new(|z| softmax(&z[0]))),
        ("the last sample only", Box::new(|z| softmax(&z[z.len() - 1]))),
        ("the mean of logarithms, normalised", Box::new(|z| {
            let logs: Vec<Vec<f64>> = all(z).iter().map(|p| p.iter().map(|p| p.ln()).collect()).collect();
            softmax(&mean(&logs))
        })),
        ("a softmax that overflows", Box::new(|z| {
            let naive = |z: &Vec<f64>| {
                let sum: f64 = z.iter().map(|z| z.exp()).sum();
                z.iter().map(|z| z.exp() / sum).collect()
            };
            mean(&z.iter().map(naive).collect::<Vec<_>>())
        })),
        ("votes", Box::new(|z| {
            let vote = |p: &Vec<f64>| {
                let best = (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).expect("a class");
                (0..p.len()).map(|k| f64::from(k == best)).collect()
            };
            mean(&all(z).iter().map(vote).collect::<Vec<_>>())
        })),
    ];
    judge(|predict: &Predict| accepts(&**predict), sound, faulty)
}
