#!/usr/bin/env python3
"""bhn on small tables, with its defaults, beside scikit-learn.

    python benches/tables.py BHN DATA_DIR --results FILE [--splits 20] [--sets wine,...]

BHN is the program, DATA_DIR holds `uci` (`bhn data fetch uci`). Every split holds out a quarter of
the rows, the same for all methods. Results are kept in FILE, and those that are there already are
not computed again. Prints Markdown. Needs scikit-learn and pandas."""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import datasets, ensemble, gaussian_process, linear_model, model_selection
from sklearn import neural_network, pipeline, preprocessing

CLASSES = {"wine": datasets.load_wine, "cancer": datasets.load_breast_cancer,
           "digits": datasets.load_digits}
UCI = {"boston": "bostonHousing", "concrete": "concrete", "energy": "energy", "yacht": "yacht"}
SETS = [*CLASSES, "diabetes", *UCI]
OURS = {"bhn": [], "T = 0": ["--couplings", "0"], "mc-dropout": ["--method", "mc-dropout"],
        "ensemble": ["--method", "ensemble"], "bbb": ["--method", "bbb"]}
METHODS = [*OURS, "logistic", "ridge", "forest", "GP", "MLP"]


def load(name, folder):
    """Inputs, targets, and whether targets are classes."""
    if name in CLASSES:
        x, y = CLASSES[name](return_X_y=True)
        return x, y, True
    if name == "diabetes":
        x, y = datasets.load_diabetes(return_X_y=True, scaled=False)
        return x, y, False
    path = pathlib.Path(folder, "uci", UCI[name])
    rows = np.loadtxt(path / "data.txt")
    columns = [np.loadtxt(path / f"index_{what}.txt", dtype=int) for what in ("features", "target")]
    return rows[:, columns[0]], rows[:, int(columns[1])], False


def of_classes(p, y):
    """Accuracy in per cent, NLL and expected calibration error of probabilities."""
    confidence, right = p.max(1), p.argmax(1) == y
    bins = np.minimum((15 * confidence).astype(int), 14)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)]
    nll = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-15)).mean()
    return 100 * right.mean(), nll, sum(gaps) / len(y)


def of_values(mean, std, y):
    """RMSE, NLL and the coverage of the central 95 % interval of normals."""
    z = (y - mean) / std
    return np.sqrt(((y - mean) ** 2).mean()), -stats.norm(mean, std).logpdf(y).mean(), \
        100 * (abs(z) < 1.96).mean()


