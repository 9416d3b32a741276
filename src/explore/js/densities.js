// Densities, and predictive distributions of a classifier. They mirror autodiff/ops/loss.rs,
// bayes/prior.rs, bayes/likelihood.rs and predict/predictive.rs.
'use strict';

const HALF_LN_2PI = 0.5 * Math.log(2 * Math.PI);

/** `ln N(x; 0, I) = −½ Σ x² − (D/2) ln 2π`, which is also the prior `ln p(θ)`. */
function standardNormalLogProb(x) {
  return -0.5 * dot(x, x) - x.length * HALF_LN_2PI;
}

/** `ln N(y; f, 1/τ) = ½ ln τ − ½ ln 2π − ½ τ (y − f)²`. */
function normalLogProb(y, f, precision) {
  return 0.5 * Math.log(precision) - HALF_LN_2PI - 0.5 * precision * (y - f) ** 2;
}

/** `[softmax(x), H[softmax(x)]]` of logits: `p = eˣ⁻ᵐ/Z`, `H = ln Z − Σ p (x − m)`. */
function softmax(x) {
  const m = Math.max(...x), e = Array.from(x, (x) => Math.exp(x - m)), z = sum(e);
  const p = e.map((e) => e / z);
  return [p, Math.log(z) - sum(p.map((p, c) => (p > 0 ? p * (x[c] - m) : 0)))];
}

/**
 * The predictions from the logits of each sample `[S][K]`: the mean `p̄`, its entropy `H[p̄]`, the
 * information `I[y; θ] = H[p̄] − mean H[pₛ]` (BALD), and each sample's vote.
 */
function classes(logits) {
  const each = logits.map(softmax);
  const p = Array.from(logits[0], (_, c) => sum(each.map(([p]) => p[c])) / each.length);
  const entropy = -sum(p.map((p) => (p > 0 ? p * Math.log(p) : 0)));
  const conditional = sum(each.map(([, h]) => h)) / each.length;
  const votes = logits.map((x) => x.indexOf(Math.max(...x)));
  return { p, samples: each.map(([p]) => p), entropy, conditional,
    bald: Math.max(entropy - conditional, 0), votes };
}
