// The tape of one training step as a graph that is walked forward, and backward with gradients.
'use strict';

const NODE = { width: 124, height: 40 }, PARTS = ['hypernet', 'network', 'bound'];

/** Starts the panel of the tape. */
function startTape(steps) {
  const state = { at: 0 };
  const names = steps.map(({ couplings, nodes }) => `T = ${couplings}, ${nodes.length} nodes`);
  options('tape-set', names, 1);

  const go = (at, moves = true) => {
    const last = 2 * state.step.nodes.length - 1;
    state.at = Math.min(Math.max(at, 0), last);
    byId('tape-at').value = state.at;
    showTape(state, moves);
  };
  /** Forward steps come first: step `id` computes node `id`; step `2n − 1 − id` calls its rule. */
  state.select = (id) => go(isBackward(state) ? 2 * state.step.nodes.length - 1 - id : id, false);
  const choose = (index) => {
    state.step = steps[index];
    byId('tape-at').max = 2 * state.step.nodes.length - 1;
    layOut(state);
    zoom();
    go(0);
  };
  const zoom = () => {
    const scale = Number(byId('tape-zoom').value);
    d3.select('#tape-graph svg').attr('width', state.size[0] * scale)
      .attr('height', state.size[1] * scale);
    if (state.nodes) reveal(byId('tape-graph'), state.nodes.nodes()[present(state)]);
  };
  byId('tape-zoom').addEventListener('input', zoom);
  const turn = () => state.step.nodes.length;
  byId('tape-set').addEventListener('change', ({ target }) => choose(Number(target.value)));
  byId('tape-at').addEventListener('input', ({ target }) => go(Number(target.value)));
  const buttons = { first: () => 0, previous: () => state.at - 1, next: () => state.at + 1,
    loss: () => turn() - 1, last: () => 2 * turn() - 1 };
  for (const [name, at] of Object.entries(buttons)) {
    byId(`tape-${name}`).addEventListener('click', () => go(at()));
  }
  byId('tape-graph').addEventListener('keydown', (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    go(state.at + by);
    byId('tape-graph').querySelector('[tabindex="0"]').focus({ preventScroll: true });
  });
  choose(1);
  return { go, state };
}

const isBackward = ({ at, step }) => at >= step.nodes.length;

/** The node of the present step. */
function present({ at, step }) {
  const n = step.nodes.length;
  return at < n ? at : 2 * n - 1 - at;
}

/** Draws the graph of the tape, laid out by dagre. */
function layOut(state) {
  const { nodes } = state.step;
  const graph = new dagre.graphlib.Graph({ compound: true });
  graph.setGraph({ nodesep: 14, ranksep: 26 }).setDefaultEdgeLabel(() => ({}));
  PARTS.forEach((part) => graph.setNode(part, {}));
  nodes.forEach(({ part }, id) => graph.setNode(id, { ...NODE }).setParent(id, part));
  nodes.forEach(({ parents }, id) => {
    for (const parent of new Set(parents)) graph.setEdge(parent, id);
  });
  dagre.layout(graph);
  const { width, height } = graph.graph();
  state.size = [width + 20, height + 20];
  const svg = d3.select(byId('tape-graph')).selectAll('svg').data([null]).join('svg')
    .attr('viewBox', `-10 -10 ${width + 20} ${height + 20}`);
  svg.selectAll('*').remove();
  const clusters = svg.append('g').selectAll('g').data(PARTS).join('g')
    .attr('class', (part) => `cluster ${part}`)
    .attr('transform', (part) => `translate(${graph.node(part).x},${graph.node(part).y})`);
  const half = (part, side) => graph.node(part)[side] / 2;
  clusters.append('rect').attr('rx', 8)
    .attr('x', (part) => -half(part, 'width')).attr('width', (part) => 2 * half(part, 'width'))
    .attr('y', (part) => -half(part, 'height')).attr('height', (part) => 2 * half(part, 'height'));
  clusters.append('text').text((part) => part).attr('x', (part) => 12 - half(part, 'width'))
    .attr('y', (part) => 28 - half(part, 'height'));
  const line = d3.line(({ x }) => x, ({ y }) => y).curve(d3.curveBasis);
  const edges = graph.edges().map(({ v, w }) => ({ from: Number(v), to: Number(w),
    points: graph.edge(v, w).points }));
  state.edges = svg.append('g').selectAll('path').data(edges).join('path')
    .attr('d', ({ points }) => line(points));
  state.nodes = svg.append('g').selectAll('g').data(nodes).join('g').attr('role', 'button')
    .attr('transform', (_, id) => `translate(${graph.node(id).x},${graph.node(id).y})`)
    .attr('aria-label', (node, id) => `Node ${id}, ${node.op}, ${shape(node)}, ${node.part}`)
    .on('click', (event, node) => state.select(nodes.indexOf(node)));
  state.nodes.append('rect').attr('x', -NODE.width / 2).attr('y', -NODE.height / 2).attr('rx', 5)
    .attr('width', NODE.width).attr('height', NODE.height);
  state.nodes.append('text').attr('y', -4).text((node, id) => `${id} ${shortened(node.op)}`);
  state.nodes.append('text').attr('class', 'shape').attr('y', 12).text(shape);
}

