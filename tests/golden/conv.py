"""Writes conv.json, the golden values of tests/engine/convolutions.rs. Needs torch.

Inputs are `((7919 i + seed) mod 1009 - 504) / 512`, in the order [B, C, H, W]; of a long output
60 to 120 evenly spaced entries are kept.
"""

import json
import pathlib

import torch
from torch.nn import functional as F


def numbers(shape, seed):
    i = torch.arange(torch.Size(shape).numel())
    return (((7919 * i + seed) % 1009 - 504) / 512).float().reshape(shape).requires_grad_()


def kept(x):
    x = x.detach().flatten()
    return x[:: max(1, len(x) // 60)].tolist()


cases = []
for image, n, size, stride, padding in [
    ([2, 3, 6, 7], 4, [3, 3], [1, 1], [0, 0]),
    ([1, 5, 7, 6], 3, [2, 4], [2, 1], [1, 2]),
    ([2, 16, 9, 11], 33, [5, 3], [2, 3], [2, 0]),
    ([3, 64, 14, 14], 128, [3, 3], [1, 1], [0, 0]),
]:
    x, w = numbers(image, 1), numbers([n, image[1], *size], 2)
    y = F.conv2d(x, w, stride=stride, padding=padding)
    dy = numbers(y.shape, 3).detach()
    y.backward(dy)
    cases.append(
        {"kind": "conv", "image": image, "units": n, "size": size, "stride": stride, "padding": padding,
         "y": kept(y), "dx": kept(x.grad), "dw": kept(w.grad)}
    )
for kind, pool in [("max", F.max_pool2d), ("avg", F.avg_pool2d)]:
    for image, size, stride in [([2, 3, 6, 8], [2, 2], [2, 2]), ([2, 5, 9, 8], [3, 2], [2, 1])]:
        x = numbers(image, 1)
        y = pool(x, size, stride)
        dy = numbers(y.shape, 3).detach()
        y.backward(dy)
        cases.append(
            {"kind": kind, "image": image, "units": 0, "size": size, "stride": stride, "padding": [0, 0],
             "y": kept(y), "dx": kept(x.grad), "dw": []}
        )

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
