//! Broken twins: each is the real thing with one mistake, such as people make. The engine holds none of them.
use super::bound::{Bound, N, Said, Sound};
use super::densities::{Density, Line, realnvp};
use super::flows::{Flow, coupling};
use super::kernels::{Convolution, Product};
use super::loss::Loss;
use super::machine::{self, Computation, Descent, Keeper, Masks, descend};
use super::scores::{Doubt, Judge, Ranking, Uncertain};
use super::suite::Subject;
use crate::autodiff::gradcheck::Case;
use crate::autodiff::{Tape, Tensor, Var};
use crate::bayes::{Draw, Model, Posterior, Terms};
use crate::flows::{Bijector, Permutation};
use crate::metrics;
use crate::nn::BoundParams as Bind;
use crate::nn::Params;
use crate::nn::optim::{Clip, Update};
use crate::primary::PrimaryNet;
use crate::run::checkpoint;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};
use rand::Rng;
use std::ops::Range;

fn fault<S>(name: &str, it: S) -> Subject<S> {
    Subject { name: name.into(), it }
}

/// Rules of operations.
pub fn operations() -> Vec<Subject<Case>> {
    let one = |name, f| fault(name, Case { name, shapes: &[&[3, 4]], f });
    let two = |name, f| fault(name, Case { name, shapes: &[&[3, 4], &[4, 5]], f });
    vec![
        one("exp: the wrong sign", |x| {
            Var::record("exp", &[x[0]], x[0].value().mapv(f64::exp), |c, sink| {
                sink.add(0, || -(c.g * c.y))
            })
        }),
        one("tanh: 1 − y for 1 − y²", |x| {
            Var::record("tanh", &[x[0]], x[0].value().mapv(f64::tanh), |c, sink| {
                sink.add(0, || c.g * &c.y.mapv(|y| 1. - y));
            })
        }),
        one("x²: a forgotten factor of two", |x| {
            Var::record("square", &[x[0]], x[0].value().mapv(|x| x * x), |c, sink| {
                sink.add(0, || c.g * c.x(0))
            })
        }),
        one("softmax: its sum held fixed", |x| {
            let e = x[0].value().mapv(f64::exp);
            let sums = e.sum_axis(Axis(1)).insert_axis(Axis(1));
            Var::record("softmax", &[x[0]], e / sums, |c, sink| sink.add(0, || c.g * c.y))
        }),
        one("x·x: only one of two consumers is counted", |x| {
            let other = x[0].detach();
            x[0] * other
        }),
        one("mean: divided twice", |x| {
            let (n, shape) = (x[0].value().len() as f64, x[0].shape());
            let y = x[0].value().sum() / n;
            Var::record("mean", &[x[0]], ndarray::ArrayD::from_elem(vec![1], y), move |c, sink| {
                let g = c.g[0] / n / n;
                sink.add(0, || ndarray::ArrayD::from_elem(shape.clone(), g));
            })
        }),
        two("matrix product: one gradient left out", |x| x[0].detach().matmul(x[1])),
        two("matrix product: a gradient with its rows turned round", |x| {
            let y = x[0].matmul(x[1]).value().to_owned();
            Var::record("matmul", &[x[0], x[1]], y, |c, sink| {
                let two = |x: &Tensor<f64>| {
                    x.to_owned().into_dimensionality::<ndarray::Ix2>().expect("two axes")
                };
                let (a, b, g) = (two(c.x(0)), two(c.x(1)), two(c.g));
                sink.add(0, || g.dot(&b.t()).slice(s![..;-1, ..]).to_owned().into_dyn());
                sink.add(1, || a.t().dot(&g).into_dyn());
            })
        }),
        one("relu: a gradient where it sleeps", |x| {
            Var::record("relu", &[x[0]], x[0].value().mapv(|x| x.max(0.)), |c, sink| {
                sink.add(0, || c.g.clone())
            })
        }),
    ]
}

type Change = for<'t> fn(Var<'t, f64>, Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>);

/// A bijector with its results changed, there and back.
struct Changed {
    map: Box<dyn Bijector<f64>>,
    there: Change,
    back: Change,
}

impl Bijector<f64> for Changed {
    fn forward<'t>(&self, p: &Bind<'t, f64>, x: Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>) {
        let (y, log_det) = self.map.forward(p, x);
        (self.there)(y, log_det)
    }

    fn inverse<'t>(&self, p: &Bind<'t, f64>, y: Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>) {
        let (x, log_det) = self.map.inverse(p, y);
        (self.back)(x, log_det)
    }
}

