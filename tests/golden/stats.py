"""Writes stats.json, the golden values of tests/engine/stats.rs. Needs numpy, scipy and arviz < 1.

Samples are whole numbers, divided in the test by the case's `unit`; most have ties.
"""

import itertools
import json
import math
import pathlib
from fractions import Fraction

import arviz
import numpy as np
from scipy import stats

rng = np.random.default_rng(1710_04759)


def whole(x):
    return np.rint(x).astype(int)


def outside(a, b):
    """The exact p-value of two samples, given ties: the share of orders as far apart, in integers."""
    a, b = np.asarray(a), np.asarray(b)
    n, m = len(a), len(b)
    pooled = np.sort(np.concatenate([a, b]))
    ends = [i for i in range(1, n + m + 1) if i == n + m or pooled[i] != pooled[i - 1]]

    def gap(i, drawn):
        return abs(i * m - (drawn - i) * n)

    worst = max(gap(int((a <= pooled[end - 1]).sum()), end) for end in ends)
    inside = {0: 1}
    for drawn in range(1, n + m + 1):
        there = range(max(0, drawn - m), min(n, drawn) + 1)
        inside = {i: inside.get(i, 0) + inside.get(i - 1, 0) for i in there}
        if drawn in ends:
            inside = {i: count for i, count in inside.items() if gap(i, drawn) < worst}
    return float(1 - Fraction(inside.get(n, 0), math.comb(n + m, n)))


def enumerated(a, b):
    """The same by every order there is."""
    pooled, places = np.concatenate([a, b]), range(len(a) + len(b))
    worst = stats.ks_2samp(a, b).statistic
    found = []
    for of_a in itertools.combinations(places, len(a)):
        of_b = np.setdiff1d(places, of_a)
        found.append(stats.ks_2samp(pooled[list(of_a)], pooled[of_b], method="asymp").statistic)
    return np.mean(np.array(found) > worst - 1e-9)


pairs = []
for n, slope in [(3, 1.0), (10, 0.5), (60, 0.0), (60, -2.0)]:
    x = whole(10 * rng.normal(size=n))
    y = whole(slope * x + 10 * rng.normal(size=n))
    found = stats.pearsonr(x, y)
    pairs.append({"x": x.tolist(), "y": y.tolist(), "r": found.statistic, "p_value": found.pvalue})

# Many degrees of freedom: `x = 7919 i mod 1009`, `y = 104729 i mod 997 + x / divisor`.
many = []
for n, divisor in [(1000, 16), (10_000, 32), (100_000, 64), (1_000_000, 512)]:
    i = np.arange(n)
    x = (7919 * i % 1009).astype(float)
    y = 104729 * i % 997 + x / divisor
    found = stats.pearsonr(x, y)
    many.append({"n": n, "divisor": divisor, "r": found.statistic, "p_value": found.pvalue})

# Two samples of any sizes.
samples = []
for n, m, shift, scale in [(2, 3, 0.0, 1.0), (5, 5, 1.0, 1.0), (40, 25, 0.3, 2.0), (70, 90, -1.0, 0.5)]:
    a, b = whole(8 * rng.normal(size=n)), whole(8 * (shift + scale * rng.normal(size=m)))
    welch = stats.ttest_ind(a, b, equal_var=False)
    samples.append(
        {
            "a": a.tolist(),
            "b": b.tolist(),
            "t": welch.statistic,
            "freedom": welch.df,
            "welch": welch.pvalue,
            "ks": stats.ks_2samp(a, b).statistic,
            "ks_p_value": outside(a, b),
            "wasserstein": stats.wasserstein_distance(a, b),
        }
    )

# In 1024ths, of which some are outside of [0, 1].
uniform = []
for n, power in [(1, 1.0), (4, 1.0), (9, 2.0), (50, 1.0), (50, 1.3), (80, 2.5), (60, 0.4)]:
    u = whole(1024 * (1.02 * rng.random(n) ** power - 0.01))
    distance = stats.kstest(np.clip(u / 1024, 0, 1), "uniform").statistic
    uniform.append({"u": u.tolist(), "ks": distance, "p_value": stats.kstwo.sf(distance, n)})

