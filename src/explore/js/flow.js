// The flow h: θ = h(ε), and ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|. It mirrors src/flows and
// src/bayes/posterior/config.rs, whose names it uses. A map takes x [D] to [y, lnDet].
'use strict';

/** `W x + b`, or with weight normalisation `g ⊙ (V x)/‖V‖ + b`: nn/linear.rs. */
function linear(params, name) {
  const w = params[`${name}.w`] ?? params[`${name}.v`];
  const r = params[`${name}.r`], b = params[`${name}.b`].data;
  const scale = r && rowNorms(w).map((norm, i) => r.data[i] / norm);
  return (x) => affine(w, scale, b, x);
}

/** Positive scales and their logarithms, `[s, ln s]`: flows/stabiliser.rs. */
const stabilisers = {
  exp: (a) => [Math.exp(a) + 0.001, Math.log(Math.exp(a) + 0.001)],
  tanh: (a) => [Math.exp(2 * Math.tanh(a / 2)), 2 * Math.tanh(a / 2)],
  sigmoid: (a) => {
    const s = 1 / (1 + Math.exp(-a - 2)) + 0.001;
    return [s, Math.log(s)];
  },
};

/** `y = s ⊙ x + b`, `s = exp(w) + 0.001`; `ln|det| = Σ ln s`: flows/elementwise.rs. */
function elementwise(params, name) {
  const b = params[`${name}.b`].data;
  const scale = Array.from(params[`${name}.w`].data, stabilisers.exp);
  const lnDet = sum(scale.map(([, lnS]) => lnS));
  return (x) => [x.map((x, i) => scale[i][0] * x + b[i]), lnDet];
}

/**
 * `y₁ = x₁`, `y₂ = s(x₁) ⊙ x₂ + m(x₁)` for `x = (x₁, x₂)` split at `⌊D/2⌋`; `ln|det| = Σ ln s`:
 * flows/coupling.rs. The network of `s` and `m` has one hidden ReLU layer: flows/conditioner.rs.
 */
function coupling(params, name, stabiliser) {
  const [trunk, scale, shift] = ['trunk', 'scale', 'shift']
    .map((part) => linear(params, `${name}.${part}`));
  return (x) => {
    const half = Math.floor(x.length / 2), y = Float64Array.from(x);
    const hidden = trunk(x.subarray(0, half)).map((h) => Math.max(h, 0));
    const a = scale(hidden), m = shift(hidden);
    let lnDet = 0;
    for (let i = half; i < x.length; i++) {
      const [s, lnS] = stabilisers[stabiliser](a[i - half]);
      y[i] = s * x[i] + m[i - half];
      lnDet += lnS;
    }
    return [y, lnDet];
  };
}

/** `y[i] = x[order[i]]`; `ln|det| = 0`: flows/permutation.rs. */
function permutation(order) {
  return (x) => [Float64Array.from(order, (from) => x[from]), 0];
}

/**
 * The chain of maps of a RealNVP flow over `d` entries, in order. `origin[i]` is the index of the
 * entry of ε that permutations carry to entry `i` of θ.
 */
function chain({ config, params, permutations }, d) {
  params = tensors(params);
  const maps = [];
  const scale = { name: 'elementwise', map: elementwise(params, 'posterior.elementwise') };
  if (config.elementwise === 'first') maps.push(scale);
  let origin = Array.from({ length: d }, (_, i) => i);
  for (let t = 0; t < config.couplings; t++) {
    const order = permutations[`posterior.permutation.${t}`];
    if (order) {
      maps.push({ name: 'permutation', map: permutation(order), order });
      origin = order.map((from) => origin[from]);
    }
    const map = coupling(params, `posterior.coupling.${t}`, config.stabiliser);
    maps.push({ name: `coupling ${t + 1}`, map });
  }
  if (config.elementwise === 'last') maps.push(scale);
  return { maps, origin };
}

/** `h(ε) = [θ, ln|det ∂h/∂ε|]`: flows/chain.rs. */
function forwardAndLnDet(maps, eps) {
  return maps.reduce(([x, total], { map }) => {
    const [y, lnDet] = map(x);
    return [y, total + lnDet];
  }, [eps, 0]);
}
