#!/usr/bin/env python3
"""Rebuild a run's ln q(theta) and class probabilities from its folder, with numpy alone.

    bhn train animals.csv --out run
    bhn sample run --as-predict --samples 100 --out samples.safetensors
    bhn predict run animals.csv --samples 100 --out predicted.csv
    python3 docs/rebuild.py run samples.safetensors animals.csv predicted.csv

Supports the methods `bhn` (RealNVP or IAF) and `mle`, for classification of tables by dense layers,
ReLU and tanh.

bhn computes in single precision, this script in double. With each value `v` it computes a bound `e`
on the rounding error of bhn's own value, `U = 2^-24` per operation (running error analysis: Higham,
Accuracy and Stability of Numerical Algorithms, section 3.3). A difference above its bound is an
error, and the exit code is 1.
"""
import csv
import json
import sys
from pathlib import Path

import numpy as np

U = 2.0**-24
# The error of exp, ln and tanh in single precision, in units of U.
FUNCTION = 4.0
# Spellings of a missing value.
MISSING = set("? NA N/A n/a <NA> #N/A #NA NULL Null null None none NaN nan NAN -NaN -nan".split())
MISSING.add("")


def read(path):
    """Tensors by name, and metadata, of a safetensors file: a length, a JSON header, the data."""
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__", {})
    dtypes = {"F32": "<f4", "U32": "<u4"}

    def tensor(entry):
        begin, end = (start + offset for offset in entry["data_offsets"])
        return np.frombuffer(data[begin:end], dtypes[entry["dtype"]]).reshape(entry["shape"])

    numbers = {name: tensor(entry) for name, entry in header.items()}
    wide = {n: v.astype(float if v.dtype.kind == "f" else int) for n, v in numbers.items()}
    return wide, metadata


class Near:
    """Values `v`; those of bhn differ by at most `e`."""

    def __init__(self, v, e=0.0):
        self.v = np.asarray(v, float)
        self.e = np.broadcast_to(e, self.v.shape)

    def apply(self, function, slope, units):
        """A function with slope at most `slope` and a relative rounding error of `units` U."""
        v = function(self.v)
        return Near(v, slope * self.e + units * U * np.abs(v))

    def relu(self):
        return Near(np.maximum(self.v, 0), self.e)

    def tanh(self):
        return self.apply(np.tanh, 1.0, FUNCTION)

    def exp(self):
        return self.apply(np.exp, np.exp(self.v + self.e), FUNCTION)

    def ln(self):
        return self.apply(np.log, 1 / (self.v - self.e), FUNCTION)

    def plus(self, c):
        return self.apply(lambda v: v + c, 1.0, 1.0)

    def __getitem__(self, at):
        return Near(self.v[at], self.e[at])


def product(x, w):
    """`x w^T`: k products and sums in any order."""
    k = w.shape[1]
    return Near(x.v @ w.T, x.e @ abs(w).T + k * U * ((abs(x.v) + x.e) @ abs(w).T))


def affine(x, scale, b):
    """`x * scale + b`."""
    part = abs(scale.v) * x.e + scale.e * (abs(x.v) + x.e) + U * abs(x.v * scale.v)
    v = x.v * scale.v + b
    return Near(v, part + U * abs(v))


def normed(x, v, scale, b):
    """`scale * (v x) / |v| + b` with row norms; the norm of a zero row counts as 1."""
    norm = np.sqrt((v * v).sum(1))
    norm[norm == 0] = 1
    s = scale.v / norm
    # A sum of k squares, its root, and a division.
    e = scale.e / norm + (v.shape[1] / 2 + 2) * U * abs(s)
    return affine(product(x, v), Near(s, e), b)


def layer(numbers, name, x, mask=1.0):
    """A layer of a conditioner, weight-normalised or not."""
    b = numbers[f"{name}.b"]
    if f"{name}.w" in numbers:
        y = product(x, numbers[f"{name}.w"] * mask)
        v = y.v + b
        # The sum starts from the bias, which is rounded once per product.
        return Near(v, y.e + U * ((x.v.shape[1] + 1) * abs(b) + abs(v)))
    return normed(x, numbers[f"{name}.v"] * mask, Near(numbers[f"{name}.r"]), b)


