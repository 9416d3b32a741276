"""Writes metrics.json, the golden values of tests/engine/metrics.rs. Needs numpy, scipy and scikit-learn >= 1.7.

Probabilities are multiples of 1/4096: exact in f32, rows sum to exactly 1, none is 0.
Scores of the ranking cases are whole numbers, with many ties.
"""

import json
import pathlib

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    roc_auc_score,
    roc_curve,
)

BINS = 15
rng = np.random.default_rng(1710_04759)


def expected_calibration_error(which, right, confidence):
    return sum(
        (which == b).mean() * abs(right[which == b].mean() - confidence[which == b].mean())
        for b in np.unique(which)
    )


def brier_parts(p, y):
    """Reliability, resolution, uncertainty: each bin's means in every example's place."""
    reliability = resolution = uncertainty = 0.0
    for c in range(p.shape[1]):
        which = np.minimum((p[:, c] * BINS).astype(int), BINS - 1)
        forecast, came = np.zeros(len(p)), np.zeros(len(p))
        for b in np.unique(which):
            forecast[which == b] = p[which == b, c].mean()
            came[which == b] = (y[which == b] == c).mean()
        reliability += np.mean((forecast - came) ** 2)
        resolution += np.var(came)
        uncertainty += np.var(y == c)
    return reliability, resolution, uncertainty


classes = []
for n, k, temperature in [(1, 2, 1.0), (60, 2, 0.5), (80, 4, 0.3), (100, 10, 0.1)]:
    logits = rng.normal(size=(n, k)) / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    parts = 1 + rng.multinomial(4096 - k, p / p.sum(1, keepdims=True))
    p = parts / 4096
    labels = np.where(rng.random(n) < 0.5, p.argmax(1), rng.integers(k, size=n))

    confidence, right = p.max(1), p.argmax(1) == labels
    equal_width = np.minimum((confidence * BINS).astype(int), BINS - 1)
    equal_mass = BINS * (rankdata(confidence, "min").astype(int) - 1) // n
    every = range(k)
    classes.append(
        {
            "parts": parts.tolist(),
            "labels": labels.tolist(),
            "accuracy": float(accuracy_score(labels, p.argmax(1))),
            "nll": float(log_loss(labels, p, labels=every)),
            "brier": float(brier_score_loss(np.eye(k)[labels], p, scale_by_half=False)),
            "brier_parts": [float(part) for part in brier_parts(p, labels)],
            "ece": float(expected_calibration_error(equal_width, right, confidence)),
            "ece_equal_mass": float(expected_calibration_error(equal_mass, right, confidence)),
            "confusion": confusion_matrix(labels, p.argmax(1), labels=every).tolist(),
        }
    )


def delong(positive, negative):
    """The standard error of AUROC from the matrix of all comparisons."""
    psi = np.sign(positive[:, None] - negative[None, :]) / 2 + 0.5
    rows, columns = psi.mean(1), psi.mean(0)
    return np.sqrt(rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns))


ranking = []
for positives, negatives, spread in [(2, 2, 1), (30, 50, 5), (80, 20, 30), (60, 60, 1000)]:
    positive = np.rint(spread * rng.normal(0.7, 1, positives)).astype(int)
    negative = np.rint(spread * rng.normal(0, 1, negatives)).astype(int)
    scores = np.concatenate([positive, negative])
    truth = np.repeat([1, 0], [positives, negatives])
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    # Without ties, so that there is one order; the loss is any.
    uncertainty, loss = rng.permutation(positives), rng.integers(0, 3, positives)
    risks = np.cumsum(loss[np.argsort(uncertainty)]) / np.arange(1, positives + 1)
    ranking.append(
        {
            "positive": positive.tolist(),
            "negative": negative.tolist(),
            "auroc": float(roc_auc_score(truth, scores)),
            "auroc_error": float(delong(positive, negative)),
            "aupr": float(average_precision_score(truth, scores)),
            "aupr_turned": float(average_precision_score(1 - truth, -scores)),
            "fpr95": float(fpr[np.argmax(tpr >= 0.95)]),
            "uncertainty": uncertainty.tolist(),
            "loss": loss.tolist(),
            "risk_coverage": risks.tolist(),
        }
    )

path = pathlib.Path(__file__).with_name("metrics.json")
golden = {"classes": classes, "ranking": ranking}
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