/// Permutes and forgets that its inverse is another.
struct OneOff(Permutation);

impl Bijector<f64> for OneOff {
    fn forward<'t>(&self, p: &Bind<'t, f64>, x: Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>) {
        self.0.forward(p, x)
    }

    fn inverse<'t>(&self, p: &Bind<'t, f64>, y: Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>) {
        let d = y.shape()[1];
        let (x, log_det) = self.0.inverse(p, y);
        (x.gather(1, (0..d).map(|i| (i + 1) % d).collect::<Vec<_>>()), log_det)
    }
}

/// `sound` with its results changed.
fn changed(name: &str, sound: &dyn Fn() -> Flow, there: Change, back: Change) -> Subject<Flow> {
    let Flow { params, map } = sound();
    fault(name, Flow { params, map: Box::new(Changed { map, there, back }) })
}

const SAME: Change = |y, log_det| (y, log_det);

/// A flow and a way back that is not its.
pub fn ways(sound: &dyn Fn() -> Flow) -> Vec<Subject<Flow>> {
    let changed = |name, there, back| changed(name, sound, there, back);
    vec![
        changed("log-determinant: the wrong sign, back", SAME, |x, l| (x, -l)),
        changed("the inverse is not one", SAME, |x, l| (x * 1.001, l)),
    ]
}

/// A log-determinant that is wrong both ways.
pub fn volumes(sound: &dyn Fn() -> Flow) -> Vec<Subject<Flow>> {
    let changed = |name, there, back| changed(name, sound, there, back);
    vec![
        changed("log-determinant: the wrong sign, there and back", |y, l| (y, -l), |x, l| (x, -l)),
        changed("log-determinant: counted twice", |y, l| (y, l * 2.), |x, l| (x, l * 2.)),
        changed("log-determinant: forgotten", |y, l| (y, l * 0.), |x, l| (x, l * 0.)),
        changed(
            "log-determinant: without the floor of the scales",
            |y, l| (y, l - 1e-3),
            |x, l| (x, l + 1e-3),
        ),
    ]
}

/// Flows.
pub fn flows() -> Vec<Subject<Flow>> {
    let changed = |name, there, back| changed(name, &coupling, there, back);
    let mut all = ways(&coupling);
    all.extend(volumes(&coupling));
    all.extend([
        changed("log-determinant: no gradient", |y, l| (y, l.detach()), |x, l| (x, l.detach())),
        changed(
            "a sample sees the next",
            |y, l| {
                let n = y.shape()[0];
                let next = y.gather(0, (0..n).map(|i| (i + 1) % n).collect::<Vec<_>>());
                (y + next * 1e-3, l)
            },
            SAME,
        ),
        changed("the inverse has no gradient", SAME, |x, l| (x.detach(), l)),
        fault(
            "a permutation that is off by one on its way back",
            Flow {
                params: Params::default(),
                map: Box::new(OneOff(Permutation::new(vec![2, 0, 4, 1, 3]))),
            },
        ),
    ]);
    all
}

/// `θ` and `ln q` of a draw.
type Drawn = (Array2<f64>, Array1<f64>);

/// A density with its results changed.
struct Other {
    of: Box<dyn Density>,
    /// What is drawn.
    drawn: fn(Array2<f64>, Array1<f64>) -> Drawn,
    /// `ln q` of any `θ`.
    said: fn(Array1<f64>, &Array2<f64>) -> Array1<f64>,
}

impl Density for Other {
    fn dim(&self) -> usize {
        self.of.dim()
    }

    fn draw(&self, samples: usize, seed: u64) -> (Array2<f64>, Array1<f64>) {
        let (theta, log_q) = self.of.draw(samples, seed);
        (self.drawn)(theta, log_q)
    }

    fn log_prob(&self, theta: Array2<f64>) -> Array1<f64> {
        (self.said)(self.of.log_prob(theta.clone()), &theta)
    }
}

/// `sound` with its results changed.
fn other(
    name: &str,
    sound: &dyn Fn() -> Box<dyn Density>,
    drawn: fn(Array2<f64>, Array1<f64>) -> Drawn,
    said: fn(Array1<f64>, &Array2<f64>) -> Array1<f64>,
) -> Subject<Box<dyn Density>> {
    fault(name, Box::new(Other { of: sound(), drawn, said }))
}