def scale(stabiliser, a):
    """The positive scale of a flow and its logarithm."""
    if stabiliser == "tanh":
        log_s = a.apply(lambda a: 2 * np.tanh(a / 2), 1.0, FUNCTION)
        return log_s.exp(), log_s
    if stabiliser == "sigmoid":
        s = a.plus(2.0).apply(lambda a: 1 / (1 + np.exp(-a)), 0.25, 2 * FUNCTION).plus(0.001)
    else:
        s = a.exp().plus(0.001)
    return s, s.ln()


def undo(y, s, m):
    """The `x` of `y = s x + m`, which bhn computed forward, with rounding."""
    x = (y.v - m.v) / s.v
    rounded = U * (abs(s.v * x) + abs(y.v))
    e = (y.e + m.e + s.e * abs(x) + 2 * rounded) / (s.v - s.e)
    return Near(x, e)


def total(log_s):
    """Row sums in double precision, then rounded."""
    v = log_s.v.sum(1)
    return Near(v, log_s.e.sum(1) + U * abs(v))


def coupling(numbers, name, stabiliser, y):
    half = y.v.shape[1] // 2
    hidden = layer(numbers, f"{name}.trunk", y[:, :half]).relu()
    s, log_s = scale(stabiliser, layer(numbers, f"{name}.scale", hidden))
    x = undo(y[:, half:], s, layer(numbers, f"{name}.shift", hidden))
    return Near(np.hstack([y.v[:, :half], x.v]), np.hstack([y.e[:, :half], x.e])), total(log_s)


def iaf(numbers, name, stabiliser, y):
    order, degrees = numbers[f"buffer.{name}.order"], numbers[f"buffer.{name}.degrees"]
    position = np.argsort(order)
    sees = position[None, :] <= degrees[:, None]  # [hidden, D]
    seen = degrees[None, :] < position[:, None]  # [D, hidden]

    def network(x):
        hidden = layer(numbers, f"{name}.trunk", x, sees).relu()
        s, log_s = scale(stabiliser, layer(numbers, f"{name}.scale", hidden, seen))
        return s, log_s, layer(numbers, f"{name}.shift", hidden, seen)

    x = Near(np.zeros(y.v.shape), np.zeros(y.v.shape))
    v, e = x.v.copy(), x.e.copy()
    for i in order:
        s, _, m = network(Near(v, e))
        entry = undo(y[:, [i]], s[:, [i]], m[:, [i]])
        v[:, [i]], e[:, [i]] = entry.v, entry.e
    return Near(v, e), total(network(Near(v, e))[1])


def log_q(numbers, flow, theta):
    """`ln q(theta) = ln p(eps) - sum ln|det|`, with eps by inversion."""
    y, parts = Near(theta), []
    for t in reversed(range(flow["couplings"])):
        if flow["kind"] == "iaf":
            y, log_det = iaf(numbers, f"posterior.iaf.{t}", flow["stabiliser"], y)
        else:
            y, log_det = coupling(numbers, f"posterior.coupling.{t}", flow["stabiliser"], y)
            if t > 0:
                back = np.argsort(numbers[f"buffer.posterior.permutation.{t}"])
                y = y[:, back]
        parts.append(log_det)
    # The elementwise layer always uses the paper's stabiliser.
    s, log_s = scale("exp", Near(numbers["posterior.elementwise.w"][None, :]))
    eps = undo(y, s, Near(numbers["posterior.elementwise.b"][None, :]))
    ones = np.ones((len(theta), 1))
    parts.append(total(Near(ones * log_s.v, ones * log_s.e)))
    base = normal(eps)
    if flow["base"] != "normal":
        centres = numbers["buffer.posterior.base.centres"]
        base = mixture(eps, centres, flow["base"]["mixture"]["axes"])
    v = base.v - sum(part.v for part in parts)
    sizes = abs(base.v) + sum(abs(part.v) for part in parts)
    return Near(v, base.e + sum(part.e for part in parts) + (len(parts) + 1) * U * sizes)


def normal(eps):
    """`ln N(eps; 0, I)`, summed in double precision."""
    v = -0.5 * (eps.v**2 + np.log(2 * np.pi)).sum(1)
    return Near(v, (abs(eps.v) * eps.e + eps.e**2).sum(1) + U * abs(v))


