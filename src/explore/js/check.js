// Compares the page's numbers with those that the program computed.
'use strict';

/** The largest difference, relative to the largest number of the program. */
function difference(found, expected) {
  const size = Math.max(...expected.map(Math.abs), 1e-6);
  return Math.max(...expected.map((value, i) => Math.abs(found[i] - value))) / size;
}

/**
 * `[{ name, error }]` for every quantity of every posterior and of the classifier. A missing or
 * infinite number has the error NaN or infinity.
 */
function check({ regressions, classifier: images }) {
  const found = [];
  const add = (name, numbers, expected) => {
    found.push({ name, error: difference([...numbers], expected) });
  };
  for (const set of regressions) {
    const net = network(set.layers, set.primary), model = { ...set, net };
    for (const flow of set.flows) {
      const { maps } = chain(flow, net.dim), { check } = flow;
      const name = `${set.name}, T = ${flow.config.couplings}`;
      const each = rows(tensor(check.eps)).map((eps) => {
        const [theta, lnDet] = forwardAndLnDet(maps, Float64Array.from(eps));
        return { theta, logQ: standardNormalLogProb(eps) - lnDet };
      });
      const of = (f) => each.map(f);
      add(`${name}: θ`, of(({ theta }) => [...theta]).flat(), check.theta);
      add(`${name}: ln q(θ)`, of(({ logQ }) => logQ), check.log_q);
      add(`${name}: ln p(θ)`, of(({ theta }) => standardNormalLogProb(theta)), check.log_prior);
      add(`${name}: ln p(D|θ)`, of(({ theta }) => logLikelihood(model, theta, set.x, set.y)),
        check.log_likelihood);
      add(`${name}: f(x)`, of(({ theta }) => check.x.map((x) => evaluate(net, theta, x))).flat(),
        check.f);
    }
  }
  if (images) {
    const model = classifier(images), each = model.images.map(model.predict);
    add('classifier: p', each.flatMap(({ p }) => p), images.check.p);
    add('classifier: entropy', each.map(({ entropy }) => entropy), images.check.entropy);
    add('classifier: BALD', each.map(({ bald }) => bald), images.check.bald);
  }
  return found;
}
