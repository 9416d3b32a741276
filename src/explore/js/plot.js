// What all plots share: a frame with axes, and small helpers for the document.
'use strict';

const byId = (id) => document.getElementById(id);

/** Sets the text of an element, if it differs: screen readers announce changes. */
function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

/**
 * An SVG of `width × height` in the element `id` with linear axes over `x` and `y`. `clear()`
 * empties it; `plane` takes marks and is clipped.
 */
function frame(id, { width = 460, height = 290, x, y, labels = ['', ''], title }) {
  const margin = { top: 10, right: 12, bottom: 40, left: 60 };
  const svg = d3.select(byId(id)).selectAll('svg').data([null]).join('svg')
    .attr('viewBox', `0 0 ${width} ${height}`).attr('role', 'group').attr('aria-label', title);
  svg.selectAll('g, clipPath').remove();
  const scaleX = d3.scaleLinear(x, [margin.left, width - margin.right]);
  const scaleY = d3.scaleLinear(y, [height - margin.bottom, margin.top]);
  svg.append('clipPath').attr('id', `${id}-clip`).append('rect')
    .attr('x', margin.left).attr('y', margin.top)
    .attr('width', width - margin.left - margin.right)
    .attr('height', height - margin.top - margin.bottom);
  const axis = (axis, at) => svg.append('g').attr('class', 'axis').attr('transform', at).call(axis);
  axis(d3.axisBottom(scaleX).ticks(6).tickSizeOuter(0), `translate(0,${height - margin.bottom})`);
  axis(d3.axisLeft(scaleY).ticks(6).tickSizeOuter(0), `translate(${margin.left},0)`);
  const label = (text, transform) => svg.append('g').append('text').attr('class', 'label')
    .attr('text-anchor', 'middle').attr('transform', transform).text(text);
  label(labels[0], `translate(${(margin.left + width - margin.right) / 2},${height - 6})`);
  label(labels[1], `translate(13,${(margin.top + height - margin.bottom) / 2}) rotate(-90)`);
  const plane = svg.append('g').attr('clip-path', `url(#${id}-clip)`);
  const top = svg.append('g');
  return { svg, plane, top, x: scaleX, y: scaleY, width, height, margin };
}

/** Options of a `select`. */
function options(id, texts, chosen) {
  d3.select(byId(id)).selectAll('option').data(texts).join('option')
    .attr('value', (_, i) => i).text((text) => text);
  byId(id).value = chosen;
}

/** The domain of values, with a margin. */
function domain(values) {
  const [low, high] = d3.extent(values), margin = 0.06 * (high - low || 1);
  return [low - margin, high + margin];
}
