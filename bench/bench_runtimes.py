"""Networks in cnnx and in other runtimes: processes that take turns, two threads, wall time.

    pip install 'cnnx[onnx]' onnxruntime openvino
    python bench/bench_runtimes.py [--models resnet20 ...] [--batch 1] [--threads 2] [--seconds 10]

Each model is saved as ONNX for the others and as a plan for cnnx, with the weights that it is made
with. A ratio is the time of the faster of the others by that of cnnx, the median of the rounds;
above 1, cnnx is faster. `cnnx bench --onnx FILE` does the same for one file.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import onnx

import cnnx
from cnnx.bench.network import NETWORK_PEERS, run_network

MODELS = {
    name: (lambda name=name, shape=shape: cnnx.models.build(name, shape, 10), shape)
    for name, shape in {
        "lenet5": (1, 28, 28),
        "mnist_cnn": (1, 28, 28),
        "vgg": (3, 32, 32),
        "resnet20": (3, 32, 32),
        "resnet18": (3, 32, 32),
        "mobilenet_v2": (3, 32, 32),
    }.items()
}
IMAGENET = (3, 224, 224)
MODELS |= {
    "resnet18, 224": (lambda: cnnx.models.resnet18(1000, form="imagenet"), IMAGENET),
    "resnet50, 224": (cnnx.models.resnet50, IMAGENET),
    "mobilenet_v2, 224": (lambda: cnnx.models.mobilenet_v2(1000, form="imagenet"), IMAGENET),
    "vgg11, 224": (cnnx.models.vgg11, IMAGENET),
}


def measured(name, batch, options):
    """A `NetworkRow`."""
    make, shape = MODELS[name]
    model = make().eval()
    x = np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file, plan = Path(folder, "model.onnx"), Path(folder, "plan.npz")
        cnnx.onnx.save(model, file, input_shape=shape)
        cnnx.compile(model, shape, batch=batch).save(plan)
        (value,) = onnx.load(file).graph.input
        return run_network(
            str(file), str(plan), {value.name: x}, options.peers, options.threads, options.seconds
        )


def quartiles(spread):
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each model")
    parser.add_argument("--peers", nargs="+", choices=NETWORK_PEERS, default=NETWORK_PEERS)
    options = parser.parse_args()
    names = ["cnnx", *options.peers]
    print(f"batch {options.batch}, {options.threads} threads\n")
    print(f"| model | {' | '.join(f'{name}, ms (MB)' for name in names)} | ratio (quartiles) |")
    print(f"| --- {'| --- ' * len(names)}| --- |")
    ratios = []
    for name in options.models:
        row = measured(name, options.batch, options)
        peer = min(options.peers, key=row.milliseconds.__getitem__)
        ratios.append(row.faster[peer].median)
        cells = [f"{row.milliseconds[n]:.3f} ({(row.bytes[n] or 0) / 1e6:.0f})" for n in names]
        print(f"| {name} | {' | '.join(cells)} | {quartiles(row.faster[peer])} |", flush=True)
    print(f"\ngeometric mean: {math.prod(ratios) ** (1 / len(ratios)):.2f}")


if __name__ == "__main__":
    main()