/// Draws that do not have the density that is said of them.
pub fn draws(sound: &dyn Fn() -> Box<dyn Density>) -> Vec<Subject<Box<dyn Density>>> {
    let other = |name, drawn, said| other(name, sound, drawn, said);
    vec![
        other(
            "ln q of a draw at its noise and not at θ",
            |t, q| {
                let base =
                    t.map_axis(Axis(1), |row| -0.5 * row.dot(&row) - std::f64::consts::TAU.ln());
                (t, base + 0. * q)
            },
            |q, _| q,
        ),
        other("draws a tenth too wide", |t, q| (&t * 1.1, q), |q, _| q),
        other(
            "draws moved by a tenth of their width",
            |t, q| {
                let std = t.std_axis(Axis(0), 0.);
                (t + std * 0.1, q)
            },
            |q, _| q,
        ),
        other(
            "a density that is another's",
            |t, q| (t, q),
            |_, theta| {
                theta.map_axis(Axis(1), |row| -0.5 * row.dot(&row) - std::f64::consts::TAU.ln())
            },
        ),
    ]
}

/// Densities.
pub fn densities() -> Vec<Subject<Box<dyn Density>>> {
    let sound = || Box::new(realnvp()) as Box<dyn Density>;
    let mut all = draws(&sound);
    all.push(other(
        "the base's constant is left out",
        &sound,
        |t, q| (t, q + std::f64::consts::TAU.ln()),
        |q, _| q + std::f64::consts::TAU.ln(),
    ));
    all
}

/// Priors and likelihoods.
pub fn lines() -> Vec<Subject<Line>> {
    let line = |name, log_prob: fn(f64) -> f64| fault(name, Line { log_prob: Box::new(log_prob) });
    vec![
        line("normal: without its constant", |x| -0.5 * x * x),
        line("normal: ln τ for ½ ln τ", |x| {
            -2. * x * x + 4_f64.ln() - 0.5 * std::f64::consts::TAU.ln()
        }),
        line("Laplace: ln b for ln 2b", |x| -x.abs() / 0.7 - 0.7_f64.ln()),
        line("mixture: weights that do not add to one", |x| {
            let normal =
                |std: f64| (-0.5 * (x / std).powi(2)).exp() / (std * std::f64::consts::TAU.sqrt());
            (0.3 * normal(2.) + 0.3 * normal(0.1)).ln()
        }),
    ]
}

/// A posterior with its draws changed.
struct Drawing {
    of: Box<dyn Posterior<f64>>,
    changed: for<'t> fn(Draw<'t, f64>) -> Draw<'t, f64>,
}

impl Posterior<f64> for Drawing {
    fn draw<'t>(
        &self,
        p: &Bind<'t, f64>,
        tape: &'t Tape<f64>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, f64> {
        (self.changed)(self.of.draw(p, tape, samples, rng))
    }

    fn recentre(&self, params: &mut Params<f64>, theta: &[f64]) {
        self.of.recentre(params, theta);
    }
}

/// A network whose outputs have a gradient a thousandth too large.
struct Steep(Box<dyn PrimaryNet<f64>>);

impl PrimaryNet<f64> for Steep {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn widest(&self) -> usize {
        self.0.widest()
    }

    fn parts(&self) -> Vec<(String, usize)> {
        self.0.parts()
    }

    fn forward<'t>(&self, p: &Bind<'t, f64>, theta: Var<'t, f64>, x: Var<'t, f64>) -> Var<'t, f64> {
        steep(self.0.forward(p, theta, x))
    }

    fn forward_normal<'t>(
        &self,
        theta: [Var<'t, f64>; 2],
        x: Var<'t, f64>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Option<Var<'t, f64>> {
        self.0.forward_normal(theta, x, samples, rng).map(steep)
    }
}

