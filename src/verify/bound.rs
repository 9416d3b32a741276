//! The bound: its scale, its terms, its minibatches.
use super::faults;
use super::suite::{Finding, Property, Subject, Suite, largest};
use crate::autodiff::Tape;
use crate::autodiff::gradcheck::randn;
use crate::bayes::{Model, Scale, Targets, Terms};
use crate::data::Task;
use crate::primary::Layer;
use crate::run::config::{Config, MethodKind};
use ndarray::Array2;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::ops::Range;

/// What was said of the bound on a minibatch.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// The loss in nats an example.
    pub loss: f64,
    /// The terms over the data set.
    pub terms: Terms,
}

/// How the bound on rows of a data set is computed, with the same noise each time.
pub trait Bound: Send + Sync {
    /// On these rows, with that weight of the KL.
    fn on(&self, rows: Range<usize>, beta: f64) -> Said;
}

/// Examples, in batches of three the last of which is ragged.
pub const N: usize = 10;
const BATCH: usize = 3;

/// A model in `f64` and `N` examples.
pub struct Sound {
    pub(super) model: Model<f64>,
    pub(super) x: Array2<f64>,
    pub(super) y: Targets<f64>,
}

impl Sound {
    pub(super) fn new(method: MethodKind) -> Self {
        let mut config = Config { method, ..Config::default() };
        config.primary.layers = Some(Layer::mlp(&[6], 3));
        (config.flow.couplings, config.flow.hidden) = (2, 5);
        // Local reparametrisation has noise of its own for each example.
        config.mean_field.local = false;
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let mut model: Model<f64> = config.build(4, &Task::Classification { classes });
        for ((_, w), seed) in model.params.iter_mut().zip(20..) {
            *w = (&*w + &(randn(w.shape(), seed) * 0.3)).into();
        }
        let x = randn(&[N, 4], 3).into_dimensionality().expect("[N, 4]");
        Self { model, x, y: Targets::Classes((0..N).map(|n| n * 2 % 3).collect()) }
    }
}

impl Bound for Sound {
    fn on(&self, rows: Range<usize>, beta: f64) -> Said {
        let tape = Tape::default();
        let p = self.model.params.freeze(&tape);
        let x = tape.constant(self.x.slice(ndarray::s![rows.clone(), ..]).to_owned().into_dyn());
        let scale = Scale { data: N, batch: rows.len(), beta };
        let y = self.y.select(&rows.collect::<Vec<_>>());
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        let pass = self.model.pass(&p, x, &y, 4, scale, rng);
        Said { loss: pass.elbo.loss.item(), terms: pass.elbo.terms }
    }
}

/// All of it.
pub fn suite() -> Suite<Box<dyn Bound>> {
    let subject = |method: MethodKind| Subject {
        name: method.to_string(),
        it: Box::new(Sound::new(method)) as Box<dyn Bound>,
    };
    Suite {
        properties: vec![MINIBATCHES, TERMS, ANNEALING],
        subjects: [MethodKind::Bhn, MethodKind::FullBhn, MethodKind::Bbb, MethodKind::Mle]
            .map(subject)
            .into(),
        faults: faults::bounds(&|| Sound::new(MethodKind::Bhn), true),
    }
}

type Of = Property<Box<dyn Bound>>;

/// Minibatches' bounds average to the whole.
pub(super) const MINIBATCHES: Of = Property {
    name: "minibatches",
    proves: "the minibatches' bounds, weighted by |B|/N, average to the whole data set's, a ragged last one included",
    measure: |bound| minibatches(&**bound),
};

/// The bound is the sum of its terms.
pub(super) const TERMS: Of = Property {
    name: "terms",
    proves: "ELBO = log-likelihood + ln p(θ) − ln q(θ), and the loss is −ELBO/N",
    measure: |bound| terms(&**bound),
};

/// What `β` does; of use where there is a KL.
pub(super) const ANNEALING: Of = Property {
    name: "annealing",
    proves: "β weighs the KL and nothing else, and what is reported does not depend on it",
    measure: |bound| annealing(&**bound),
};

/// The rounding of sums of nats, beside the largest term.
const ROUNDING: f64 = 1e-11;

/// The largest of the terms, of which one may take away what another adds, or 1.
fn size(terms: &Terms) -> f64 {
    let Terms { log_likelihood, log_prior, log_q, .. } = terms;
    [log_likelihood, log_prior, log_q].into_iter().fold(1., |m, term| m.max(term.abs()))
}

fn near(found: f64, expected: f64, size: f64, at: &str) -> Finding {
    Finding::new((found - expected).abs() / size, ROUNDING, at)
}

/// Why what a fault says of the bound is what the sound one says, if it is.
#[expect(clippy::borrowed_box, reason = "the subject of a suite")]
pub(super) fn same(sound: &Box<dyn Bound>, broken: &Box<dyn Bound>) -> Option<String> {
    let last = N / BATCH * BATCH..N;
    let places = [(0..N, 1.), (0..BATCH, 1.), (0..BATCH, 0.5), (last, 1.)];
    let apart = places.map(|(rows, beta)| {
        let (a, b) = (sound.on(rows.clone(), beta), broken.on(rows, beta));
        let of = |s: &Said| [N as f64 * s.loss, s.terms.total, s.terms.log_likelihood, s.terms.kl];
        let apart = of(&a).into_iter().zip(of(&b)).map(|(a, b)| (a - b).abs());
        largest(apart) / size(&a.terms)
    });
    // A minibatch of one counts for one of N.
    let (apart, least) = (largest(apart), N as f64 * ROUNDING);
    let Terms { log_likelihood, kl, .. } = sound.on(0..N, 1.).terms;
    (apart < least).then(|| {
        format!(
            "it changes the terms by {apart:.0e} of the largest, less than {least:.0e}: the \
             log-likelihood is {log_likelihood:.0e} nats, the KL {kl:.0e}"
        )
    })
}

fn minibatches(bound: &dyn Bound) -> Finding {
    let whole = bound.on(0..N, 1.);
    let (mut total, mut loss) = (0., 0.);
    for start in (0..N).step_by(BATCH) {
        let rows = start..N.min(start + BATCH);
        let (said, share) = (bound.on(rows.clone(), 1.), rows.len() as f64 / N as f64);
        total += share * said.terms.total;
        loss += share * said.loss;
    }
    let size = size(&whole.terms);
    Finding::worst([
        near(total, whole.terms.total, size, "ELBO"),
        near(loss, whole.loss, (size / N as f64).max(1.), "loss"),
    ])
}

fn terms(bound: &dyn Bound) -> Finding {
    let Said { loss, terms } = bound.on(0..BATCH, 1.);
    let (size, Terms { total, log_likelihood, log_prior, log_q, kl }) = (size(&terms), terms);
    Finding::worst([
        near(total, log_likelihood + log_prior - log_q, size, "ELBO"),
        near(kl, log_q - log_prior, size, "KL"),
        near(loss, -total / N as f64, (size / N as f64).max(1.), "loss"),
    ])
}

fn annealing(bound: &dyn Bound) -> Finding {
    let (whole, half) = (bound.on(0..BATCH, 1.), bound.on(0..BATCH, 0.5));
    let size = size(&whole.terms);
    Finding::worst([
        near(
            whole.loss - half.loss,
            0.5 * whole.terms.kl / N as f64,
            (size / N as f64).max(1.),
            "loss",
        ),
        near(half.terms.total, whole.terms.total, size, "ELBO"),
    ])
}
