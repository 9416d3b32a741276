// The function that a draw of θ makes, among others, for each flow; data points can be moved.
'use strict';

const FAN = 40;

/** Draws the functions of posterior `k` of `state.model` into `functions-k`. */
function drawFunctions(state, k) {
  const { model } = state, posterior = model.posteriors[k], truth = model.posteriors.at(-1);
  const plot = frame(`functions-${k}`, {
    x: SEEN, y: [-3.2, 3.2], labels: ['x', 'f(x; θ)'],
    title: `Functions of posterior ${posterior.name}, and data points that can be moved`,
  });
  const line = d3.line((_, g) => plot.x(GRID[g]), (f) => plot.y(f));
  const area = d3.area().x((_, g) => plot.x(GRID[g]))
    .y0(({ mean, std }) => plot.y(mean - 2 * std)).y1(({ mean, std }) => plot.y(mean + 2 * std));
  const w = state.weights[k];
  plot.plane.append('path').attr('class', `band flow-${k}`)
    .attr('d', area(moments(posterior.draws.map(({ f }) => f), w)));
  for (const { f } of fan(posterior.draws, w)) {
    plot.plane.append('path').attr('class', `fan flow-${k}`).attr('d', line(f));
  }
  const exact = moments(truth.draws.map(({ f }) => f), state.weights.at(-1));
  for (const sign of [-2, 2]) {
    plot.plane.append('path').attr('class', 'exact')
      .attr('d', line(exact.map(({ mean, std }) => mean + sign * std)));
  }
  plot.plane.append('path').attr('class', `current flow-${k}`)
    .attr('d', line(model.functions(state.current[k].theta)));
  drawPoints(state, k, plot);
}

/** Some draws, as many of each as its weight says: systematic resampling. */
function fan(draws, w) {
  const chosen = [];
  let total = 0, next = 0.5 / FAN;
  draws.forEach((draw, s) => {
    for (total += w[s]; total > next && chosen.length < FAN; next += 1 / FAN) chosen.push(draw);
  });
  return chosen;
}

/** The data points, moved by the pointer or by arrow keys. */
function drawPoints(state, k, plot) {
  const { x, y } = state, clamp = ([low, high], v) => Math.min(Math.max(v, low), high);
  const move = (n, px, py) => {
    x[n] = clamp([-3.9, 3.9], px);
    y[n] = clamp([-3.1, 3.1], py);
    state.focus = `point-${k}-${n}`;
    state.movedPoint();
  };
  const at = (n) => `translate(${plot.x(x[n])},${plot.y(y[n])})`;
  const isMoved = (n) => x[n] !== state.model.x[n] || y[n] !== state.model.y[n];
  const points = plot.top.selectAll('g').data(x.map((_, n) => n)).join('g')
    .attr('class', (n) => (isMoved(n) ? 'point moved' : 'point')).attr('transform', at)
    .attr('id', (n) => `point-${k}-${n}`).attr('tabindex', 0).attr('role', 'button')
    .attr('aria-label', (n) => `Point ${n + 1} of ${x.length}: x = ${number(x[n])}, `
      + `y = ${number(y[n])}. Arrow keys move it.`);
  points.append('circle').attr('class', 'reach').attr('r', 14);
  points.append('circle').attr('r', 4.5);
  points.on('keydown', (event, n) => {
    const step = event.shiftKey ? 0.5 : 0.1;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step],
      ArrowDown: [0, -step] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(n, x[n] + by[0], y[n] + by[1]);
  });
  // Plots are redrawn while a point moves, so the window listens until the pointer is released.
  points.on('pointerdown', (event, n) => {
    event.preventDefault();
    const svg = plot.svg.node();
    const drag = (event) => {
      const [px, py] = d3.pointer(event, svg);
      move(n, plot.x.invert(px), plot.y.invert(py));
    };
    const stop = () => {
      window.removeEventListener('pointermove', drag);
      window.removeEventListener('pointerup', stop);
      window.removeEventListener('pointercancel', stop);
    };
    window.addEventListener('pointermove', drag);
    window.addEventListener('pointerup', stop);
    window.addEventListener('pointercancel', stop);
    move(n, x[n], y[n]);
  });
}
