// A trained regression of the page's data: its flows, draws from them and from NUTS, and the
// weights of the draws after a data point was moved.
'use strict';

/** Draws of each posterior, and the inputs at which functions are drawn. */
const DRAWS = 400, SEEN = [-4, 4];
const GRID = Array.from({ length: 81 }, (_, g) => SEEN[0] + ((SEEN[1] - SEEN[0]) * g) / 80);

/** The regression `set` of the data, as functions. */
function regression(set) {
  const net = network(set.layers, set.primary);
  const products = GRID.map((x) => net.firstProduct([x]));
  const functions = (theta) => products.map((product) => net.forward(theta, product)[0]);
  const normal = generator(1);
  const all = Array.from({ length: DRAWS }, () => noise(net.dim, normal));
  const posteriors = set.flows.map((flow) => {
    const { maps, origin } = chain(flow, net.dim);
    // Noise is indexed by the entry of θ that it becomes, so that flows can be compared.
    const order = origin.map((_, k) => origin.indexOf(k));
    const draw = (noise) => pushed(maps, order, noise);
    const draws = all.map(draw);
    return { name: `T = ${flow.config.couplings}`, maps, origin, draw, draws, elbo: flow.elbo };
  });
  const truth = rows(tensor(set.truth.theta)).map((theta) => ({ theta }));
  posteriors.push({ name: 'NUTS', draws: truth, isTruth: true });
  for (const posterior of posteriors) {
    for (const draw of posterior.draws) draw.f = functions(draw.theta);
  }
  return { ...set, net, functions, posteriors, pair: strongest(truth.map(({ theta }) => theta)) };
}

/** The sample of a flow at `noise`, and its densities. */
function pushed(maps, order, noise) {
  const eps = Float64Array.from(order, (i) => noise[i]);
  const [theta, lnDet] = forwardAndLnDet(maps, eps);
  const logBase = standardNormalLogProb(eps);
  const logPrior = standardNormalLogProb(theta);
  return { eps, theta, lnDet, logBase, logQ: logBase - lnDet, logPrior };
}

/** `ln p(D|θ)` for the examples `x`, `y`. */
function logLikelihood({ net, precision }, theta, x, y) {
  return sum(x.map((x, n) => normalLogProb(y[n], evaluate(net, theta, x), precision)));
}

/**
 * Importance weights of the draws after examples have moved from the data of training to `x`, `y`:
 * `w ∝ p(D'|θ)/p(D|θ)`. Draws from p(θ|D) with these weights are draws from p(θ|D').
 */
function weights(model, draws, x, y) {
  const moved = x.map((_, n) => n).filter((n) => x[n] !== model.x[n] || y[n] !== model.y[n]);
  const at = (v) => moved.map((n) => v[n]);
  const logRatio = ({ theta }) => logLikelihood(model, theta, at(x), at(y))
    - logLikelihood(model, theta, at(model.x), at(model.y));
  return normalised(draws.map(logRatio));
}

/** The two entries of θ with the strongest correlation. */
function strongest(theta) {
  const d = theta[0].length, n = theta.length;
  const columns = Array.from({ length: d }, (_, i) => {
    const column = theta.map((theta) => theta[i]), mean = sum(column) / n;
    const centred = column.map((x) => x - mean), norm = Math.sqrt(dot(centred, centred));
    return centred.map((x) => x / norm);
  });
  let best = [0, 1], most = 0;
  for (let i = 0; i < d; i++) {
    for (let j = i + 1; j < d; j++) {
      const size = Math.abs(dot(columns[i], columns[j]));
      if (size > most) [best, most] = [[i, j], size];
    }
  }
  return best;
}
