"""Read back what two committed figures plot, as CSV for the strip at the head of the README.

    python3 from_figures.py         # writes curves.csv and samples.csv

The figures hold coordinates to a hundredth of a pixel: 0.0003 in y, 0.0003 in a and b.
"""
import csv
import re
from pathlib import Path

HERE = Path(__file__).parent


def panels(figure, x, y):
    """For each panel its paths and circles, in the units of axes that run over `x` and `y`."""
    text = (HERE / ".." / figure).read_text()
    boxes = re.findall(r'<clipPath[^>]*><rect x="(.+?)" y="(.+?)" width="(.+?)" height="(.+?)"', text)
    bodies = re.findall(r'<g clip-path="[^"]*">(.*?)</g>', text)
    for box, body in zip(boxes, bodies, strict=True):
        left, top, width, height = map(float, box)

        def units(point):
            u, v = (float(c) for c in point)
            right, up = (u - left) / width, 1 - (v - top) / height
            return round(x[0] + right * (x[1] - x[0]), 4), round(y[0] + up * (y[1] - y[0]), 4)

        paths = re.findall(r'<path d="(.*?)"', body)
        paths = [[units(p) for p in re.findall(r"[ML] (\S+) (\S+)", path)] for path in paths]
        circles = re.findall(r'<circle cx="(.*?)" cy="(.*?)"', body)
        yield paths, [units(c) for c in circles]


def write(name, header, rows):
    with open(HERE / name, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


regression = list(panels("regression/panels.svg", (-0.5, 1.5), (-2, 3)))
rows = []
for panel, method in (0, "mle"), (2, "full-bhn"), (7, "nuts"):
    # The widest band, there and back: the mean of y ± 2 std, cut at the axes.
    band = regression[panel][0][0]
    half = len(band) // 2
    for (x, high), (_, low) in zip(band[:half], reversed(band[half:]), strict=True):
        rows.append([method, x, *sorted((low, high))])
write("curves.csv", ["method", "x", "low", "high"], rows)

modes = list(panels("modes/ridge.svg", (-3.2, 3.2), (-3.2, 3.2)))
samples = [(method, *s) for panel, method in ((8, "t0"), (11, "t6-mixture")) for s in modes[panel][1]]
data = [("data", *point) for point in regression[0][1]]
write("samples.csv", ["method", "x", "y"], samples + data)
