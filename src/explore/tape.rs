//! The tape of one training step of a regression of [`toy`](super::toy), node by node.
use super::ops::{Documented, documented};
use super::toy::hypernet;
use crate::autodiff::{Tape, Tensor, Traced};
use crate::bayes::{Hypernet, Likelihood, Posterior, Prior, Scale, Targets, elbo};
use crate::data::Split;
use crate::nn::Params;
use crate::primary::{Layer, PrimaryNet, WeightNormed};
use crate::random::{Purpose, stream};
use ndarray::{Axis, concatenate};
use serde::Serialize;
use std::collections::BTreeMap;

/// Hidden units of the network: few, so that values can be read.
const HIDDEN: usize = 4;
/// Samples of `θ`.
const SAMPLES: usize = 2;
/// Leading entries of a value or a gradient that the page gets.
const SHOWN: usize = 6;

/// The tape of a step.
#[derive(Serialize)]
pub(super) struct Step {
    couplings: usize,
    nodes: Vec<Node>,
    /// The documentation of the operations by name.
    ops: BTreeMap<String, Documented>,
}

/// A node.
#[derive(Serialize)]
struct Node {
    op: String,
    part: Part,
    shape: Vec<usize>,
    parents: Vec<usize>,
    value: Vec<f64>,
    /// The gradient of the loss; `None` if no gradient flows to the node.
    gradient: Option<Vec<f64>>,
}

/// The part of the model that recorded a node.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Hypernet,
    Network,
    Bound,
}

/// A step with `couplings` couplings on the examples `data`, all parameters being trained. Inputs
/// are `x` and `x²`: with `x` alone, a direction would be a sign, whose gradient is 0.
pub(super) fn step(couplings: usize, data: &Split) -> Step {
    let mut params = Params::<f64>::default();
    let rng = &mut stream(0, Purpose::Init, 3);
    let primary = WeightNormed::new(&mut params, "primary", 2, &Layer::mlp(&[HIDDEN], 1), rng);
    let d = PrimaryNet::<f64>::dim(&primary);
    let q = Hypernet::new(&mut params, "posterior", d, &hypernet(couplings), rng);
    let Targets::Values(y) = &data.y else { panic!("a tape of a classification") };
    let y = Targets::Values(y.iter().map(|&y| y.into()).collect());
    let likelihood = Likelihood::Gaussian { precision: 40. };

    let tape = Tape::default();
    let p = params.bind(&tape);
    let draw = q.draw(&p, SAMPLES, &mut stream(0, Purpose::Noise, 0));
    let hypernet_end = tape.len();
    let x = data.x.mapv(f64::from);
    let x = tape.named_constant("x", concatenate![Axis(1), x, &x * &x]);
    let outputs = primary.forward(&p, draw.theta, x);
    let network_end = tape.len();
    let log_likelihood = likelihood.log_prob(&p, outputs, &y);
    let scale = Scale { data: data.len(), batch: data.len(), beta: 1. };
    let traced = elbo(&draw, Prior::default(), log_likelihood, scale).loss.trace();

    let part = |id: usize, op: &str| match id {
        _ if op.starts_with("primary.") => Part::Network,
        _ if id < hypernet_end => Part::Hypernet,
        _ if id < network_end => Part::Network,
        _ => Part::Bound,
    };
    let shown = |x: &Tensor<f64>| x.iter().copied().take(SHOWN).collect();
    let node = |(id, node): (usize, &Traced<f64>)| Node {
        part: part(id, &node.op),
        op: node.op.clone(),
        shape: node.value.shape().to_vec(),
        parents: node.parents.clone(),
        value: shown(&node.value),
        gradient: node.gradient.as_ref().map(shown),
    };
    let ops = traced.iter().filter_map(|node| Some((node.op.clone(), documented(&node.op)?)));
    Step { couplings, nodes: traced.iter().enumerate().map(node).collect(), ops: ops.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn steps() -> [Step; 2] {
        let x = Array2::from_shape_vec((3, 1), vec![-1., 0., 1.]).unwrap();
        [0, 2].map(|t| step(t, &Split { x: x.clone(), y: Targets::Values(vec![0., 1., 0.]) }))
    }

    /// Every node with inputs has a formula and a rule.
    #[test]
    fn every_operation_is_documented() {
        for Step { nodes, ops, .. } in steps() {
            for node in nodes.iter().filter(|node| !node.parents.is_empty()) {
                assert!(ops.contains_key(&node.op), "{} has no documentation", node.op);
            }
        }
    }

    /// The loss has gradient 1, every parameter has a gradient, and data have none.
    #[test]
    fn gradients_reach_every_parameter() {
        for Step { nodes, .. } in steps() {
            assert_eq!(nodes.last().unwrap().gradient, Some(vec![1.]));
            for node in nodes.iter().filter(|node| node.parents.is_empty()) {
                let is_parameter = node.op.contains('.');
                assert_eq!(node.gradient.is_some(), is_parameter, "{}", node.op);
            }
        }
    }
}