fn steep(y: Var<'_, f64>) -> Var<'_, f64> {
    Var::record("steep", &[y], y.value(), |c, sink| sink.add(0, || c.g * 1.001))
}

/// Whole losses; one of the KL if the sound one has one.
pub fn losses(sound: &dyn Fn() -> Loss, has_kl: bool) -> Vec<Subject<Loss>> {
    let drawing = |name, changed| {
        let mut loss = sound();
        let model = loss.model;
        let of = Drawing { of: model.posterior, changed };
        loss.model = Model { posterior: Box::new(of), ..model };
        fault(name, loss)
    };
    let mut all =
        vec![drawing("θ has no gradient", |draw| Draw { theta: draw.theta.detach(), ..draw }), {
            let mut loss = sound();
            loss.model = Model { primary: Box::new(Steep(loss.model.primary)), ..loss.model };
            fault("the network's outputs have a gradient a thousandth too large", loss)
        }];
    if has_kl {
        all.push(drawing("ln q(θ) has no gradient", |draw| Draw {
            log_q: draw.log_q.map(Var::detach),
            kl: draw.kl.map(Var::detach),
            ..draw
        }));
    }
    all
}

/// A bound with what is said of it changed.
struct Misstated {
    of: Sound,
    /// From what is said, of how many rows, with which weight.
    said: fn(Said, usize, f64) -> Said,
}

impl Bound for Misstated {
    fn on(&self, rows: Range<usize>, beta: f64) -> Said {
        let count = rows.len();
        (self.said)(self.of.on(rows, beta), count, beta)
    }
}

/// Bounds; those of the KL if the sound one has one.
pub fn bounds(sound: &dyn Fn() -> Sound, has_kl: bool) -> Vec<Subject<Box<dyn Bound>>> {
    let wrong =
        |name, said| fault(name, Box::new(Misstated { of: sound(), said }) as Box<dyn Bound>);
    let mut all = vec![
        wrong("the likelihood is a sum over the batch, not scaled to N", |s, batch, _| {
            let terms = s.terms;
            let log_likelihood = terms.log_likelihood * batch as f64 / N as f64;
            Said { terms: Terms { log_likelihood, total: log_likelihood - terms.kl, ..terms }, ..s }
        }),
        wrong("a ragged minibatch counts as a full one", |s, batch, _| {
            let kl = s.terms.kl / N as f64;
            Said { loss: (s.loss - kl) * batch as f64 / 3. + kl, ..s }
        }),
    ];
    if has_kl {
        all.extend([
            wrong("the KL is divided by the batch in place of N", |s, batch, beta| {
                let kl = beta * s.terms.kl;
                Said { loss: s.loss - kl / N as f64 + kl / batch as f64, ..s }
            }),
            wrong("the KL is multiplied by the share of the batch", |s, batch, _| {
                let terms = s.terms;
                let kl = terms.kl * batch as f64 / N as f64;
                Said { terms: Terms { kl, total: terms.log_likelihood - kl, ..terms }, ..s }
            }),
            wrong("the KL has the wrong sign", |s, _, _| {
                let terms = s.terms;
                Said { terms: Terms { total: terms.log_likelihood + terms.kl, ..terms }, ..s }
            }),
            wrong("β is forgotten", |s, _, beta| Said {
                loss: s.loss + (1. - beta) * s.terms.kl / N as f64,
                ..s
            }),
            wrong("β weighs the likelihood too", |s, _, beta| {
                let kl = beta * s.terms.kl / N as f64;
                Said { loss: beta * (s.loss - kl) + kl, ..s }
            }),
            wrong("what is reported depends on β", |s, _, beta| {
                let terms = s.terms;
                Said {
                    terms: Terms { total: terms.log_likelihood - beta * terms.kl, ..terms },
                    ..s
                }
            }),
            wrong("the prior is left out", |s, _, _| {
                let terms = s.terms;
                Said { terms: Terms { total: terms.log_likelihood - terms.log_q, ..terms }, ..s }
            }),
        ]);
    }
    all
}

/// Dropout's masks.
pub fn masks() -> Vec<Subject<Masks>> {
    vec![
        fault("masks that are not scaled", Masks(|n| machine::masks(n) * 0.7)),
        fault(
            "the rate taken for its complement",
            Masks(|n| machine::masks(n).mapv(|m| if m == 0. { 1. / 0.3 } else { 0. })),
        ),
        fault(
            "scaled by 1/p for 1/(1 − p)",
            Masks(|n| machine::masks(n).mapv(|m| if m == 0. { 0. } else { 1. / 0.3 })),
        ),
    ]
}

/// Optimisers.
pub fn descents() -> Vec<Subject<Descent>> {
    vec![
        fault(
            "Adam: its moments' bias not corrected",
            Descent(|rule, clip, slopes, from| match rule {
                Update::Sgd { .. } => descend(rule, clip, slopes, from),
                Update::Adam { .. } => adam(slopes, from, |_, m, v| m / (v.sqrt() + 1e-8)),
            }),
        ),
        fault(
            "Adam: one step behind in its correction",
            Descent(|rule, clip, slopes, from| match rule {
                Update::Sgd { .. } => descend(rule, clip, slopes, from),
                Update::Adam { .. } => adam(slopes, from, |t, m, v| {
                    let [m, v] = [m / (1. - 0.9_f64.powi(t + 1)), v / (1. - 0.999_f64.powi(t + 1))];
                    m / (v.sqrt() + 1e-8)
                }),
            }),
        ),
        fault(
            "clipping: each element, and no norm",
            Descent(|rule, clip, slopes, from| {
                descend(rule, Clip { norm: f64::INFINITY, ..clip }, slopes, from)
            }),
        ),
        fault(
            "clipping: elements before the norm",
            Descent(|rule, clip, slopes, from| {
                let clipped: Vec<Vec<f64>> = slopes
                    .iter()
                    .map(|g| g.iter().map(|g| g.clamp(-clip.element, clip.element)).collect())
                    .collect();
                descend(rule, Clip { element: f64::INFINITY, ..clip }, &clipped, from)
            }),
        ),
    ]
}

/// Adam at a rate of 0.1, with the step made of its moments by `step(t, m, v)`.
fn adam(slopes: &[Vec<f64>], from: &[f64], step: fn(i32, f64, f64) -> f64) -> Vec<f64> {
    let (mut w, mut m, mut v) = (from.to_vec(), vec![0.; from.len()], vec![0.; from.len()]);
    for (t, g) in (1..).zip(slopes) {
        for i in 0..w.len() {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
            w[i] -= 0.1 * step(t, m[i], v[i]);
        }
    }
    w
}

/// Uncertainties.
pub fn doubts() -> Vec<Subject<Doubt>> {
    fn with(
        logits: &Array3<f32>,
        change: impl Fn(usize, Uncertain) -> Uncertain,
    ) -> Vec<Uncertain> {
        machine::uncertain(logits).into_iter().enumerate().map(|(n, u)| change(n, u)).collect()
    }
    /// `p_s` of an input, `[S, K]`.
    fn probabilities(logits: &Array3<f32>, input: usize) -> Array2<f64> {
        let mut p = logits.index_axis(Axis(1), input).mapv(|x| f64::from(x).exp());
        p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
        p
    }
    vec![
        fault(
            "logits are averaged in place of probabilities",
            Doubt(|x| {
                let mean = x.mean_axis(Axis(0)).expect("a sample").insert_axis(Axis(0));
                let averaged = machine::uncertain(&mean);
                with(x, |n, u| Uncertain { p: averaged[n].p, ..u })
            }),
        ),
        fault(
            "entropy in bits",
            Doubt(|x| {
                with(x, |_, u| Uncertain { entropy: u.entropy / std::f64::consts::LN_2, ..u })
            }),
        ),
        fault(
            "the entropy of the first sample for that of the mean",
            Doubt(|x| {
                let first = machine::uncertain(&x.slice(s![..1, .., ..]).to_owned());
                with(x, |n, u| Uncertain { entropy: first[n].entropy, ..u })
            }),
        ),
        fault(
            "BALD: the entropy itself",
            Doubt(|x| with(x, |_, u| Uncertain { bald: u.entropy, ..u })),
        ),
        fault("BALD: the wrong sign", Doubt(|x| with(x, |_, u| Uncertain { bald: -u.bald, ..u }))),
        fault(
            "mean deviation: divided by S − 1",
            Doubt(|x| {
                with(x, |_, u| Uncertain { mean_std: u.mean_std * (8_f64 / 7.).sqrt(), ..u })
            }),
        ),
        fault(
            "mean deviation: a variance",
            Doubt(|x| {
                with(x, |n, u| {
                    let variance = probabilities(x, n).var_axis(Axis(0), 0.);
                    Uncertain { mean_std: variance.mean().expect("a class"), ..u }
                })
            }),
        ),
    ]
}

/// Scores of classifications.
pub fn judges() -> Vec<Subject<Judge>> {
    let sound = Judge::SOUND;
    vec![
        fault(
            "NLL in bits",
            Judge { nll: |p, y| metrics::nll(p, y).value / std::f64::consts::LN_2, ..sound },
        ),
        fault(
            "NLL: of the likeliest class",
            Judge { nll: |p, _| metrics::nll(p, &metrics::predictions(p)).value, ..sound },
        ),
        fault(
            "Brier score: the mean over classes",
            Judge { brier: |p, y| metrics::brier(p, y).value / 3., ..sound },
        ),
        fault(
            "ECE: bins that all count as much",
            Judge {
                ece: |p, y| {
                    let bins = metrics::reliability(p, y, 10);
                    let gaps = bins.iter().filter(|bin| bin.count > 0);
                    gaps.map(|bin| (bin.accuracy - bin.confidence).abs()).sum::<f64>() / 10.
                },
                ..sound
            },
        ),
        fault(
            "ECE: gaps of either sign cancel",
            Judge {
                ece: |p, y| {
                    let bins = metrics::reliability(p, y, 10);
                    let gap =
                        |bin: &metrics::Bin| bin.count as f64 * (bin.accuracy - bin.confidence);
                    (bins.iter().map(gap).sum::<f64>() / y.len() as f64).abs()
                },
                ..sound
            },
        ),
        fault(
            "accuracy: labels off by one",
            Judge {
                accuracy: |p, y| {
                    let moved: Vec<_> = y.iter().map(|y| (y + 1) % 3).collect();
                    metrics::accuracy(p, &moved).value
                },
                ..sound
            },
        ),
    ]
}

/// Rankings.
pub fn rankings() -> Vec<Subject<Ranking>> {
    let sound = Ranking::SOUND;
    vec![
        fault(
            "AUPR: positives and negatives swapped",
            Ranking { aupr: |p, n| metrics::aupr(n, p), ..sound },
        ),
        fault(
            "AUPR: scores that point the other way",
            Ranking {
                aupr: |p, n| {
                    let turned = |v: &[f64]| v.iter().map(|x| -x).collect::<Vec<_>>();
                    metrics::aupr(&turned(p), &turned(n))
                },
                ..sound
            },
        ),
        fault("AUROC: swapped", Ranking { auroc: |p, n| metrics::auroc(n, p).value, ..sound }),
        fault(
            "AUROC: ties count as won",
            Ranking {
                auroc: |p, n| {
                    let won =
                        p.iter().flat_map(|a| n.iter().map(move |b| f64::from(u8::from(a >= b))));
                    won.sum::<f64>() / (p.len() * n.len()) as f64
                },
                ..sound
            },
        ),
        fault("FPR95: swapped", Ranking { fpr95: |p, n| metrics::fpr_at_tpr(n, p, 0.95), ..sound }),
        fault("FPR95: at 90 %", Ranking { fpr95: |p, n| metrics::fpr_at_tpr(p, n, 0.9), ..sound }),
    ]
}

/// Matrix products.
pub fn products() -> Vec<Subject<Product>> {
    let sound = Product::SOUND;
    vec![
        fault(
            "f64: the last column is left out where it is ragged",
            Product {
                double: |alpha, a, b, beta, c| {
                    let n = c.ncols();
                    let last = c.column(n - 1).to_owned();
                    (Product::SOUND.double)(alpha, a, b, beta, c);
                    if n % 8 != 0 {
                        c.column_mut(n - 1).assign(&last);
                    }
                },
                ..sound
            },
        ),
        fault(
            "f64: β is forgotten",
            Product {
                double: |alpha, a, b, _, c| (Product::SOUND.double)(alpha, a, b, 0., c),
                ..sound
            },
        ),
        fault(
            "f64: α weighs C too",
            Product {
                double: |alpha, a, b, beta, c| {
                    (Product::SOUND.double)(alpha, a, b, alpha * beta, c)
                },
                ..sound
            },
        ),
        fault(
            "f32: half precision on the way",
            Product {
                single: |alpha, a, b, beta, c| {
                    let short =
                        |x: ArrayView2<'_, f32>| x.mapv(|x| f32::from_bits(x.to_bits() & !0x1fff));
                    (Product::SOUND.single)(alpha, short(a).view(), short(b).view(), beta, c);
                },
                ..sound
            },
        ),
        fault(
            "f32: the stride of a transposed operand is ignored",
            Product {
                single: |alpha, a, b, beta, c| {
                    let ignored = |x: ArrayView2<'_, f32>| {
                        let entries: Vec<f32> = match x.is_standard_layout() {
                            true => x.iter().copied().collect(),
                            false => x.t().iter().copied().collect(),
                        };
                        Array2::from_shape_vec(x.dim(), entries).expect("as many")
                    };
                    (Product::SOUND.single)(alpha, ignored(a).view(), ignored(b).view(), beta, c);
                },
                ..sound
            },
        ),
    ]
}

