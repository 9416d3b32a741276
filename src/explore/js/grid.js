// A grid in two entries of ε, pushed through the maps of a flow one after another.
'use strict';

const LINES = d3.range(-2.5, 2.51, 0.5), ALONG = d3.range(-2.5, 2.51, 0.1);

/**
 * The stages of a flow: after how many maps each ends, and its name. A permutation belongs to the
 * coupling that follows it.
 */
function stages({ maps }) {
  const found = [{ end: 0, name: 'the noise ε' }];
  maps.forEach(({ name }, m) => {
    if (name === 'permutation') return;
    found.push({ end: m + 1, name: m + 1 === maps.length ? `${name}: θ` : name });
  });
  return found;
}

/** Where entry `i` of θ is after the first `end` maps. */
function whereabouts({ maps, origin }, i, end) {
  return maps.slice(0, end).reduce((at, { order }) => (order ? order.indexOf(at) : at), origin[i]);
}

/** Draws the grid of posterior `k` at stage `state.stage` into `grid-k`. */
function drawGrid(state, k) {
  const { model, pair } = state, flow = model.posteriors[k], all = stages(flow);
  const stage = Math.min(state.stage, all.length - 1), { end, name } = all[stage];
  const maps = flow.maps.slice(0, end), eps = state.current[k].eps;
  const [from, to] = [0, end].map((end) => pair.map((i) => whereabouts(flow, i, end)));
  const push = (eps) => {
    const [y] = forwardAndLnDet(maps, eps);
    return to.map((i) => y[i]);
  };
  const at = (a, b) => {
    const moved = Float64Array.from(eps);
    [moved[from[0]], moved[from[1]]] = [a, b];
    return push(moved);
  };
  const lines = [
    ...LINES.map((a) => ({ axis: 0, points: ALONG.map((b) => at(a, b)) })),
    ...LINES.map((b) => ({ axis: 1, points: ALONG.map((a) => at(a, b)) })),
  ];
  const cloud = flow.draws.slice(0, 200).map(({ eps }) => push(eps)), here = push(eps);
  const seen = [...lines.flatMap(({ points }) => points), ...cloud];
  const plot = frame(`grid-${k}`, {
    height: 340, x: domain(seen.map((p) => p[0])), y: domain(seen.map((p) => p[1])),
    labels: pair.map((i) => (stage === 0 ? 'ε' : stage === all.length - 1 ? 'θ' : 'on the way to θ')
      + (i + 1)),
    title: `A grid in two entries of ε after ${name}, ${flow.name}`,
  });
  const line = d3.line((p) => plot.x(p[0]), (p) => plot.y(p[1]));
  plot.plane.selectAll('circle').data(cloud).join('circle').attr('class', 'cloud').attr('r', 1.6)
    .attr('cx', (p) => plot.x(p[0])).attr('cy', (p) => plot.y(p[1]));
  plot.plane.selectAll('path').data(lines).join('path')
    .attr('class', ({ axis }) => `mesh mesh-${axis}`).attr('d', ({ points }) => line(points));
  plot.plane.append('circle').attr('class', 'here').attr('r', 6)
    .attr('cx', plot.x(here[0])).attr('cy', plot.y(here[1]));
  say(`stage-${k}`, `${flow.name}, after ${stage} of ${all.length - 1}: ${name}. `
    + moves(state, maps, to));
}

/** What the last of `maps` does to the chosen entries. */
function moves({ pair, model }, maps, to) {
  const last = maps.at(-1);
  if (!last) return 'The grid is straight, and the dots are draws from N(0, I).';
  if (last.name === 'elementwise') return 'It scales and shifts each axis on its own.';
  const half = Math.floor(model.net.dim / 2);
  return pair.map((i, n) => `Entry ${i + 1} ${to[n] < half
    ? 'is in the first half: it passes unchanged.'
    : 'is in the second half: it is scaled and shifted by a function of the first half.'}`)
    .join(' ');
}
