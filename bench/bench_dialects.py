"""Speed-up of the dialects of `cnnx.compat` over the same formulas in plain NumPy.

    python bench/bench_dialects.py                # all rows
    python bench/bench_dialects.py listnet        # rows with this text in their name

Each row is a training program of one dialect, run by `cnnx.compat` and by the transcription in
tests/dialects, in alternating blocks of one process. For a machine that runs other work too, --cpu
measures the CPU time of one thread (with OPENBLAS_NUM_THREADS=1 for NumPy's) instead of wall time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnx import config
from cnnx.bench import compare

ROOT = Path(__file__).resolve().parents[1]


class Program(NamedTuple):
    """A timed program: `prepare(module, batch)` returns a call that trains a little and returns the
    loss; `least` is the required speed-up."""

    dialect: str
    name: str
    prepare: Callable[[Any, int], Callable[[], float]]
    batch: int
    least: float

    def calls(self, batch: int | None = None) -> dict[str, Callable[[], float]]:
        """The program on `cnnx.compat` and on the transcription, from the same seed."""
        if str(ROOT / "tests") not in sys.path:
            sys.path.insert(0, str(ROOT / "tests"))
        calls = {}
        for contestant, package in (("cnnx", "cnnx.compat"), ("numpy", "dialects")):
            np.random.seed(0)
            module = importlib.import_module(f"{package}.{self.dialect}")
            calls[contestant] = self.prepare(module, batch or self.batch)
        return calls


def listnet_conv(m: Any, samples: int) -> Callable[[], float]:
    """0 against 1: a convolution, sigmoids, two Dense layers, a binary cross-entropy."""
    network = [
        m.Convolutional((1, 28, 28), 3, 5),
        m.Sigmoid(),
        m.Reshape((5, 26, 26), (3380, 1)),
        m.Dense(3380, 100),
        m.Sigmoid(),
        m.Dense(100, 2),
        m.Sigmoid(),
    ]
    x = np.random.rand(samples, 1, 28, 28)
    y = np.eye(2)[np.random.randint(0, 2, samples)].reshape(samples, 2, 1)
    losses = (m.binary_cross_entropy, m.binary_cross_entropy_prime)
    return partial(listnet_epoch, m, network, losses, x, y)


def listnet_xor(m: Any, epochs: int) -> Callable[[], float]:
    """XOR: Dense 2-3-1."""
    network = [m.Dense(2, 3), m.Tanh(), m.Dense(3, 1), m.Tanh()]
    x = np.reshape([[0, 0], [0, 1], [1, 0], [1, 1]] * epochs, (4 * epochs, 2, 1))
    y = np.reshape([0, 1, 1, 0] * epochs, (4 * epochs, 1, 1))
    return partial(listnet_epoch, m, network, (m.mse, m.mse_prime), x, y)


def listnet_epoch(m: Any, network: list[Any], losses: Any, x: Any, y: Any) -> float:
    loss, prime = losses
    m.train(network, loss, prime, x, y, epochs=1, learning_rate=0.01, verbose=False)
    return float(loss(y[0], m.predict(network, x[0])))


def functional_step(m: Any, batch: int) -> Callable[[], float]:
    """SimpleCNN: a convolution, ReLU, pooling, Dense."""
    model = m.SimpleCNN()
    x, y = np.random.rand(batch, 1, 28, 28), np.random.randint(0, 10, batch)

    def step() -> float:
        loss = model.forward(x, y)
        model.backward()
        return float(loss)

    return step


def network_step(m: Any, batch: int) -> Callable[[], float]:
    """Two convolutions, each with ReLU and pooling, and two Linear layers; Adam."""
    model, loss_fn, optimizer = m.NeuralNetwork(), m.SoftmaxCrossEntropyLoss(), m.Adam()
    for convolution in (m.Conv2D(1, 16, 3, padding=1), m.Conv2D(16, 32, 3, padding=1)):
        for layer in (convolution, m.ReLULayer(), m.MaxPool2D(2)):
            model.add_layer(layer)
    for layer in (m.Flatten(), m.Linear(1568, 128), m.ReLULayer(), m.Linear(128, 10)):
        model.add_layer(layer)
    x, y = np.random.rand(batch, 1, 28, 28), np.random.randint(0, 10, batch)

    def step() -> float:
        model.zero_grad()
        loss = loss_fn.forward(model.forward(x), y)
        model.backward(loss_fn.backward())
        model.update_params(optimizer)
        return float(loss)

    return step


def sequential_step(m: Any, batch: int) -> Callable[[], float]:
    """The same network with a Softmax, and the loss on probabilities."""
    layers = []
    for convolution in (m.Conv2d(1, 16), m.Conv2d(16, 32)):
        layers += [convolution, m.ReLU(), m.MaxPool2d()]
    layers += [m.Flatten(), m.Linear(1568, 128), m.ReLU(), m.Linear(128, 10), m.Softmax()]
    model = m.Sequential(layers, m.CrossEntropyLoss(), m.Adam())
    x, y = np.random.rand(batch, 1, 28, 28), np.random.randint(0, 10, batch)

    def step() -> float:
        y_pred = model.forward(x)
        loss = model.calculate_loss(y_pred, y)
        model.zero_grad()
        model.backward(y_pred, y)
        model.optimize()
        return float(loss)

    return step


def cs231n_step(variant: str, m: Any, batch: int) -> Callable[[], float]:
    """A step of SGD of the course's network: 32 filters of 7x7, ReLU, pooling, an affine layer."""
    forward, backward = (getattr(m, f"conv_{way}_{variant}") for way in ("forward", "backward"))
    w1, b1 = 0.1 * np.random.randn(32, 3, 7, 7), np.zeros(32)
    w2, b2 = 0.01 * np.random.randn(8192, 10), np.zeros(10)
    x, y = np.random.rand(batch, 3, 32, 32), np.random.randint(0, 10, batch)
    window = {"pool_height": 2, "pool_width": 2, "stride": 2}

    def step() -> float:
        a, conv = forward(x, w1, b1, {"stride": 1, "pad": 3})
        a, relu = m.relu_forward(a)
        a, pool = m.max_pool_forward_fast(a, window)
        scores, affine = m.affine_forward(a, w2, b2)
        loss, d = m.softmax_loss(scores, y)
        d, dw2, db2 = m.affine_backward(d, affine)
        d = m.relu_backward(m.max_pool_backward_fast(d, pool), relu)
        _, dw1, db1 = backward(d, conv)
        for value, gradient in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)):
            m.sgd(value, gradient)
        return float(loss)

    return step


