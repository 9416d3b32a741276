"""The convolutions of benches/conv.rs in PyTorch, channels last: one JSON line each, the best of many runs.

  python benches/torch_conv.py THREADS [SECONDS_A_CASE]
"""
import json, sys, time
import torch

threads, secs = int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
torch.set_num_threads(threads)
SHAPES = [(64, 3, 32, 64, 0), (64, 64, 30, 64, 0), (64, 64, 14, 128, 0), (64, 128, 12, 128, 0), (64, 64, 32, 64, 1)]


def report(case, what, flop, f):
    f(), f()
    best, start, runs = 1e9, time.perf_counter(), 0
    while time.perf_counter() - start < secs or runs < 10:
        at = time.perf_counter()
        f()
        best, runs = min(best, time.perf_counter() - at), runs + 1
    print(json.dumps({"case": case, "pass": what, "threads": threads, "gflops": round(flop / best * 1e-9, 1)}), flush=True)


with torch.inference_mode():
    for b, c, h, o, p in SHAPES:
        x = torch.randn(b, c, h, h).contiguous(memory_format=torch.channels_last)
        w = torch.randn(o, c, 3, 3).contiguous(memory_format=torch.channels_last)
        y = torch.nn.functional.conv2d(x, w, padding=p)
        case, flop = f"{b}×{c}×{h}×{h} → {o}, padding {p}", 2 * y.numel() * c * 9
        backward = lambda mask: torch.ops.aten.convolution_backward(y, x, w, None, [1, 1], [p, p], [1, 1], False, [0, 0], 1, mask)
        report(case, "forward", flop, lambda: torch.nn.functional.conv2d(x, w, padding=p))
        report(case, "by weight", flop, lambda: backward([False, True, False]))
        report(case, "by input", flop, lambda: backward([True, False, False]))