const shape = ({ shape }) => (shape.length ? `[${shape.join(', ')}]` : 'scalar');

/** The names of parameters are long: their first parts are known from the colour. */
function shortened(op) {
  const name = op.replace(/^(posterior|primary)\./, '').replace(/^coupling\./, 'c');
  return name.length > 16 ? `${name.slice(0, 15)}…` : name;
}

/** Colours the graph by the present step, and describes it. */
function showTape(state, moves) {
  const { nodes } = state.step, n = nodes.length, at = present(state), back = isBackward(state);
  // Backward, the gradient of a node is complete once all nodes after it have been visited.
  const isDone = (id) => (back ? true : id <= at);
  const hasArrived = (id) => back && id >= at && nodes[id].gradient !== null;
  const parents = new Set(nodes[at].parents);
  state.nodes.attr('class', (node, id) => ['node', node.part,
    isDone(id) ? 'done' : 'later', hasArrived(id) ? 'arrived' : '', id === at ? 'at' : '',
    parents.has(id) ? 'input' : ''].join(' '))
    .attr('tabindex', (_, id) => (id === at ? 0 : -1));
  state.edges.attr('class', ({ from, to }) => {
    const flows = nodes[from].gradient !== null && nodes[to].gradient !== null;
    if (to === at) return back && !flows ? 'edge' : `edge now${back ? ' back' : ''}`;
    if (back) return to > at && flows ? 'edge back' : 'edge';
    return to < at ? 'edge done' : 'edge';
  });
  if (moves) reveal(byId('tape-graph'), state.nodes.nodes()[at]);
  say('tape-output', back ? `backward, ${2 * n - state.at} of ${n} nodes left`
    : `forward, node ${at} of ${n - 1}`);
  describeNode(state, at, back);
}

/** Scrolls `box` so that `element` is near its middle; the page does not move. */
function reveal(box, element) {
  const [outer, inner] = [box, element].map((e) => e.getBoundingClientRect());
  box.scrollBy({ left: inner.x + inner.width / 2 - outer.x - outer.width / 2,
    top: inner.y + inner.height / 2 - outer.y - outer.height / 2 });
}

/** The text beside the graph. */
function describeNode(state, at, back) {
  const { nodes, ops } = state.step, node = nodes[at], { op, parents, gradient } = node;
  const children = nodes.filter((other) => other.parents.includes(at)).length;
  const documented = ops[op] ?? null;
  const kind = documented ? documented.about.replaceAll('`', '')
    : gradient === null ? 'A constant, such as data or noise: no gradient flows to it.'
      : 'A parameter. Its gradient goes to the optimiser.';
  const values = (all) => all.map(number).join(', ')
    + (node.shape.reduce((a, b) => a * b, 1) > all.length ? ', …' : '');
  const facts = [
    ['node', `${at}: ${op}`],
    ['part', node.part],
    ['inputs', parents.map((id) => `${id} ${nodes[id].op}`).join(', ') || 'none'],
    ['value', `${shape(node)}: ${values(node.value)}`],
    ['what it does', kind],
    ['defined in', documented?.place ?? (gradient === null ? 'src/autodiff/tape.rs, constant'
      : 'src/nn/params.rs, bind')],
  ];
  const from = `${children} later ${children === 1 ? 'node' : 'nodes'}`;
  if (back && gradient) {
    facts.push(['dy, its gradient', values(gradient)],
      ['it came from', at === nodes.length - 1 ? 'the start: dL/dL = 1' : `${from}, summed`]);
    const wanted = parents.filter((id) => nodes[id].gradient !== null);
    facts.push(['now', wanted.length
      ? `the rule adds to the gradients of ${[...new Set(wanted)].join(', ')}`
      : 'it stays here: a leaf']);
  } else if (back) {
    facts.push(['dy, its gradient', 'none: no gradient flows to a constant']);
  }
  d3.select(byId('tape-facts')).selectAll('tr').data(facts).join('tr').selectAll('th, td')
    .data((fact) => fact)
    .join((enter) => enter.append((_, i) => document.createElement(i === 0 ? 'th' : 'td')))
    .attr('scope', (_, i) => (i === 0 ? 'row' : null)).text((text) => text);
}
