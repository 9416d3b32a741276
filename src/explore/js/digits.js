// A classifier of images: draw one, and see what the posterior samples say.
'use strict';

/** The classifier of the data, as functions. */
function classifier(data) {
  const net = network(data.layers, data.primary), theta = rows(tensor(data.theta));
  /** The predictions for pixels `[H·W]`, and those of each sample. */
  const predict = (x) => {
    const product = net.firstProduct(x);
    return classes(theta.map((theta) => net.forward(theta, product)));
  };
  return { ...data, predict, images: rows(tensor(data.x)), samples: theta.length };
}

/** Starts the panel of the classifier. */
function startDigits(data) {
  const model = classifier(data), [height, width] = model.image, [black, white] = model.ink;
  const canvas = byId('digit'), size = 14 * Math.max(1, Math.round(20 / Math.max(height, width)));
  canvas.width = width * size;
  canvas.height = height * size;
  const state = { x: new Float64Array(height * width).fill(black), cursor: null, model };
  const show = () => {
    paint(canvas, state, model);
    state.found = model.predict(state.x);
    showClasses(model, state.found);
  };
  state.set = (x) => {
    state.x = Float64Array.from(x);
    show();
  };
  /** Adds ink around `(px, py)`, in pixels of the image. */
  const ink = (px, py) => {
    const radius = height / 18;
    for (let i = 0; i < height * width; i++) {
      const away = Math.hypot((i % width) + 0.5 - px, Math.floor(i / width) + 0.5 - py);
      const amount = Math.min(Math.max(1.15 - (away - radius * 0.4) / radius, 0), 1);
      state.x[i] = Math.max(state.x[i], black + amount * (white - black));
    }
    show();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.x) / box.width) * width,
      ((event.clientY - box.y) / box.height) * height];
  };
  canvas.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    state.cursor = null;
    ink(...place(event));
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.buttons) ink(...place(event));
  });
  canvas.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
      ' ': [0, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    const [x, y] = state.cursor ?? [Math.floor(width / 2), Math.floor(height / 2)];
    state.cursor = [Math.min(Math.max(x + by[0], 0), width - 1),
      Math.min(Math.max(y + by[1], 0), height - 1)];
    if (event.key === ' ' || event.shiftKey) ink(state.cursor[0] + 0.5, state.cursor[1] + 0.5);
    else show();
  });
  canvas.addEventListener('blur', () => {
    state.cursor = null;
    show();
  });
  const blank = () => new Float64Array(height * width).fill(black);
  byId('clear').addEventListener('click', () => state.set(blank()));
  byId('centre-digit').addEventListener('click', () => state.set(centred(state.x, model)));
  byId('noise').addEventListener('click', () => {
    const normal = generator(3), size = 0.25 * (white - black);
    state.set(state.x.map((x) => Math.min(Math.max(x + size * normal(), black), white)));
  });
  say('about-digits', `${model.about}; ${model.samples} posterior samples.`);
  showImages(model, state);
  state.set(model.images[0]);
  return state;
}

/** Paints pixels, and the cursor of the keyboard. */
function paint(canvas, { x, cursor }, { image: [height, width], ink: [black, white] }) {
  const context = canvas.getContext('2d'), size = canvas.width / width;
  for (let i = 0; i < height * width; i++) {
    const grey = Math.round((255 * (x[i] - black)) / (white - black));
    context.fillStyle = `rgb(${grey}, ${grey}, ${grey})`;
    context.fillRect((i % width) * size, Math.floor(i / width) * size, size, size);
  }
  if (cursor) {
    context.strokeStyle = '#d9660a';
    context.lineWidth = 3;
    context.strokeRect(cursor[0] * size + 1, cursor[1] * size + 1, size - 2, size - 2);
  }
}

/** The image with its centre of mass moved to the middle, by whole pixels, as MNIST's digits. */
function centred(x, { image: [height, width], ink: [black] }) {
  let mass = 0, mx = 0, my = 0;
  x.forEach((v, i) => {
    mass += v - black;
    mx += (v - black) * ((i % width) + 0.5);
    my += (v - black) * (Math.floor(i / width) + 0.5);
  });
  if (mass === 0) return x;
  const [dx, dy] = [width / 2 - mx / mass, height / 2 - my / mass].map(Math.round);
  return x.map((_, i) => {
    const [px, py] = [(i % width) - dx, Math.floor(i / width) - dy];
    return px >= 0 && px < width && py >= 0 && py < height ? x[py * width + px] : black;
  });
}

/** Buttons with test images. */
function showImages(model, state) {
  const [height, width] = model.image;
  const buttons = d3.select(byId('images')).selectAll('button').data(model.images).join('button')
    .attr('type', 'button')
    .attr('aria-label', (_, i) => `Test image ${i + 1}: ${model.classes[model.labels[i]]}`)
    .on('click', (_, x) => state.set(x));
  buttons.append('canvas').attr('width', width * 2).attr('height', height * 2).each(function (x) {
    paint(this, { x, cursor: null }, model);
  });
}

/** The votes, mean probabilities and uncertainties. */
function showClasses({ classes: names, samples }, { p, samples: each, votes, entropy, bald,
  conditional }) {
  const count = names.map((_, c) => votes.filter((vote) => vote === c).length);
  const bars = d3.select(byId('classes')).selectAll('tr')
    .data(names.map((name, c) => ({ name, c }))).join((enter) => {
      const row = enter.append('tr');
      row.append('th').attr('scope', 'row').text(({ name }) => name);
      const cell = row.append('td').attr('class', 'bar');
      const svg = cell.append('svg').attr('viewBox', '0 0 200 18')
        .attr('preserveAspectRatio', 'none').attr('aria-hidden', 'true');
      svg.append('rect').attr('class', 'mean').attr('height', 18);
      svg.append('g');
      row.append('td').attr('class', 'p');
      row.append('td').attr('class', 'votes');
      return row;
    });
  bars.select('rect').attr('width', ({ c }) => 200 * p[c]);
  bars.select('g').selectAll('line').data(({ c }) => each.map((p) => p[c])).join('line')
    .attr('x1', (p) => 1 + 198 * p).attr('x2', (p) => 1 + 198 * p).attr('y1', 3).attr('y2', 15);
  bars.select('.p').text(({ c }) => p[c].toFixed(3));
  bars.select('.votes').text(({ c }) => `${count[c]} of ${samples}`);
  const best = p.indexOf(Math.max(...p));
  bars.classed('best', ({ c }) => c === best);
  say('verdict', `${names[best]} with probability ${p[best].toFixed(3)}; `
    + `${count[best]} of ${samples} samples vote for it.`);
  say('entropy', entropy.toFixed(4));
  say('aleatoric', conditional.toFixed(4));
  say('bald', bald.toFixed(4));
}
