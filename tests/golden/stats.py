"""Writes stats.json, the golden values of tests/stats.rs. Needs numpy, scipy and arviz < 1.

Samples are whole numbers, divided in the test by the case's `unit`; most have ties.
"""

import json
import pathlib

import arviz
import numpy as np
from scipy import special, stats

rng = np.random.default_rng(1710_04759)


def whole(x):
    return np.rint(x).astype(int)


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
    distance = stats.ks_2samp(a, b).statistic
    root = np.sqrt(n * m / (n + m))
    samples.append(
        {
            "a": a.tolist(),
            "b": b.tolist(),
            "t": welch.statistic,
            "freedom": welch.df,
            "welch": welch.pvalue,
            "ks": distance,
            "ks_p_value": special.kolmogorov((root + 0.12 + 0.11 / root) * distance),
            "wasserstein": stats.wasserstein_distance(a, b),
        }
    )

# In 1024ths, of which some are outside of [0, 1]. The exact p-value too.
uniform = []
for n, power in [(1, 1.0), (4, 1.0), (9, 2.0), (50, 1.0), (50, 1.3), (80, 2.5), (60, 0.4)]:
    u = whole(1024 * (1.02 * rng.random(n) ** power - 0.01))
    distance = stats.kstest(np.clip(u / 1024, 0, 1), "uniform").statistic
    root = np.sqrt(n)
    uniform.append(
        {
            "u": u.tolist(),
            "ks": distance,
            "p_value": special.kolmogorov((root + 0.12 + 0.11 / root) * distance),
            "exact": stats.kstwo.sf(distance, n),
        }
    )

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

golden = {"weights": weights, "pairs": pairs, "many": many, "samples": samples, "uniform": uniform, "chains": chains}
path = pathlib.Path(__file__).with_name("stats.json")
path.write_text(json.dumps(golden, separators=(",", ":"), default=float) + "\n")