def ours(program, flags, x, y, xt, yt, classes, seed):
    """A run of the program with its defaults; `bhn predict` predicts the rows held out."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        names = [f"x{i}" for i in range(x.shape[1])]
        target = [f"c{v}" for v in y] if classes else y
        pd.DataFrame(x, columns=names).assign(y=target).to_csv(folder / "train.csv", index=False)
        held = [f"c{v}" for v in yt] if classes else yt
        pd.DataFrame(xt, columns=names).assign(y=held).to_csv(folder / "test.csv", index=False)
        common = ["--threads", "1", "--quiet"]
        subprocess.run([program, "train", folder / "train.csv", "--test", folder / "test.csv",
                        "--out", folder / "run", "--seed", str(seed), *common, *flags],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([program, "predict", folder / "run", folder / "test.csv", *common,
                        "--out", folder / "p.csv"], check=True)
        found = pd.read_csv(folder / "p.csv")
        seconds = json.loads((folder / "run" / "summary.json").read_text())["seconds"]
        if classes:
            k = len(np.unique(y))
            p = found[[f"p_c{v}" for v in range(k)]].to_numpy()
            return (*of_classes(p, yt), seconds)
        return (*of_values(found["mean"].to_numpy(), found["std"].to_numpy(), yt), seconds)


def rivals(classes):
    scaled = lambda model: pipeline.make_pipeline(preprocessing.StandardScaler(), model)
    kernel = gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel()
    if classes:
        return {"logistic": scaled(linear_model.LogisticRegression(max_iter=5000)),
                "forest": ensemble.RandomForestClassifier(500, random_state=0),
                "GP": scaled(gaussian_process.GaussianProcessClassifier()),
                "MLP": scaled(neural_network.MLPClassifier(max_iter=2000, random_state=0))}
    return {"ridge": scaled(linear_model.RidgeCV(np.logspace(-3, 3, 13))),
            "forest": ensemble.RandomForestRegressor(500, random_state=0),
            "GP": scaled(gaussian_process.GaussianProcessRegressor(kernel, normalize_y=True)),
            "MLP": scaled(neural_network.MLPRegressor(max_iter=2000, random_state=0))}


def theirs(model, x, y, xt, yt, classes, name):
    if classes:
        model.fit(x, y)
        p = model.predict_proba(xt)
        if name == "forest":
            p = (p * 500 + 1 / p.shape[1]) / 501
        return (*of_classes(p, yt), 0.)
    if name == "GP":
        mean, std = model.fit(x, y).predict(xt, return_std=True)
    else:
        held = model_selection.cross_val_predict(model, x, y, cv=5)
        std = np.full(len(yt), np.sqrt(((held - y) ** 2).mean()))
        mean = model.fit(x, y).predict(xt)
    return (*of_values(mean, std, yt), 0.)


def one(job):
    args, name, split, method = job
    x, y, classes = load(name, args.data_dir)
    x, xt, y, yt = model_selection.train_test_split(
        x, y, test_size=0.25, random_state=split, stratify=y if classes else None)
    if method in OURS:
        return ours(args.program, OURS[method] + args.flags, x, y, xt, yt, classes, split)
    models = rivals(classes)
    warnings.filterwarnings("ignore")
    return theirs(models[method], x, y, xt, yt, classes, method) if method in models else None


def difference(a, b):
    """Mean of a - b over splits and half its 95 % interval. Splits share training rows: the
    variance is Nadeau and Bengio's, for test parts of a third of the training parts."""
    d = np.array(a) - np.array(b)
    error = d.std(ddof=1) * np.sqrt(1 / len(d) + 1 / 3)
    return d.mean(), stats.t.ppf(0.975, len(d) - 1) * error


def interval(a, b, digits=3):
    mean, half = difference(a, b)
    return f"{mean:+.{digits}f} ({mean - half:+.{digits}f} to {mean + half:+.{digits}f})"


def report(results):
    print("| set | method | accuracy, % or RMSE | NLL | ECE or coverage, % | training, s |")
    print("|---|---|---|---|---|---|")
    for name, methods in results.items():
        for method, rows in methods.items():
            rows = np.array(rows)
            error = rows.std(0, ddof=1) / np.sqrt(len(rows))
            cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(rows.mean(0)[:3], error)]
            seconds = f"{rows.mean(0)[3]:.1f}" if method in OURS else ""
            print(f"| {name} | {method} | {' | '.join(cells)} | {seconds} |")
    print("\n| set | bhn − MLP: accuracy, points, or RMSE, % | best NLL | bhn − best NLL "
          "| coverage, % |")
    print("|---|---|---|---|---|")
    for name, methods in results.items():
        columns = {method: np.array(rows).T for method, rows in methods.items()}
        ours, mlp = columns["bhn"], columns["MLP"]
        scale = 1 if name in CLASSES else 100 / mlp[0].mean()
        nll = {method: column[1].mean() for method, column in columns.items()}
        best = min(nll, key=nll.get)
        gap = "" if best == "bhn" else interval(ours[1], columns[best][1])
        coverage = "" if name in CLASSES else f"{ours[2].mean():.1f}"
        print(f"| {name} | {interval(scale * ours[0], scale * mlp[0], 1)} | {best} | {gap} "
              f"| {coverage} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("data_dir")
    parser.add_argument("--results", required=True, type=pathlib.Path)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--flags", default="", type=str.split, help="more flags of bhn train")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        for name in args.sets.split(","):
            done = results.setdefault(name, {})
            for method in args.methods.split(","):
                if len(done.get(method, [])) >= args.splits:
                    continue
                jobs = [(args, name, split, method) for split in range(args.splits)]
                rows = list(pool.map(one, jobs))
                if rows[0] is not None:
                    done[method] = rows
                    args.results.write_text(json.dumps(results))
    report(results)


if __name__ == "__main__":
    sys.exit(main())
