//! The KL of each entry of `θ` from its prior: the sum is a lower bound of the KL of all of `θ`.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::randn;
use crate::bayes::{FlowKind, Model};
use crate::data::Task;
use crate::predict::{Total, Widths};
use crate::primary::Layer;
use crate::run::config::{Config, MethodKind};
use crate::stats::Estimate;

/// The suite of [`Widths`], for the methods whose densities differ.
pub fn suite() -> Suite<Widths> {
    use FlowKind::{Cholesky, Iaf, LowRank, Realnvp};
    let hypernet = |name, kind, couplings| {
        Instance::new(
            name,
            of_method(|config| {
                (config.flow.kind, config.flow.couplings) = (kind, couplings);
            }),
        )
    };
    let method = |method: MethodKind| {
        Instance::new(method.to_string(), of_method(|config| config.method = method))
    };
    Suite {
        properties: vec![LOWER_BOUND],
        instances: vec![
            hypernet("independent Gaussians", Realnvp, 0),
            hypernet("Cholesky", Cholesky, 0),
            hypernet("low rank", LowRank, 0),
            hypernet("RealNVP", Realnvp, 2),
            hypernet("IAF", Iaf, 2),
            method(MethodKind::Bbb),
            method(MethodKind::Mnf),
        ],
        faults: faults(&|| of_method(|config| config.flow.couplings = 2), EXAMPLES),
    }
}

/// The number of examples of the faults whose KL is not that of the data set.
const EXAMPLES: usize = 10;

/// The widths of a method with random parameters, for a network of four inputs.
fn of_method(change: impl FnOnce(&mut Config)) -> Widths {
    let mut config = Config::default();
    config.primary.layers = Some(Layer::mlp(&[6], 3));
    (config.flow.hidden, config.mnf.hidden) = (5, 5);
    change(&mut config);
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let mut model: Model = config.build(4, &Task::Classification { classes });
    for ((_, w), seed) in model.params.iter_mut().zip(20..) {
        *w = (&*w + &randn(w.shape(), seed).mapv(|x| 0.3 * x as f32)).into();
    }
    Widths::of(&model, 0).expect("a Gaussian prior")
}

/// The sum of the KLs of moment-matched marginals does not exceed the KL.
pub(super) const LOWER_BOUND: Property<Widths> = Property::new(
    "lower bound",
    "Σ KL(N(mⱼ, sⱼ²) ‖ p(θⱼ)) is at most KL(q ‖ p), the mean of ln q(θ) − ln p(θ) over samples",
    lower_bound,
);

/// `Σ KLⱼ ≤ KL(q ‖ p)`, as derived for [`Widths`]. Both sides have the same term of the prior,
/// `½ λ θ²` averaged over the samples, so that the entropy of `q` is compared with that of
/// independent Gaussians. The allowed error is four standard errors of the mean of `ln q`. If `q`
/// is a product of Gaussians, the errors of the two sides cancel to first order.
fn lower_bound(widths: &Widths) -> Measurement {
    let Some(Total { kl, entropy_error }) = widths.total else {
        return Measurement::not_judged("there is no density");
    };
    let bound = widths.bound();
    if !(bound.is_finite() && kl.value.is_finite()) {
        return Measurement::not_judged("samples overflow, or an entry is the same in all of them");
    }
    let at = format!("Σ KL {bound:.2}, KL {:.2}", kl);
    Measurement::new(bound - kl.value, 4. * entropy_error, at)
}

/// Copies of `sound` with a wrong KL; the data set has `examples` examples.
pub(super) fn faults(sound: &dyn Fn() -> Widths, examples: usize) -> Vec<Instance<Widths>> {
    let scaled = |name, factor: f64| {
        let mut wrong = sound();
        if let Some(Total { kl, entropy_error }) = &mut wrong.total {
            *kl = Estimate { value: factor * kl.value, error: factor.abs() * kl.error };
            *entropy_error *= factor.abs();
        }
        Instance::new(name, wrong)
    };
    vec![
        scaled("the KL has the wrong sign", -1.),
        scaled("the KL is that of one example", 1. / examples as f64),
    ]
}

/// The reason why a fault is equivalent, if it changes the difference of the two sides by less than
/// the property resolves.
pub(super) fn equivalent(sound: &Widths, fault: &Widths) -> Option<String> {
    let difference = |widths: &Widths| widths.bound() - widths.total.map_or(0., |t| t.kl.value);
    let change = (difference(fault) - difference(sound)).abs();
    let allowed = sound.total.map_or(0., |total| 4. * total.entropy_error);
    (change <= allowed)
        .then(|| format!("it changes Σ KL − KL by {change:.0e} nats, less than {allowed:.0e}"))
}
