//! Predictive probabilities and uncertainties against their definitions.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::Precision;
use crate::autodiff::gradcheck::randn;
use crate::bayes::{Estimator, Likelihood, Model, Noise, Point, PointPrior, Prior};
use crate::nn::Params;
use crate::predict::{Predictive, predict};
use crate::primary::{AllWeights, Layer};
use ndarray::{Array2, Array3, Axis, concatenate, s};
use std::f64::consts::LN_2;

/// The uncertainty about one input, from probabilities `p_s` of `S` samples with mean `p̄`.
#[derive(Clone, Copy, Debug)]
pub struct Uncertainty {
    /// `p̄` of the first class.
    pub p: f64,
    /// `H[p̄]`.
    pub entropy: f64,
    /// `H[p̄] − mean_s H[p_s]`.
    pub bald: f64,
    /// `mean_c std_s p_{s,c}`.
    pub mean_std: f64,
}

/// The uncertainty about each of `N` inputs, from logits `[S, N, K]`.
pub type Uncertainties = fn(&Array3<f32>) -> Vec<Uncertainty>;

/// The uncertainties that [`predict`] returns. The network is a linear layer whose weights are the
/// logits, and its inputs are the rows of the identity matrix, so that its outputs are exactly the
/// logits.
fn uncertainties(logits: &Array3<f32>) -> Vec<Uncertainty> {
    let (samples, inputs, classes) = logits.dim();
    let mut params = Params::default();
    let model = Model {
        posterior: Box::new(Point::new(&mut params, "q", &[])),
        params,
        primary: Box::new(AllWeights::new(inputs, &Layer::mlp(&[], classes))),
        prior: Prior::default(),
        point_prior: PointPrior::default(),
        likelihood: Likelihood::Categorical { clip: None },
        noise: Noise::Shared,
        gradient: Estimator::Total,
        precision: Precision::F32,
    };
    let weights = logits.view().permuted_axes([0, 2, 1]);
    let weights = weights.to_shape([samples, classes * inputs]).expect("as many entries");
    let theta = concatenate![Axis(1), weights, Array2::zeros([samples, classes])];
    let found = predict(&model, &theta.into(), Array2::eye(inputs).view());
    let Predictive::Classes { p, entropy, bald, mean_std, .. } = found else {
        unreachable!("a classification")
    };
    let of = |n: usize| Uncertainty {
        p: p[[n, 0]].into(),
        entropy: entropy[n].into(),
        bald: bald[n].into(),
        mean_std: mean_std[n].into(),
    };
    (0..inputs).map(of).collect()
}

/// The suite of [`predict`].
#[expect(clippy::missing_panics_doc, reason = "there are samples")]
pub fn suite() -> Suite<Uncertainties> {
    Suite {
        properties: vec![
            Property::new(
                "prediction",
                "it is the mean of the samples' probabilities, not of their logits",
                |f| against(*f, |u| u.p, |p| p.column(0).mean().expect("a sample")),
            ),
            Property::new("entropy", "it is −Σ p̄ ln p̄, in nats", |f| {
                against(*f, |u| u.entropy, entropy_of_mean)
            }),
            Property::new("BALD", "it is that less the mean of the samples' entropies", |f| {
                against(*f, |u| u.bald, information)
            }),
            Property::new(
                "mean deviation",
                "it is the mean over classes of the standard deviation over samples",
                |f| {
                    let mean = |p: &Array2<f64>| p.std_axis(Axis(0), 0.).mean().expect("a class");
                    against(*f, |u| u.mean_std, mean)
                },
            ),
        ],
        instances: vec![Instance::new("predict", uncertainties as Uncertainties)],
        faults: faults(),
    }
}

/// `−Σ p ln p`.
fn entropy<'a>(p: impl IntoIterator<Item = &'a f64>) -> f64 {
    p.into_iter().map(|p| -p * p.ln()).sum()
}

/// `H[p̄]` of `p_s [S, K]`.
fn entropy_of_mean(p: &Array2<f64>) -> f64 {
    entropy(&p.mean_axis(Axis(0)).expect("a sample"))
}

/// `H[p̄] − mean_s H[p_s]` of `p_s [S, K]`.
fn information(p: &Array2<f64>) -> f64 {
    entropy_of_mean(p) - p.rows().into_iter().map(entropy).sum::<f64>() / p.nrows() as f64
}

/// The probabilities `p_s [S, K]` of the samples for one input.
fn probabilities(logits: &Array3<f32>, input: usize) -> Array2<f64> {
    let mut p = logits.index_axis(Axis(1), input).mapv(|x| f64::from(x).exp());
    p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
    p
}

/// A field of the uncertainties against its definition, for 50 inputs with 8 samples of 4 logits.
fn against(
    f: Uncertainties,
    field: fn(&Uncertainty) -> f64,
    definition: fn(&Array2<f64>) -> f64,
) -> Measurement {
    let logits = randn(&[8, 50, 4], 6).mapv(|x| 2. * x as f32);
    let logits = logits.into_dimensionality().expect("[S, N, K]");
    Measurement::worst(f(&logits).iter().enumerate().map(|(n, found)| {
        // The tolerance allows for a handful of operations in f32.
        let close = Measurement::close(field(found), definition(&probabilities(&logits, n)), 2e-6);
        Measurement { at: format!("input {n}: {}", close.at), ..close }
    }))
}

/// The uncertainties of all inputs, each modified by `change`, which is given the input's index.
fn changed(logits: &Array3<f32>, change: impl Fn(usize, &mut Uncertainty)) -> Vec<Uncertainty> {
    let mut all = uncertainties(logits);
    all.iter_mut().enumerate().for_each(|(n, u)| change(n, u));
    all
}

fn faults() -> Vec<Instance<Uncertainties>> {
    let fault = |name, f: Uncertainties| Instance::new(name, f);
    vec![
        fault("logits are averaged in place of probabilities", |x| {
            let mean = x.mean_axis(Axis(0)).expect("a sample").insert_axis(Axis(0));
            let averaged = uncertainties(&mean);
            changed(x, |n, u| u.p = averaged[n].p)
        }),
        fault("entropy in bits", |x| changed(x, |_, u| u.entropy /= LN_2)),
        fault("the entropy of the first sample for that of the mean", |x| {
            let first = uncertainties(&x.slice(s![..1, .., ..]).to_owned());
            changed(x, |n, u| u.entropy = first[n].entropy)
        }),
        fault("BALD: the entropy itself", |x| changed(x, |_, u| u.bald = u.entropy)),
        fault("BALD: the wrong sign", |x| changed(x, |_, u| u.bald = -u.bald)),
        fault("mean deviation: divided by S − 1", |x| {
            changed(x, |_, u| u.mean_std *= (8_f64 / 7.).sqrt())
        }),
        fault("mean deviation: a variance", |x| {
            changed(x, |n, u| {
                u.mean_std = probabilities(x, n).var_axis(Axis(0), 0.).mean().expect("a class");
            })
        }),
    ]
}
