//! The fast gradient sign method (Goodfellow et al. 2015) against predictions averaged over
//! samples.
use crate::autodiff::{Tape, Tensor, Var};
use crate::bayes::Model;
use crate::experiments::digits::{Net, predictions, probabilities};
use crate::kernels::scalar::Scalar;
use crate::metrics::{self, auroc};
use crate::predict::{Compact, Counts};
use crate::random::{Purpose, stream};
use crate::run::Trained;
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Maximum number of rows `S·B` per pass.
const ROWS: usize = 2048;

/// `−ln[(1/S) Σ_s p_s(y|x)]` of shape `[B]` for logits `[S, B, K]` and labels `y [B]`: the
/// cross-entropy of the averaged prediction.
///
/// # Panics
/// Unless there is one label below `K` for each of the `B` inputs.
pub fn averaged_loss<'t, T: Scalar>(logits: Var<'t, T>, y: &[usize]) -> Var<'t, T> {
    let samples = T::of(logits.shape()[0] as f64);
    let log_p = logits.categorical_log_prob(y);
    -(log_p.log_sum_exp(0) - samples.ln())
}

/// `−∇ₓ ln[(1/S) Σ_s p_s(y|x)]` of shape `[N, inputs]` for the rows of `x [N, inputs]`, their
/// labels `y [N]` and the samples `theta [S, D]`.
///
/// Use `f64`. In single precision `1 − p` of a confident prediction is rounded to 0: the gradient
/// vanishes and the attack fails, although the network is not robust.
///
/// # Panics
/// If the shapes do not fit the model.
pub fn gradient<T: Scalar>(
    model: &Model<T>,
    theta: &Tensor<T>,
    x: ArrayView2<'_, T>,
    y: &[usize],
) -> Array2<T> {
    let rows = (ROWS / theta.shape()[0]).max(1);
    let mut gradient = Array2::zeros([0, x.ncols()]);
    for (x, y) in x.axis_chunks_iter(Axis(0), rows).zip(y.chunks(rows)) {
        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let x = tape.leaf(x.to_owned().into_dyn());
        let logits = model.primary.forward(&p, tape.constant(theta.clone()), x);
        let grads = averaged_loss(logits, y).sum().backward();
        let part = grads.wrt(x).expect("logits depend on inputs").view();
        let part = part.into_dimensionality().expect("[B, inputs]");
        gradient.append(Axis(0), part).expect("the same inputs");
    }
    gradient
}

/// `x + ε sign(g)` for inputs `x` and a gradient `g`, both `[N, inputs]`. The sign of 0 is 0. The
/// result is not clipped to `[0, 1]`.
pub fn moved(x: ArrayView2<'_, f32>, gradient: &Array2<f64>, epsilon: f64) -> Array2<f32> {
    let sign = |g: f64| if g == 0. { 0. } else { g.signum() };
    ndarray::Zip::from(x).and(gradient).map_collect(|&x, &g| x + (epsilon * sign(g)) as f32)
}

/// Results of one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Accuracy on the clean images.
    pub accuracy: f64,
    /// Predictions of the clean images.
    pub clean: Compact,
    /// Results by attack, in the order of `ATTACKS`, and by `ε`.
    pub attacks: [Vec<Attacked>; 2],
    /// For each attack and image, the number of `ε` at which the attacked image is classified
    /// correctly.
    pub right: [Counts; 2],
}

/// Results at one step size `ε`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Attacked {
    pub accuracy: f64,
    /// AUROC of attacked (positive) against clean images, one per score of the net.
    pub attacked: Vec<f64>,
    /// AUROC of wrong (positive) against right answers to attacked images, one per score; `None` if
    /// all are right or all are wrong.
    pub wrong: Vec<Option<f64>>,
}

/// Results of two attacks on `trained`: with its own gradient, and with that of `source`.
pub(super) fn measure(
    net: &Net,
    samples: usize,
    [trained, source]: [&Trained; 2],
    epsilons: &[f64],
    x: ArrayView2<'_, f32>,
    y: &[usize],
) -> Found {
    let clean = predictions(trained, samples, x);
    let attack = |from: &Trained| -> (Vec<Attacked>, Counts) {
        let mut counts = vec![0_u8; y.len()];
        let gradient = own_gradient(from, samples, x, y);
        let mut step = |&epsilon: &f64| {
            let moved = moved(x, &gradient, epsilon);
            let predicted = predictions(trained, samples, moved.view());
            let p = probabilities(&predicted);
            let right: Vec<_> =
                metrics::predictions(p).iter().zip(y).map(|(k, y)| k == y).collect();
            counts.iter_mut().zip(&right).for_each(|(count, right)| *count += u8::from(*right));
            let aurocs = net.scores().iter().map(|score| {
                let scores = score.of(&predicted);
                (auroc(&scores, &score.of(&clean)).value, wrong_above_right(&scores, &right))
            });
            let (attacked, wrong) = aurocs.unzip();
            Attacked { accuracy: metrics::accuracy(p, y).value, attacked, wrong }
        };
        let steps = epsilons.iter().map(&mut step).collect();
        (steps, Counts::of(counts))
    };
    let accuracy = metrics::accuracy(probabilities(&clean), y).value;
    let drawn = trained.header.config.samples(samples);
    let [(own, own_right), (transferred, transferred_right)] = [trained, source].map(attack);
    Found {
        accuracy,
        clean: Compact::of(&clean, Some(y), drawn),
        attacks: [own, transferred],
        right: [own_right, transferred_right],
    }
}