def mixture(eps, centres, axes):
    """All entries, or the first, from equally weighted Gaussians around `centres`."""
    mixed = eps.v.shape[1] if axes == "all" else 1
    away = eps.v[:, :mixed, None] - centres
    each = -0.5 * (away**2 + np.log(2 * np.pi))
    top = each.max(2, keepdims=True)
    v = top[..., 0] + np.log(np.exp(each - top).mean(2))
    # The slope is at most the distance to the farthest centre; terms and their sum are rounded.
    far = abs(away).max(2)
    e = (far + eps.e[:, :mixed]) * eps.e[:, :mixed] + (8 + len(centres)) * U * (1 + far**2)
    rest = normal(eps[:, mixed:])
    total = v.sum(1) + rest.v
    return Near(total, e.sum(1) + rest.e + 2 * U * abs(total))


def logits(numbers, layers, theta, x):
    """The outputs for one sample of theta, the scales of the units."""
    h, at = Near(x), 0
    for i, word in enumerate(layers):
        kind, *rest = word.split()
        if kind == "dense":
            n = int(rest[0])
            v, b = numbers[f"primary.{i}.v"], numbers[f"primary.{i}.b"]
            h, at = normed(h, v, Near(theta[at : at + n]), b), at + n
        elif kind in ("relu", "tanh"):
            h = h.relu() if kind == "relu" else h.tanh()
        else:
            sys.exit(f"layer `{word}`: this script knows dense, relu and tanh")
    return h


def probabilities(numbers, layers, theta, x):
    """The mean softmax over samples."""
    v = e = 0
    for sample in theta:
        found = logits(numbers, layers, sample, x)
        p = np.exp(found.v - found.v.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        # An error of at most d in the logits changes p by at most a factor e^2d; exp rounds twice.
        d = found.e.max(1, keepdims=True)
        v, e = v + p, e + p * (np.expm1(2 * d) + 4 * FUNCTION * U)
    return Near(v / len(theta), e / len(theta) + U)


def encoded(column, row):
    """The inputs of a cell: a number, or one per category, and whether there is no value."""
    kind, of = next(iter(column["encoding"].items()))
    if kind == "left-out":
        return []
    cell = row[column["name"]].strip()
    empty = cell in MISSING
    if kind == "number":
        values = [of["median"] if empty else float(cell)]
    else:
        values = [float(cell == level) for level in of["levels"]]
    return values + [float(empty)] * bool(of["missing"])


def inputs(path, preprocess):
    """Rows of a CSV file, standardised in double precision, then rounded to single as in bhn."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = preprocess["table"]
    x = np.array([[v for column in table for v in encoded(column, row)] for row in rows])
    if preprocess["x"] is not None:
        x = (x - preprocess["x"]["mean"]) / preprocess["x"]["std"]
    return x.astype(np.float32).astype(float)


def compare(what, near, found):
    """Print the difference of `found` and `near` and whether it is within the bound."""
    apart = abs(near.v - found)
    share = (apart / near.e).max()
    fits = bool(np.isfinite(near.e).all() and share <= 1)
    bound = f"{share:.0%} of the bound (up to {near.e.max():.1e})"
    print(f"{what}: apart by {apart.max():.1e}, at most {bound}{'' if fits else ': TOO FAR'}")
    return fits


def main(run, samples, table, predicted):
    numbers, metadata = read(Path(run) / "best.safetensors")
    header = json.loads(metadata["bhn"])["header"]
    config, classes = header["config"], header["task"]["classification"]["classes"]
    if config["method"] not in ("bhn", "mle") or config["flow"]["kind"] not in ("realnvp", "iaf"):
        sys.exit("this script knows the methods bhn and mle, and the flows realnvp and iaf")
    drawn, _ = read(samples)
    theta, fits = drawn["theta"], True
    if config["method"] == "bhn":
        fits &= compare("ln q(theta)", log_q(numbers, config["flow"], theta), drawn["log_q"])
    with open(predicted, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    x = inputs(table, header["preprocess"])
    p = probabilities(numbers, config["primary"]["layers"], theta, x)
    fits &= compare("probabilities", p, found)
    return 0 if fits else 1


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
