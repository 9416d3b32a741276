"""Writes metrics.json, the golden values of tests/metrics.rs. Needs numpy and scikit-learn >= 1.7.

Probabilities are multiples of 1/4096: exact in f32, rows sum to exactly 1, none is 0.
"""

import json
import pathlib

import numpy as np
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, log_loss

rng = np.random.default_rng(1710_04759)
cases = []
for n, k, temperature in [(1, 2, 1.0), (60, 2, 0.5), (80, 4, 0.3), (100, 10, 0.1)]:
    logits = rng.normal(size=(n, k)) / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    parts = 1 + rng.multinomial(4096 - k, p / p.sum(1, keepdims=True))
    p = parts / 4096
    labels = np.where(rng.random(n) < 0.5, p.argmax(1), rng.integers(k, size=n))

    bins, confidence = 15, p.max(1)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    right = p.argmax(1) == labels
    ece = sum(
        (which == b).mean() * abs(right[which == b].mean() - confidence[which == b].mean())
        for b in range(bins)
        if (which == b).any()
    )
    classes = range(k)
    cases.append(
        {
            "parts": parts.tolist(),
            "labels": labels.tolist(),
            "accuracy": float(accuracy_score(labels, p.argmax(1))),
            "nll": float(log_loss(labels, p, labels=classes)),
            "brier": float(brier_score_loss(np.eye(k)[labels], p, scale_by_half=False)),
            "ece": float(ece),
            "confusion": confusion_matrix(labels, p.argmax(1), labels=classes).tolist(),
        }
    )
path = pathlib.Path(__file__).with_name("metrics.json")
path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
