// The state of the first panel, and its controls.
'use strict';

const STAGES_PER_SECOND = 1.4;

/** Starts the panel of regressions. */
function startRegression(sets) {
  const models = [], normal = generator(2);
  const state = { stage: 0 };
  const flows = [0, 1];

  const choose = (set) => {
    models[set] ??= regression(sets[set]);
    const { x, y, pair, net } = models[set];
    Object.assign(state, { set, model: models[set], x: [...x], y: [...y], pair: [...pair] });
    state.noise = new Float64Array(net.dim);
    const names = Array.from({ length: net.dim }, (_, i) => scaleName(state.model, i));
    ['first', 'second'].forEach((id, n) => options(id, names, pair[n]));
    say('about-set', `${state.model.about} ${x.length} examples.`);
    byId('stage').max = stages(state.model.posteriors[1]).length - 1;
    const { rhat, ess } = sets[set].truth;
    byId('exact').textContent = `NUTS, ${state.model.posteriors[2].draws.length} draws: largest `
      + `R̂ ${rhat?.toFixed(2)}, smallest effective sample size ${ess?.toFixed(0)} over the `
      + `${net.dim} scales.${rhat < 1.1 ? '' : ' The chains have not mixed: take them as rough.'}`;
    state.movedPoint();
    state.movedNoise();
  };

  /** After a point has moved: weights, bands and densities. */
  state.movedPoint = () => {
    const { model, x, y } = state;
    state.weights = model.posteriors.map(({ draws }) => weights(model, draws, x, y));
    state.weights.forEach((w, k) => {
      const ess = effectiveSampleSize(w), isEnough = ess >= 0.1 * w.length;
      const advice = 'Too few draws agree with the moved points: do not trust this band. '
        + 'Put points back, or train on the new data.';
      say(`ess-${k}`, `${isEnough ? '' : `⚠ ${advice} `}Effective sample size `
        + `${ess.toFixed(0)} of ${w.length} draws.`);
      byId(`ess-${k}`).classList.toggle('warning', !isEnough);
      byId(`scales-${k}`).classList.toggle('unreliable', !isEnough);
      byId(`functions-${k}`)?.classList.toggle('unreliable', !isEnough);
    });
    if (state.current) draw();
  };

  /** After ε has moved: θ, the functions and the grids. */
  state.movedNoise = () => {
    state.current = flows.map((k) => state.model.posteriors[k].draw(state.noise));
    ['first', 'second'].forEach((id, n) => {
      const value = state.noise[state.pair[n]];
      byId(`${id}-value`).value = value;
      say(`${id}-output`, number(value));
    });
    draw();
  };

  const draw = () => {
    flows.forEach((k) => {
      drawFunctions(state, k);
      drawGrid(state, k);
    });
    [0, 1, 2].forEach((k) => drawScales(state, k));
    drawEntries(state);
    drawTable(state);
    if (state.focus) byId(state.focus)?.focus({ preventScroll: true });
    state.focus = null;
  };

  const drawnAgain = () => {
    state.noise = noise(state.model.net.dim, normal);
    state.movedNoise();
  };
  const centre = () => {
    state.noise = new Float64Array(state.model.net.dim);
    state.movedNoise();
  };
  ['first', 'second'].forEach((id, n) => {
    byId(id).addEventListener('change', ({ target }) => {
      state.pair[n] = Number(target.value);
      state.movedNoise();
    });
    byId(`${id}-value`).addEventListener('input', ({ target }) => {
      state.noise[state.pair[n]] = Number(target.value);
      state.movedNoise();
    });
  });
  const setStage = (stage) => {
    state.stage = stage;
    byId('stage').value = stage;
    say('stage-output', String(stage));
    flows.forEach((k) => drawGrid(state, k));
  };
  let playing = null;
  const play = () => {
    if (playing) {
      clearInterval(playing);
      playing = null;
    } else {
      const last = Number(byId('stage').max);
      if (state.stage === last) setStage(0);
      playing = setInterval(() => {
        setStage(state.stage + 1);
        if (state.stage === last) play();
      }, 1000 / STAGES_PER_SECOND);
    }
    say('play', playing ? 'Pause' : 'Play');
  };
  options('set', sets.map(({ name }) => name), 0);
  byId('set').addEventListener('change', ({ target }) => choose(Number(target.value)));
  byId('draw').addEventListener('click', drawnAgain);
  byId('centre').addEventListener('click', centre);
  byId('restore').addEventListener('click', () => choose(state.set));
  byId('stage').addEventListener('input', ({ target }) => setStage(Number(target.value)));
  byId('play').addEventListener('click', play);
  choose(0);
  drawnAgain();
  return state;
}

/** The densities of the present draw, in nats. */
function drawTable({ model, current, x, y }) {
  const bound = current.map(({ theta, logQ, logPrior }) => {
    const likelihood = logLikelihood(model, theta, x, y);
    return { likelihood, ratio: likelihood + logPrior - logQ };
  });
  const cells = [
    ['ln N(ε; 0, I), the base density', (d) => d.logBase],
    ['ln|det ∂h/∂ε|, how much h expands volume', (d) => d.lnDet],
    ['ln q(θ) = the first − the second', (d) => d.logQ],
    ['ln p(θ), the prior', (d) => d.logPrior],
    ['ln p(D|θ), the likelihood', (_, k) => bound[k].likelihood],
    ['ln p(D, θ) − ln q(θ)', (_, k) => bound[k].ratio],
  ];
  d3.select(byId('densities')).selectAll('tr').data(cells).join('tr').selectAll('th, td')
    .data(([name, of]) => [name, ...current.map((d, k) => number(of(d, k)))])
    .join((enter) => enter.append((_, i) => document.createElement(i === 0 ? 'th' : 'td')))
    .attr('scope', (_, i) => (i === 0 ? 'row' : null)).text((text) => text);
  const elbo = current.map((_, k) => model.posteriors[k].elbo);
  say('elbo', elbo.map(([value, error], k) => `${model.posteriors[k].name}: `
    + `${number(value)} ± ${error.toFixed(2)} nats`).join('; ') + '.');
}