# Autoregressive chains, apart or of different widths; odd lengths lose their middle draw.
chains = []
for count, n, phi, apart, wider, unit in [
    (2, 4, 0.0, 0.0, 1.0, 64),
    (2, 5, 0.3, 0.0, 1.0, 64),
    (4, 50, 0.0, 0.0, 1.0, 64),
    (4, 51, 0.9, 0.0, 1.0, 64),
    (3, 60, -0.6, 0.0, 1.0, 64),
    (4, 40, 0.3, 0.5, 1.0, 64),
    (2, 80, 0.2, 0.0, 3.0, 64),
    (2, 60, 0.5, 0.0, 1.0, 2),
]:
    z = np.zeros((count, n))
    z[:, 0] = rng.normal(size=count)
    for i in range(1, n):
        z[:, i] = phi * z[:, i - 1] + np.sqrt(1 - phi**2) * rng.normal(size=count)
    z = z * np.linspace(1, wider, count)[:, None] + apart * np.arange(count)[:, None]
    draws = whole(unit * z)
    chains.append(
        {
            "draws": draws.tolist(),
            "rhat": float(arviz.rhat(draws / unit, method="rank")),
            "ess": float(arviz.ess(draws / unit, method="bulk")),
            "unit": unit,
        }
    )

# Logarithms of importance weights, of which some have no mean, some are lost beside the largest.
weights = []
for n, k, unit in [(30, 0.2, 64), (100, 0.9, 64), (400, 0.5, 256), (1000, 1.5, 64), (1000, -0.5, 1024), (200, 0.4, 2)]:
    x = whole(unit * np.log(stats.genpareto(k).rvs(n, random_state=rng)))
    weights.append({"x": x.tolist(), "unit": unit, "k_hat": float(arviz.psislw(x / unit)[1])})
x = whole(64 * 60 * rng.normal(size=300))
weights.append({"x": x.tolist(), "unit": 64, "k_hat": float(arviz.psislw(x / 64)[1])})

# Short chains, whose autocorrelations end before their positive sequence does; one by hand.
draws = [np.array([[1, 2, 5, 8, 0, 4, 7, 9, 3, 6]])]
for count, n in itertools.product([1, 2, 4], [6, 7, 8, 9, 10, 11, 12, 14, 17, 20, 24]):
    draws.extend(whole(64 * rng.normal(size=(3, count, n))))
for x in draws:
    # ArviZ has no R̂ of one chain.
    rhat = float(arviz.rhat(x / 64, method="rank")) if len(x) > 1 else None
    ess = float(arviz.ess(x / 64, method="bulk"))
    chains.append({"draws": x.tolist(), "rhat": rhat, "ess": ess, "unit": 64})

# Two small samples: without ties, where SciPy is exact, and with many, where all orders are enumerated.
ranks = []
sizes = [(1, 1), (1, 9), (2, 5), (4, 4), (8, 8), (8, 8), (5, 13), (7, 21), (30, 31), (60, 100), (200, 300)]
for n, m in sizes:
    shift = np.repeat([0.5, rng.integers(0, (n + m) // 3 + 1)], [n, m])
    order = rng.permutation(n + m) + shift
    a, b = order[:n], order[n:]
    p = stats.ks_2samp(a, b, method="exact").pvalue
    assert np.isclose(p, outside(a, b), rtol=1e-9), (n, m)
    ranks.append({"a": a.tolist(), "b": b.tolist(), "p_value": p})
for n, m, values in [(1, 3, 2), (4, 4, 3), (3, 7, 4), (6, 6, 5), (5, 8, 20), (7, 7, 2)]:
    a, b = rng.integers(0, values, n), rng.integers(0, values, m) + values // 3
    p = enumerated(a, b)
    assert np.isclose(p, outside(a, b), rtol=1e-12), (n, m)
    ranks.append({"a": a.tolist(), "b": b.tolist(), "p_value": p})
# Eight against eight, D = 0.625.
a, b = np.array([1, 2, 3, 4, 5, 9, 10, 15]), np.array([6, 7, 8, 11, 12, 13, 14, 16])
p = stats.ks_2samp(a, b, method="exact").pvalue
ranks.append({"a": a.tolist(), "b": b.tolist(), "p_value": p})

# Distances of one sample and their p-values, small ones too; beyond 200 numbers ours are approximate.
distances = []
for n in [1, 2, 3, 5, 10, 20, 50, 100, 140, 200, 201, 1000, 4000]:
    for x in [0.35, 0.5, 0.8, 1.0, 1.3, 1.7, 2.5, 3.5]:
        d = math.floor(x / math.sqrt(n) * 2**20) / 2**20
        if 0.5 / n < d < 1:
            distances.append({"n": n, "d": d, "p_value": stats.kstwo.sf(d, n)})

golden = {
    "ranks": ranks,
    "distances": distances,
    "weights": weights,
    "pairs": pairs,
    "many": many,
    "samples": samples,
    "uniform": uniform,
    "chains": chains,
}
path = pathlib.Path(__file__).with_name("stats.json")
path.write_text(json.dumps(golden, separators=(",", ":"), default=float) + "\n")