/// Convolutions.
pub fn convolutions() -> Vec<Subject<Convolution>> {
    let sound = Convolution::SOUND;
    vec![
        fault(
            "a true convolution: its weights turned round",
            Convolution {
                forward: |over, x, w, y| {
                    let turned = w.slice(s![.., ..;-1]).to_owned();
                    (Convolution::SOUND.forward)(over, x, turned.view(), y);
                },
                ..sound
            },
        ),
        fault(
            "the first position is left out",
            Convolution {
                forward: |over, x, w, y| {
                    (Convolution::SOUND.forward)(over, x, w, y);
                    y[..w.nrows()].fill(0.);
                },
                ..sound
            },
        ),
        fault(
            "the gradient by the input stops short of the border",
            Convolution {
                by_input: |over, dy, w, dx| {
                    (Convolution::SOUND.by_input)(over, dy, w, dx);
                    *dx.last_mut().expect("an entry") = 0.;
                },
                ..sound
            },
        ),
        fault(
            "the gradient by the weights is that of the first image",
            Convolution {
                by_weight: |over, x, dy, dw| {
                    let positions: usize = over.positions().iter().product();
                    let count = dy.len() / (positions * dw.nrows());
                    (Convolution::SOUND.by_weight)(
                        over,
                        &x[..x.len() / count],
                        &dy[..dy.len() / count],
                        dw,
                    );
                },
                ..sound
            },
        ),
    ]
}

