// Arrays, random numbers and statistics.
'use strict';

/** The tensor of an `Array` of export.rs: base64 of little-endian f32. */
function tensor({ shape, f32 }) {
  const text = atob(f32), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return { shape, data: new Float32Array(bytes.buffer) };
}

/** The tensors of a map of names. */
function tensors(named) {
  return Object.fromEntries(Object.entries(named).map(([name, x]) => [name, tensor(x)]));
}

/** The rows of a matrix. */
function rows({ shape: [n, k], data }) {
  return Array.from({ length: n }, (_, i) => data.subarray(i * k, (i + 1) * k));
}

/** `‖vᵢ‖₂` of the rows of a matrix: `row_norms` of autodiff/ops/linear.rs. */
function rowNorms(v) {
  return rows(v).map((row) => Math.sqrt(dot(row, row)));
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const sum = (x) => x.reduce((a, b) => a + b, 0);

/** `W x + b` for `W [n, k]`, with `scale` applied to the rows of `W x`, if there is one. */
function affine(w, scale, b, x) {
  const [n, k] = w.shape, y = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let product = 0;
    for (let j = 0, at = i * k; j < k; j++, at++) product += w.data[at] * x[j];
    y[i] = product * (scale ? scale[i] : 1) + b[i];
  }
  return y;
}

/** Random numbers: mulberry32 and Box-Muller. The page starts from the same seed each time. */
function generator(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** `ε ~ N(0, I)` of length `d`. */
function noise(d, normal) {
  return Float64Array.from({ length: d }, normal);
}

/** Self-normalised weights `wₛ ∝ exp(log wₛ)`. */
function normalised(logWeights) {
  const most = Math.max(...logWeights);
  const w = logWeights.map((log) => Math.exp(log - most));
  const total = sum(w);
  return w.map((w) => w / total);
}

/** `(Σ w)² / Σ w²`, the effective sample size of importance weights that sum to 1. */
function effectiveSampleSize(w) {
  return 1 / sum(w.map((w) => w * w));
}

/** Weighted mean and standard deviation over samples `f [S][X]`, for each `x`. */
function moments(f, w) {
  return Array.from(f[0], (_, x) => {
    let mean = 0, square = 0;
    for (let s = 0; s < f.length; s++) mean += w[s] * f[s][x];
    for (let s = 0; s < f.length; s++) square += w[s] * (f[s][x] - mean) ** 2;
    return { mean, std: Math.sqrt(square) };
  });
}

/** A number with three or four digits. */
function number(x) {
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(1).replaceAll('-', '−');
  return x.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3).replace('-', '−');
}
