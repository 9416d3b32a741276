//! Evaluation of a weight-normalised network for samples of `θ` that a batch shares.
//!
//! The network is defined for samples that may differ between the examples of a batch, see
//! [`WeightNormed`](super::WeightNormed). If all examples share the samples of `θ`, the result is
//! the same with less work:
//!
//! * The scales are applied to the output of the product, so all `S` samples share one product of
//!   `[S·B, k]` rows with `V`, and the scaled weights are never materialised.
//! * The first layer's product does not depend on `θ` and is computed once for all samples; or once
//!   for all steps of training, if its weights are frozen ([`Input::Product`]). If `θ` needs no
//!   gradient, all layers before the first whose slice of `θ` differs between samples are
//!   computed only once, too. For a network with dropout, these are the layers before the first
//!   mask.
//! * Scale, bias and ReLU are fused, and so are their gradients.
use super::evaluate::Step;
use super::{Input, Layer};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::BoundParams;

/// Outputs `[S, B, K]` for `θ [S, D]` and `x` of `B` examples.
pub(super) fn forward<'t, T: Scalar>(
    steps: &[Step],
    p: &BoundParams<'t, T>,
    theta: Var<'t, T>,
    x: Input<Var<'t, T>>,
) -> Var<'t, T> {
    let (samples, d) = (theta.shape()[0], theta.shape()[1]);
    let theta = theta.reshape(&[samples, 1, d]);
    let (mut h, mut known) = match x {
        Input::Examples(x) => (steps[0].placed.enter(x), None),
        Input::Product(product) => (product, Some(product)),
    };
    let output = steps.last().expect("a layer").placed.output.axes();
    // In prediction, at most two activations are in memory at a time.
    let (tape, begin) = (theta.tape(), theta.tape().len());
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        let g = || one_if_equal(step.g(theta));
        let y = match step.weights.map(|weights| weights.map(|id| p[id])) {
            Some([v, b]) => {
                let product = known.take().unwrap_or_else(|| step.placed.product(h, v));
                tape.release(begin, &[product]);
                let scale = g() / v.row_norms();
                match steps.next_if(|next| next.placed.layer == Layer::Relu) {
                    Some(_) => product.affine_relu(scale, b),
                    None => product.affine(scale, b),
                }
            }
            None if step.placed.layer.is_mask() => h * g(),
            None => step.placed.apply(h),
        };
        // Activations without an axis of samples are the same for all samples.
        let axes = y.shape();
        let is_shared = samples > 1 && axes[0] == 1 && axes.len() > h.shape().len();
        h = if is_shared { y.reshape(&axes[1..]) } else { y };
        tape.release(begin, &[h]);
    }
    let axes = h.shape();
    let is_shared = axes.len() == 1 + output.len();
    if is_shared { h.broadcast_to(&[&[samples], &axes[..]].concat()) } else { h }
}

/// The first sample `[1, …]` in place of `g [S, …]` if all samples are equal and no gradient flows
/// to them.
fn one_if_equal<T: Scalar>(g: Var<'_, T>) -> Var<'_, T> {
    let value = g.value();
    let mut samples = value.outer_iter();
    let first = samples.next().filter(|_| g.is_constant());
    let is_equal = first.is_some_and(|first| samples.all(|sample| sample == first));
    if is_equal && value.shape()[0] > 1 { g.slice(0, 0..1) } else { g }
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Tape, gradcheck::randn};
    use crate::nn::Params;
    use crate::primary::{Layer, PrimaryNet, WeightNormed};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    /// In prediction only the output is kept, in training everything; both have the same bits.
    #[test]
    fn prediction_frees_activations_and_changes_no_bit() {
        let (mut params, rng) = (Params::<f64>::default(), &mut ChaCha8Rng::seed_from_u64(0));
        let net = WeightNormed::new(&mut params, "net", 3, &Layer::mlp(&[5, 4], 2), rng);
        let [x, theta] = [[6, 3], [7, 11]].map(|shape| randn(&shape, 1));
        let [predicted, trained] = [false, true].map(|is_trained| {
            let tape = Tape::default();
            let p = if is_trained { params.bind(&tape) } else { params.freeze(&tape) };
            let (theta, x) = (tape.constant(theta.clone()), tape.constant(x.clone()));
            let begin = tape.len();
            let y = net.forward(&p, theta, x).value();
            let kept = tape.nodes()[begin..].iter().filter(|node| !node.value.is_empty()).count();
            // θ as `[S, 1, D]`, and the output.
            assert_eq!(kept, if is_trained { tape.len() - begin } else { 2 });
            y
        });
        assert_eq!(predicted, trained);
    }
}