PROGRAMS = [
    Program("listnet", "0 against 1", listnet_conv, 16, 5.0),
    Program("listnet", "XOR", listnet_xor, 50, 1.0),
    Program("functional", "SimpleCNN, batch 32", functional_step, 32, 100.0),
    Program("network", "two convolutions, batch 32", network_step, 32, 20.0),
    Program("sequential", "two convolutions, batch 32", sequential_step, 32, 20.0),
    Program("cs231n", "conv_*_naive, batch 4", partial(cs231n_step, "naive"), 4, 200.0),
    Program("cs231n", "conv_*_im2col, batch 32", partial(cs231n_step, "im2col"), 32, 10.0),
]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("filter", nargs="?", default="", help="only programs with this text")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each program")
    parser.add_argument("--cpu", action="store_true", help="CPU time of one thread")
    given = parser.parse_args(arguments)
    if given.cpu:
        config.set_num_threads(1)
    clock = time.process_time if given.cpu else time.perf_counter
    print(f"{config.get_num_threads()} threads, float64; milliseconds per call, and the ratio")
    for program in PROGRAMS:
        title = f"{program.dialect}: {program.name}"
        if given.filter not in title:
            continue
        timing = compare(program.calls(), given.seconds, clock=clock)
        ratio = timing.ratio("numpy", "cnnx")
        ours, theirs = (1e3 * timing.seconds(name) for name in ("cnnx", "numpy"))
        print(
            f"{title:<40} cnnx {ours:9.2f}  numpy {theirs:9.2f}  "
            f"x {ratio.median:6.1f} ({ratio.low:.1f}-{ratio.high:.1f}), required {program.least:g}",
            flush=True,
        )


if __name__ == "__main__":
    main()
