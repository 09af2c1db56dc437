"""Trains one network twice, with Winograd's convolutions and without, and compares the accuracies.

    CNNX_DATA=data python bench/bench_accuracy.py --data fashion-mnist --epochs 10 --seeds 0 1 2
    python bench/bench_accuracy.py --data cifar10 --json accuracy.json
    python bench/bench_accuracy.py --outliers

The two runs of a seed are a pair: the same initial weights, batches and dropout masks, once under
`cnnx.use_algorithm("auto")`, once under "direct". They differ in rounding errors, which training
amplifies: two runs diverge as if they had different seeds, so a single difference means little; the
result is the mean over seeds, with its standard deviation.
First, errors of single convolutions of the network's sizes are printed, float32 against float64.
With --outliers: the effect of one large pixel on outputs whose windows do not contain it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import cnnx
from cnnx.backends.choose import DIRECTIONS, Convolution, choose, is_winograd
from cnnx.bench.table import environment
from cnnx.data import Dataset

LOADERS = {"fashion-mnist": cnnx.data.load_fashion_mnist, "cifar10": cnnx.data.load_cifar10}
WAYS = ("auto", "direct")
RESULTS = ("y", "dx", "dweight")
OUTLIERS = (0, 1e1, 1e2, 1e3, 1e4, 1e6, 1e8, 1e12, 1e20)
PLACES = ((5, 6), (4, 4), (7, 7), (6, 9), (8, 8))  # in the middle of a tile, and at its edges

Shape = tuple[int, ...]


def network(channels: int, side: int) -> cnnx.Sequential:
    """Three convolutions of 3x3; the first has too few channels for Winograd, the others do not."""
    blocks = [
        [cnnx.Conv2D(before, after, 3, padding=1), cnnx.ReLU(), cnnx.MaxPool2D(2)]
        for before, after in ((channels, 32), (32, 32), (32, 64))
    ]
    head = [cnnx.Flatten(), cnnx.Dropout(0.25), cnnx.Linear(64 * (side // 8) ** 2, 10)]
    return cnnx.Sequential(*(layer for block in [*blocks, head] for layer in block))


def convolutions(model: cnnx.Sequential, shape: Shape) -> list[tuple[cnnx.Conv2D, Shape]]:
    """The convolutions of a model, each with its input shape."""
    places = model.flow(shape[1:])
    return [(at, (shape[0], *inner[0])) for _, at, inner in places if isinstance(at, cnnx.Conv2D)]


def algorithms(layer: cnnx.Conv2D, shape: Shape) -> list[str]:
    """The algorithms of forward, backward-data and backward-weight of a convolution."""
    y_shape = (shape[0], *layer.output_shape(shape[1:]))
    geometry = (shape, layer.weight.shape, y_shape, layer.stride, layer.dilation, "float32")
    return [choose(Convolution.of(direction, *geometry)) for direction in DIRECTIONS]


def errors(layer: cnnx.Conv2D, shape: Shape) -> dict[str, dict[str, float]]:
    """Root mean square of the errors of float32 divided by that of the exact values, by algorithm.

    x is the output of a ReLU. Exact means direct summation in float64.
    """
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal(shape), 0).astype(np.float32)
    y_shape = (shape[0], *layer.output_shape(shape[1:]))
    dy = rng.standard_normal(y_shape).astype(np.float32)

    def results(dtype: type, way: str) -> list[Any]:
        images, weight, gradient = (a.astype(dtype) for a in (x, layer.weight.data, dy))
        padding: Any = layer.padding
        with cnnx.use_algorithm(way):
            y = cnnx.ops.conv2d(images, weight, padding=padding)
            dx, dweight, _ = cnnx.ops.conv2d_backward(gradient, images, weight, padding=padding)
        return [y, dx, dweight]

    exact = results(np.float64, "direct")
    return {
        way: {
            name: float(np.sqrt(np.mean((found - true) ** 2) / np.mean(true**2)))
            for name, found, true in zip(RESULTS, results(np.float32, way), exact, strict=True)
        }
        for way in WAYS
    }


def outlier_errors(size: float, seeds: int = 5) -> dict[str, float]:
    """Largest error, by algorithm, of outputs that do not depend on the one pixel of -size.

    32 channels of noise (deviation 1), 16x16, and 32 filters whose outputs also have deviation 1.
    Also the largest weight, and the largest error in units of eps * size * that weight.
    """
    found = dict.fromkeys((*WAYS, "weight", "units"), 0.0)
    eps = float(np.finfo(np.float32).eps)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        weight = (rng.standard_normal((32, 32, 3, 3)) / np.sqrt(9 * 32)).astype(np.float32)
        found["weight"] = max(found["weight"], float(np.abs(weight).max()))
        for row, col in PLACES:
            x = rng.standard_normal((1, 32, 16, 16)).astype(np.float32)
            x[0, 1, row, col] = -size
            away = np.ones((16, 16), bool)
            away[row - 1 : row + 2, col - 1 : col + 2] = False
            with cnnx.use_algorithm("direct"):
                exact = cnnx.ops.conv2d(x.astype(float), weight.astype(float), padding=1)
            for way in WAYS:
                with cnnx.use_algorithm(way):
                    error = np.abs(cnnx.ops.conv2d(x, weight, padding=1) - exact)[..., away]
                found[way] = max(found[way], float(error.max()))
    found["units"] = found["auto"] / (eps * max(size, 1) * found["weight"])
    return found


def accuracy(
    train: Dataset, test: Dataset, way: str, seed: int, epochs: int, batch_size: int
) -> float:
    """Percentage of the test set that the trained network classifies correctly."""
    cnnx.manual_seed(seed)
    model = network(*train.x.shape[1:3])
    with cnnx.use_algorithm(way):
        cnnx.fit(model, train, epochs=epochs, batch_size=batch_size, seed=seed, verbose=False)
        return 100 * cnnx.evaluate(model, test)["accuracy"]


def difference(pairs: list[dict[str, float]]) -> dict[str, float]:
    """Mean and standard deviation of auto minus direct, in points."""
    found = [pair["auto"] - pair["direct"] for pair in pairs]
    return {"mean": mean(found), "deviation": stdev(found) if len(found) > 1 else 0.0}


def describe(train: Dataset, batch_size: int) -> list[dict[str, Any]]:
    """Print and return the algorithms and errors of each convolution of the network."""
    cnnx.manual_seed(0)
    shape = (batch_size, *train.x.shape[1:])
    rows = []
    for layer, inner in convolutions(network(*shape[1:3]), shape):
        names = algorithms(layer, inner)
        row: dict[str, Any] = {"shape": inner, "filters": layer.out_channels, "algorithms": names}
        print(f"{inner} -> {layer.out_channels} filters: {', '.join(names)}")
        if any(map(is_winograd, names)):
            row["errors"] = errors(layer, inner)
            for way, found in row["errors"].items():
                print(f"  error, {way}: {', '.join(f'{k} {v:.1e}' for k, v in found.items())}")
        rows.append(row)
    if not any("errors" in row for row in rows):
        raise SystemExit("bench_accuracy: no convolution uses Winograd: nothing to compare")
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", choices=LOADERS, default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--samples", type=int, help="of train and of test; default: all")
    parser.add_argument("--outliers", action="store_true", help="only the effect of outliers")
    parser.add_argument("--json", type=Path, help="write the figures here, after each pair")
    given = parser.parse_args(arguments)
    if given.outliers:
        for size in OUTLIERS:
            row = outlier_errors(size)
            print(f"{size:7.0e}  {'  '.join(f'{name} {row[name]:.1e}' for name in row)}")
        return
    train, test = (data[: given.samples] for data in LOADERS[given.data]())
    print(f"{given.data}: {len(train)} to train, {len(test)} to test, {given.epochs} epochs")
    figures: dict[str, Any] = {
        "data": given.data,
        "train": len(train),
        "test": len(test),
        "epochs": given.epochs,
        "batch size": given.batch_size,
        "environment": environment(),
        "convolutions": describe(train, given.batch_size),
        "pairs": [],
    }
    for seed in given.seeds:
        start = time.perf_counter()
        pair = {
            way: accuracy(train, test, way, seed, given.epochs, given.batch_size) for way in WAYS
        }
        figures["pairs"].append({"seed": seed, **pair})
        figures["difference"] = difference(figures["pairs"])
        ways = "  ".join(f"{way} {percent:.2f} %" for way, percent in pair.items())
        seconds = time.perf_counter() - start
        print(f"seed {seed}  {ways}  ({seconds:.0f} s)", flush=True)
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    found = figures["difference"]
    print(
        f"auto minus direct: {found['mean']:+.2f} points, standard deviation "
        f"{found['deviation']:.2f} over {len(figures['pairs'])} pairs"
    )


if __name__ == "__main__":
    main()
