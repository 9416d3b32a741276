// The primary network: h ← g ⊙ (V h)/‖V‖ + b for every layer, where g is a slice of θ. It mirrors
// src/primary/weight_normed.rs.
'use strict';

/**
 * The network of `layers`, such as `dense 16` and `relu`. `firstProduct(x)` is `V₁ x`, which does
 * not depend on θ; `forward(theta, product)` are the outputs.
 */
function network(layers, params) {
  params = tensors(params);
  const activations = { relu: (x) => Math.max(x, 0), tanh: Math.tanh, flatten: (x) => x };
  let dim = 0;
  const steps = layers.map((layer, i) => {
    const [kind] = layer.split(' ');
    if (kind !== 'dense') return { activate: activations[kind] };
    const v = params[`primary.${i}.v`], b = params[`primary.${i}.b`].data;
    const [units] = v.shape, start = dim;
    dim += units;
    return { v, b, norms: rowNorms(v), start, units };
  });
  const zeros = (n) => new Float64Array(n);
  const product = ({ v, units }, h) => affine(v, null, zeros(units), h);
  const begin = steps.findIndex((step) => step.v);

  const firstProduct = (x) => product(steps[begin], x);
  const forward = (theta, first) => {
    let h = null;
    for (const step of steps.slice(begin)) {
      if (!step.v) {
        h = h.map(step.activate);
        continue;
      }
      const y = h === null ? first : product(step, h);
      h = y.map((y, i) => (theta[step.start + i] * y) / step.norms[i] + step.b[i]);
    }
    return h;
  };
  /** The layer and the unit of entry `i` of θ, both from 1. */
  const place = (i) => {
    const dense = steps.filter((step) => step.v);
    const layer = dense.findLastIndex((step) => step.start <= i);
    return { layer: layer + 1, unit: i - dense[layer].start + 1 };
  };
  return { dim, firstProduct, forward, place };
}

/** `f(x; θ)` of a network with one input and one output. */
function evaluate(net, theta, x) {
  return net.forward(theta, net.firstProduct([x]))[0];
}