/// Computations on threads.
pub fn computations(
    numbers: impl Fn() -> Vec<f32> + Send + Sync + 'static,
) -> Vec<Subject<Computation>> {
    vec![fault(
        "a sum in as many parts as there are threads",
        Computation(Box::new(move || {
            let numbers = numbers();
            let part = numbers.len().div_ceil(rayon::current_num_threads());
            // Of a few weightings: one sum of a few numbers may be the same by luck.
            let sum = |weight: f32| -> f32 {
                let parts =
                    numbers.chunks(part).map(|part| part.iter().map(|x| weight * x).sum::<f32>());
                parts.sum()
            };
            (1..=16).map(|i| sum(1. / (2. + i as f32)).to_bits()).collect()
        })),
    )]
}

/// Checkpoints that do not bring everything back; moments if there are some.
pub fn forgetful(moments: bool) -> Vec<Subject<Keeper>> {
    let sound = Keeper::SOUND;
    let moments = moments.then(|| {
        fault(
            "the optimiser's moments are not restored",
            Keeper {
                load: |path, params, optimiser| {
                    let saved = checkpoint::Checkpoint::load(path)?;
                    optimiser.set_steps(saved.header.steps);
                    saved.restore(params)
                },
                ..sound
            },
        )
    });
    let others = [
        fault(
            "the position is not restored",
            Keeper {
                load: |path, params, optimiser| {
                    (Keeper::SOUND.load)(path, params, optimiser)?;
                    optimiser.set_steps(0);
                    Ok(())
                },
                ..sound
            },
        ),
        fault(
            "numbers are rounded to half precision",
            Keeper {
                save: |path, header, params, optimiser| {
                    let mut rounded = params.cast::<f32>();
                    for (_, w) in rounded.iter_mut() {
                        *w = w.mapv(|w| f32::from_bits(w.to_bits() & !0x1fff)).into();
                    }
                    (Keeper::SOUND.save)(path, header, &rounded, optimiser)
                },
                ..sound
            },
        ),
    ];
    moments.into_iter().chain(others).collect()
}

/// Checkpoints.
pub fn keepers() -> Vec<Subject<Keeper>> {
    let mut all = forgetful(true);
    all.push(fault(
        "no checksum",
        Keeper {
            load: |path, params, optimiser| {
                // The numbers are taken from wherever the header says that they are.
                let bytes = std::fs::read(path).expect("it was written");
                if let Ok(file) = safetensors::SafeTensors::deserialize(&bytes) {
                    for (name, w) in params.iter_mut() {
                        if let Ok(view) = file.tensor(name) {
                            let entries: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
                            let found = Tensor::from_shape_vec(view.shape(), entries);
                            found.map(|found| *w = found).ok();
                        }
                    }
                    return Ok(());
                }
                (Keeper::SOUND.load)(path, params, optimiser)
            },
            ..Keeper::SOUND
        },
    ));
    all
}
