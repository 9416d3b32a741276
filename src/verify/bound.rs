//! The bound: its scale, its terms and its minibatches.
use super::suite::{Instance, Measurement, Property, Suite, largest};
use crate::autodiff::Tape;
use crate::autodiff::gradcheck::randn;
use crate::bayes::{Model, Scale, Targets, Terms};
use crate::data::Task;
use crate::primary::Layer;
use crate::run::config::{Config, MethodKind};
use ndarray::{Array2, s};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::ops::Range;

/// The bound on a minibatch.
#[derive(Clone, Copy, Debug)]
pub struct ElboValue {
    /// The loss, in nats per example.
    pub loss: f64,
    /// The terms, in nats over the data set.
    pub terms: Terms,
}

/// Evaluates the bound on the given rows of a data set of `N` examples, with the KL weighted by `β`
/// and with the same noise in every call.
pub type Elbo = Box<dyn Fn(Range<usize>, f64) -> ElboValue + Send + Sync>;

/// The number of examples. It is no multiple of the batch size 3, so that the last minibatch is
/// smaller.
pub const N: usize = 10;
const BATCH: usize = 3;
const DATA: f64 = N as f64;

/// The suite of [`Model::pass`], for the methods whose bounds differ.
pub fn suite() -> Suite<Elbo> {
    use MethodKind::{Bbb, Bhn, FullBhn, Mle, Mnf};
    let methods = [Bhn, FullBhn, Bbb, Mnf, Mle];
    let instance = |method: MethodKind| Instance::new(method.to_string(), of_method(method));
    Suite {
        properties: vec![MINIBATCHES, TERMS, ANNEALING],
        instances: methods.map(instance).into(),
        faults: faults(&|| of_method(MethodKind::Bhn), true),
    }
}

/// The bound of a model on `N` examples; the model must share its noise across the batch.
pub fn of_model(model: Model<f64>, x: Array2<f64>, y: Targets<f64>) -> Elbo {
    Box::new(move |rows, beta| {
        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let batch = tape.constant(x.slice(s![rows.clone(), ..]).to_owned().into_dyn());
        let scale = Scale { data: N, batch: rows.len(), beta };
        let y = y.select(&rows.collect::<Vec<_>>());
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        let elbo = model.pass(&p, batch, &y, 4, scale, rng).elbo;
        ElboValue { loss: elbo.loss.item(), terms: elbo.terms }
    })
}

fn of_method(method: MethodKind) -> Elbo {
    let mut config = Config { method, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&[6], 3));
    (config.flow.couplings, config.flow.hidden) = (2, 5);
    config.mnf.hidden = 5;
    // Local reparametrisation draws separate noise for each example of a batch.
    config.mean_field.local = false;
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let mut model: Model<f64> = config.build(4, &Task::Classification { classes });
    for ((_, w), seed) in model.params.iter_mut().zip(20..) {
        *w = (&*w + &(randn(w.shape(), seed) * 0.3)).into();
    }
    let x = randn(&[N, 4], 3).into_dimensionality().expect("[N, 4]");
    of_model(model, x, Targets::Classes((0..N).map(|n| n * 2 % 3).collect()))
}

/// The bounds of minibatches average to the bound of the whole data set.
pub(super) const MINIBATCHES: Property<Elbo> = Property::new(
    "minibatches",
    "the minibatches' bounds, weighted by |B|/N, average to the whole data set's, a ragged last one included",
    minibatches,
);

/// The bound is the sum of its terms.
pub(super) const TERMS: Property<Elbo> = Property::new(
    "terms",
    "ELBO = log-likelihood + ln p(θ) − ln q(θ), and the loss is −ELBO/N",
    terms,
);

/// The effect of `β`, for a bound that has a KL.
pub(super) const ANNEALING: Property<Elbo> = Property::new(
    "annealing",
    "β weighs the KL and nothing else, and what is reported does not depend on it",
    annealing,
);

/// The rounding error allowed in a bound or a term, relative to the largest term.
const ROUNDING: f64 = 1e-11;

/// The largest absolute value of a term, but at least 1. The bound itself may be far smaller, since
/// its terms may cancel.
fn size(terms: &Terms) -> f64 {
    let Terms { log_likelihood, log_prior, log_q, .. } = terms;
    [log_likelihood, log_prior, log_q].into_iter().fold(1., |m, term| m.max(term.abs()))
}

fn close(found: f64, expected: f64, size: f64, at: &str) -> Measurement {
    Measurement::new((found - expected).abs() / size, ROUNDING, at)
}

fn close_loss(found: f64, expected: f64, size: f64) -> Measurement {
    close(found, expected, (size / DATA).max(1.), "loss")
}