/// `∇ₓ` of `averaged_loss` in `f64`, with posterior samples of the network `from` other than those
/// that it predicts with.
fn own_gradient(
    from: &Trained,
    samples: usize,
    x: ArrayView2<'_, f32>,
    y: &[usize],
) -> Array2<f64> {
    let config = &from.header.config;
    let (params, task) = (&from.model.params, &from.header.task);
    let mut model = config.build_with::<f64>(x.ncols(), task, params.buffers().clone());
    model.params = params.cast();
    let tape = Tape::default();
    let rng = &mut stream(config.seed, Purpose::Evaluation, 2);
    let p = model.params.freeze(&tape);
    let theta = model.posterior.predictive(&p, config.samples(samples), rng).theta;
    gradient(&model, &theta.value(), x.mapv(f64::from).view(), y)
}

/// AUROC of wrong (positive) against right predictions; `None` if all are right or all are wrong.
fn wrong_above_right(scores: &[f64], right: &[bool]) -> Option<f64> {
    let of = |kind: bool| -> Vec<f64> {
        scores.iter().zip(right).filter(|(_, right)| **right == kind).map(|(s, _)| *s).collect()
    };
    let (wrong, right) = (of(false), of(true));
    (!wrong.is_empty() && !right.is_empty()).then(|| auroc(&wrong, &right).value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::gradcheck::{gradcheck, randn};
    use crate::data::Task;
    use crate::nn::BoundParams;
    use crate::primary::Layer;
    use crate::random::{Purpose, stream};
    use crate::run::config::{Config, MethodKind};

    const INPUTS: usize = 7;

    /// A hypernet's small network with a wide posterior, and four samples of it.
    fn model() -> (Model<f64>, Tensor<f64>) {
        let mut config = Config { method: MethodKind::Bhn, ..Config::default() };
        config.primary.layers = Some(Layer::mlp(&[8, 8], 3));
        config.flow.log_scale = -0.5;
        config.flow.hidden = 5;
        let classes = ["a", "b", "c"].map(String::from).into();
        let model = config.build::<f64>(INPUTS, &Task::Classification { classes });
        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let rng = &mut stream(3, Purpose::Evaluation, 0);
        let theta = model.posterior.predictive(&p, 4, rng).theta.value();
        (model, theta)
    }

    /// The gradient with respect to the inputs agrees with finite differences of the averaged loss.
    #[test]
    fn input_gradient_passes_gradcheck() {
        let (model, theta) = model();
        let report = gradcheck(&[randn(&[5, INPUTS], 1)], |x| {
            let tape = x[0].tape();
            let p: BoundParams<'_, f64> = model.params.freeze(tape);
            let logits = model.primary.forward(&p, tape.constant(theta.clone()), x[0]);
            averaged_loss(logits, &[0, 1, 2, 1, 0])
        });
        report.assert();
    }

    /// The loss is `−ln p̄_y` of the averaged prediction.
    #[test]
    fn loss_is_nll_of_averaged_prediction() {
        let (model, theta) = model();
        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let x = tape.constant(randn(&[2, INPUTS], 4));
        let logits = model.primary.forward(&p, tape.constant(theta), x);
        let loss = averaged_loss(logits, &[2, 0]).value();
        let mean = logits.log_softmax().exp().mean_axis(0).value();
        for (b, y) in [(0, 2), (1, 0)] {
            assert!((loss[b] + mean[[b, y]].ln()).abs() < 1e-12);
        }
    }

    /// To first order a step raises every example's loss by `ε Σ |g|`.
    #[test]
    fn small_step_raises_every_loss_to_first_order() {
        let (model, theta) = model();
        let n = 2 * ROWS / theta.shape()[0] + 3;
        let x = randn(&[n, INPUTS], 5).into_dimensionality::<ndarray::Ix2>().unwrap();
        let y: Vec<_> = (0..n).map(|i| i % 3).collect();
        let g = gradient(&model, &theta, x.view(), &y);
        let loss = |x: &Array2<f64>| {
            let tape = Tape::default();
            let p = model.params.freeze(&tape);
            let x = tape.constant(x.clone().into_dyn());
            averaged_loss(model.primary.forward(&p, tape.constant(theta.clone()), x), &y).value()
        };
        let epsilon = 1e-6;
        let after = loss(&(&x + &g.mapv(|g| epsilon * g.signum())));
        let before = loss(&x);
        let mut kinks = 0;
        for (row, (before, after)) in g.rows().into_iter().zip(before.iter().zip(&after)) {
            let expected = epsilon * row.iter().map(|g| g.abs()).sum::<f64>();
            assert!(expected > 0. && after > before, "{before} to {after}");
            // A kink of a ReLU within the step is rare.
            kinks += usize::from((after - before - expected).abs() > 1e-3 * expected);
        }
        assert!(kinks < n / 100, "{kinks} of {n}");
    }

    #[test]
    fn step_is_epsilon_times_gradient_sign() {
        let x = Array2::<f32>::from_elem([1, 3], 0.9);
        let g = Array2::from_shape_vec([1, 3], vec![-1e-30, 0., 7.]).unwrap();
        let expected = Array2::from_shape_vec([1, 3], vec![0.65, 0.9, 1.15]).unwrap();
        let found = moved(x.view(), &g, 0.25);
        assert!((found - expected).iter().all(|d: &f32| d.abs() < 1e-6));
    }
}
