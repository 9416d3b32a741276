//! Defends: where the posterior is exact, the path gradient has no variance, and training with it
//! converges to the exact posterior even with one sample per step.
use bhn::autodiff::Owned;
use bhn::bayes::{Base, Estimator, Hypernet};
use bhn::experiments::fit::{Joint, Training, weigh};
use bhn::experiments::oracles::{Fitted, Linear, Method};
use bhn::flows::{Chain, Lu};
use bhn::nn::{Init, Params};
use bhn::random::{Purpose, stream};
use bhn::verify::estimators::{Case, LogJoint, zero_variance};
use std::sync::Arc;

/// `N(m, F Fᵀ)` as the flow `θ = ε L U + m` with `L = I` and `U = Fᵀ`.
fn exact(linear: &Linear) -> (Hypernet<f64>, Params<f64>) {
    let (posterior, d) = (linear.posterior(), linear.dim());
    let (mut params, init) = (Params::default(), Init::Constant(0.));
    let lu = Lu::new(&mut params, "q", d, init, init, &mut stream(0, Purpose::Init, 0));
    let factor = &posterior.factor;
    for (name, w) in params.iter_mut() {
        *w = match name {
            // U = diag(s) V, and s has an offset of 0.001.
            "q.w" => Owned::from_shape_fn(vec![d], |i| (factor[[i[0], i[0]]] - 0.001).ln()),
            "q.b" => posterior.mean.clone().into_dyn(),
            _ => Owned::from_shape_fn(vec![d, d], |i| {
                if i[0] < i[1] { factor[[i[1], i[0]]] / factor[[i[0], i[0]]] } else { 0. }
            }),
        }
        .into();
    }
    (Hypernet::from_flow(d, Base::Normal, Chain::default().then(lu)), params)
}

/// The exact posterior of linear regression: the path gradient of each single sample is 0 to
/// rounding, and the total gradient is of the order of its terms.
///
/// The mean and the factor of the posterior are computed by two Cholesky factorisations of a matrix
/// of condition `κ`, so that their relative errors are at most of order `D κ² ε`.
#[test]
fn single_sample_path_gradient_vanishes_at_exact_posterior() {
    let linear = Arc::new(Linear::polynomial(20, 4, 0));
    let norm = |a: &ndarray::Array2<f64>| a.iter().map(|a| a * a).sum::<f64>().sqrt();
    let factor = linear.posterior().factor;
    let condition = norm(&linear.precision()) * norm(&factor.dot(&factor.t()));
    let rounding = 4. * condition.powi(2) * f64::EPSILON;
    assert!(rounding < 1e-6, "{condition}");
    let case = || {
        let ((q, params), linear) = (exact(&linear), linear.clone());
        let log_joint: LogJoint = Box::new(move |theta| linear.log_joint(theta));
        Case::new(Arc::new(q), params, log_joint, rounding)
    };
    zero_variance(&case()).assert();
    let total = zero_variance(&case().with_total());
    assert!(total.measured > 0.01, "{total:?}");
}

/// The bound of the exact posterior is the evidence at every sample.
#[test]
fn exact_flow_has_the_evidence_as_its_bound() {
    let linear = Linear::polynomial(20, 4, 0);
    let (q, params) = exact(&linear);
    let weights = weigh(&q, &params, &linear, (1, 100), 0).log_weight;
    assert!(weights.iter().all(|w| (w - linear.log_evidence()).abs() < 1e-8), "{weights:?}");
}

/// With one sample per step and a learning rate that decays only by ten, the total gradient keeps
/// the posterior in motion; the path's lets it settle.
#[test]
fn training_by_path_gradient_settles_at_exact_posterior() {
    let linear = Linear::polynomial(20, 4, 0);
    let method = Method::ALL.iter().find(|m| m.key == "full").unwrap();
    let gap = |gradient| {
        let training =
            Training { steps: 6000, samples: 1, rate: 1e-2, decay: 10., anneal: 0., gradient };
        let weighted = method.samples(&linear, &training, (20, 500), 0).expect("it converges");
        linear.log_evidence() - Fitted::new(&weighted).expect("finite").elbo.value
    };
    let (total, path) = (gap(Estimator::Total), gap(Estimator::Path));
    assert!(path.abs() < 0.01 * total, "{path} {total}");
}
