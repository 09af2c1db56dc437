"""Time of one prediction on one thread: a plan, the model, and ONNX Runtime, in turn.

    pip install 'cnnx[onnx]' onnxruntime
    python bench/bench_engine.py [model ...]

The time is the CPU time of the thread, so other processes disturb it less; each ratio is that of
two neighbouring blocks of calls, and the quartiles are those of all blocks.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

import cnnx

SHAPES = {"lenet5": (1, 28, 28), "resnet20": (3, 32, 32), "mobilenet_v2": (3, 32, 32)}
SHAPES |= {"vgg": (3, 32, 32), "resnet18": (3, 32, 32)}
SHAPES |= {name: (3, 32, 32) for name in ("se_resnet20", "densenet", "inception_small")}
SHAPES |= {"squeezenet": (3, 64, 64), "unet": (3, 64, 64)}
ROUNDS = 40
BLOCK = 10  # milliseconds


def calls(name):
    """{what: a function without arguments}, all for the same model and image."""
    shape = SHAPES[name]
    model = cnnx.models.build(name, shape, 10).eval()
    x = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    plan = cnnx.compile(model, shape, batch=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        cnnx.onnx.save(model, path, input_shape=shape)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x}
    with cnnx.no_grad():
        np.testing.assert_allclose(plan(x), model(x), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(plan(x), session.run(None, given)[0], rtol=1e-3, atol=1e-4)
    return {
        "plan": lambda: plan(x),
        "model": cnnx.no_grad()(lambda: model(x)),
        "ONNX Runtime": lambda: session.run(None, given),
    }


def milliseconds(call, count):
    start = time.thread_time_ns()
    for _ in range(count):
        call()
    return (time.thread_time_ns() - start) / 1e6 / count


def quartiles(ratios):
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def main():
    cnnx.set_num_threads(1)
    print("| model | plan ms | model / plan | ONNX Runtime / plan |\n| --- | --- | --- | --- |")
    for name in sys.argv[1:] or SHAPES:
        functions = calls(name)
        counts = {k: max(1, round(BLOCK / milliseconds(f, 3))) for k, f in functions.items()}
        rounds = [
            {what: milliseconds(call, counts[what]) for what, call in functions.items()}
            for _ in range(ROUNDS)
        ]
        times = {what: np.array([each[what] for each in rounds]) for what in functions}
        ratios = [quartiles(times[k] / times["plan"]) for k in ("model", "ONNX Runtime")]
        print(f"| {name} | {np.median(times['plan']):.3f} | {' | '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