/// The bounds of the minibatches, weighted by `|B|/N`, average to the bound of the whole data set.
pub fn minibatches(elbo: &Elbo) -> Measurement {
    let whole = elbo(0..N, 1.);
    let (mut total, mut loss) = (0., 0.);
    for start in (0..N).step_by(BATCH) {
        let rows = start..N.min(start + BATCH);
        let (batch, share) = (elbo(rows.clone(), 1.), rows.len() as f64 / DATA);
        total += share * batch.terms.total;
        loss += share * batch.loss;
    }
    let size = size(&whole.terms);
    Measurement::worst([
        close(total, whole.terms.total, size, "ELBO"),
        close_loss(loss, whole.loss, size),
    ])
}

/// The bound is the sum of its terms, and the loss is `−ELBO/N`.
pub fn terms(elbo: &Elbo) -> Measurement {
    let ElboValue { loss, terms } = elbo(0..BATCH, 1.);
    let (size, Terms { total, log_likelihood, log_prior, log_q, kl }) = (size(&terms), terms);
    Measurement::worst([
        close(total, log_likelihood + log_prior - log_q, size, "ELBO"),
        close(kl, log_q - log_prior, size, "KL"),
        close_loss(loss, -total / DATA, size),
    ])
}

fn annealing(elbo: &Elbo) -> Measurement {
    let (whole, half) = (elbo(0..BATCH, 1.), elbo(0..BATCH, 0.5));
    let size = size(&whole.terms);
    Measurement::worst([
        close_loss(whole.loss - half.loss, 0.5 * whole.terms.kl / DATA, size),
        close(half.terms.total, whole.terms.total, size, "ELBO"),
    ])
}

/// Bounds with a wrong term or scale; faults of the KL are included only if the sound bound has a
/// KL.
pub(super) fn faults(sound: &dyn Fn() -> Elbo, has_kl: bool) -> Vec<Instance<Elbo>> {
    // Changes a bound, given the size of its batch and β.
    type Change = fn(&mut ElboValue, f64, f64);
    let wrong = |name, change: Change| {
        let elbo = sound();
        let wrong = move |rows: Range<usize>, beta| {
            let batch = rows.len() as f64;
            let mut value = elbo(rows, beta);
            change(&mut value, batch, beta);
            value
        };
        Instance::new(name, Box::new(wrong) as Elbo)
    };
    let mut all = vec![
        wrong("the likelihood is a sum over the batch, not scaled to N", |v, batch, _| {
            v.terms.log_likelihood *= batch / DATA;
            v.terms.total = v.terms.log_likelihood - v.terms.kl;
        }),
        wrong("a ragged minibatch counts as a full one", |v, batch, _| {
            let kl = v.terms.kl / DATA;
            v.loss = (v.loss - kl) * batch / BATCH as f64 + kl;
        }),
    ];
    if has_kl {
        all.extend([
            wrong("the KL is divided by the batch in place of N", |v, batch, beta| {
                v.loss += beta * v.terms.kl / batch - beta * v.terms.kl / DATA;
            }),
            wrong("the KL is multiplied by the share of the batch", |v, batch, _| {
                v.terms.kl *= batch / DATA;
                v.terms.total = v.terms.log_likelihood - v.terms.kl;
            }),
            wrong("the KL has the wrong sign", |v, _, _| {
                v.terms.total = v.terms.log_likelihood + v.terms.kl;
            }),
            wrong("β is forgotten", |v, _, beta| v.loss += (1. - beta) * v.terms.kl / DATA),
            wrong("β weighs the likelihood too", |v, _, beta| {
                let kl = beta * v.terms.kl / DATA;
                v.loss = beta * (v.loss - kl) + kl;
            }),
            wrong("what is reported depends on β", |v, _, beta| {
                v.terms.total = v.terms.log_likelihood - beta * v.terms.kl;
            }),
            wrong("the prior is left out", |v, _, _| {
                v.terms.total = v.terms.log_likelihood - v.terms.log_q;
            }),
        ]);
    }
    all
}

/// The reason why a fault is equivalent, if its bound equals the sound bound to within rounding.
pub(super) fn equivalent(sound: &Elbo, fault: &Elbo) -> Option<String> {
    let last = N / BATCH * BATCH..N;
    let places = [(0..N, 1.), (0..BATCH, 1.), (0..BATCH, 0.5), (last, 1.)];
    let difference = largest(places.map(|(rows, beta)| {
        let (a, b) = (sound(rows.clone(), beta), fault(rows, beta));
        let values =
            |v: &ElboValue| [DATA * v.loss, v.terms.total, v.terms.log_likelihood, v.terms.kl];
        let differences = values(&a).into_iter().zip(values(&b)).map(|(a, b)| (a - b).abs());
        largest(differences) / size(&a.terms)
    }));
    // A minibatch of one example has the weight 1/N in the average, so a difference in it must be N
    // times the rounding error to be noticed.
    let least = DATA * ROUNDING;
    let Terms { log_likelihood, kl, .. } = sound(0..N, 1.).terms;
    (difference < least).then(|| {
        format!(
            "it changes the terms by {difference:.0e} of the largest, less than {least:.0e}: the \
             log-likelihood is {log_likelihood:.0e} nats, the KL {kl:.0e}"
        )
    })
}
