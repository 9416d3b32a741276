// The density of the pushforward: two scales of many draws, with contours.
'use strict';

/** Draws the chosen pair of scales of posterior `k` into `scales-k`, with one domain for all. */
function drawScales(state, k) {
  const { model, pair: [i, j] } = state, posterior = model.posteriors[k];
  const all = model.posteriors.flatMap(({ draws }) => draws);
  const plot = frame(`scales-${k}`, {
    width: 320, height: 290, labels: [scaleName(model, i), scaleName(model, j)],
    x: domain(all.map(({ theta }) => theta[i])), y: domain(all.map(({ theta }) => theta[j])),
    title: `Draws of two scales from posterior ${posterior.name}`,
  });
  const w = state.weights[k], most = Math.max(...w);
  const points = posterior.draws.map(({ theta }, s) => [theta[i], theta[j], w[s]]);
  plot.plane.selectAll('circle').data(points).join('circle').attr('class', `dot flow-${k}`)
    .attr('r', 2).attr('cx', (p) => plot.x(p[0])).attr('cy', (p) => plot.y(p[1]))
    .attr('opacity', (p) => 0.1 + 0.5 * (p[2] / most));
  const density = d3.contourDensity().x((p) => plot.x(p[0])).y((p) => plot.y(p[1]))
    .weight((p) => p[2]).size([plot.width, plot.height]).bandwidth(14).thresholds(6);
  plot.plane.selectAll('path').data(density(points)).join('path')
    .attr('class', `contour flow-${k}`).attr('d', d3.geoPath());
  const current = state.current[k];
  if (current) {
    plot.plane.append('circle').attr('class', 'here').attr('r', 6)
      .attr('cx', plot.x(current.theta[i])).attr('cy', plot.y(current.theta[j]));
  }
}

/** The name of entry `i` of θ. */
function scaleName(model, i) {
  const { layer, unit } = model.net.place(i);
  return `θ${i + 1}: layer ${layer}, unit ${unit}`;
}

/** Draws all entries of ε and θ into `entries`. */
function drawEntries(state) {
  const { model, noise, current } = state, d = model.net.dim;
  const values = [...noise, ...current.flatMap(({ theta }) => [...theta])];
  const plot = frame('entries', {
    width: 940, height: 250, x: [0, d + 1], y: domain([...values, -3, 3]),
    labels: ['entry of ε and of the scales θ', 'value'],
    title: 'All entries of the noise and of the scales that it becomes',
  });
  const dots = (values, name, dx) => plot.plane.append('g').selectAll('path')
    .data(Array.from(values)).join('path').attr('class', name)
    .attr('d', d3.symbol(name === 'noise' ? d3.symbolCross : d3.symbolCircle, 34))
    .attr('transform', (v, i) => `translate(${plot.x(i + 1) + dx},${plot.y(v)})`);
  plot.plane.selectAll('rect').data(state.pair).join('rect').attr('class', 'chosen')
    .attr('x', (i) => plot.x(i + 0.5)).attr('width', plot.x(1) - plot.x(0))
    .attr('y', 0).attr('height', plot.height);
  dots(noise, 'noise', -6);
  current.forEach(({ theta }, k) => dots(theta, `solid flow-${k}`, 6 * k));
}
