"""Cold start: from the start of Python to the first answer of LeNet-5, and the peak of memory.

    pip install 'cnnx[onnx]' onnxruntime torch
    python bench/bench_cold_start.py [rounds]

Each program runs in a process of its own, which imports its library, loads the network from a file
and answers once. The processes run in turn, one at a time, and each round gives one ratio of their
times. The first round fills the caches of the disk, and is not counted. "ms" is the time until the
answer is there, "CPU ms" the processor time until then, which other processes disturb less.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import cnnx

# Each makes y, the logits for x.npy.
PROGRAMS = {
    "Python alone": "y = None",
    "NumPy alone": """
import numpy as np
y = np.load("x.npy")
""",
    "cnnx": """
import cnnx
import numpy as np
plan = cnnx.load_plan("plan.npz")
y = plan(np.load("x.npy"))
""",
    "ONNX Runtime": """
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession("lenet5.onnx", providers=["CPUExecutionProvider"])
[y] = session.run(None, {"input": np.load("x.npy")})
""",
    "PyTorch": """
import numpy as np
import torch
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU
model = torch.nn.Sequential(
    Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), ReLU(), MaxPool2d(2),
    Flatten(), Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10),
)
model.load_state_dict(torch.load("lenet5.pt"))
with torch.inference_mode():
    y = model.eval()(torch.from_numpy(np.load("x.npy"))).numpy()
""",
}
NEEDS = {"ONNX Runtime": "onnxruntime", "PyTorch": "torch"}
# VmHWM is the largest memory of the process so far; a peak of getrusage starts with the parent's.
END = """
import json, time
with open("/proc/self/status") as file:
    peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
numbers = None if y is None else y.ravel().tolist()
print(json.dumps([time.process_time(), peak / 1024, numbers]), flush=True)
"""


def make_files(folder):
    """The same network for each program; returns its logits."""
    cnnx.manual_seed(0)
    model = cnnx.models.lenet5().eval()
    x = np.random.default_rng(0).normal(size=(1, 1, 28, 28)).astype(np.float32)
    np.save(folder / "x.npy", x)
    cnnx.compile(model, (1, 28, 28)).save(folder / "plan.npz")
    cnnx.onnx.save(model, folder / "lenet5.onnx", input_shape=(1, 28, 28))
    if importlib.util.find_spec("torch") is not None:
        import torch

        state = {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
        torch.save(state, folder / "lenet5.pt")
    return model(x).ravel()


def start(name, folder):
    """Milliseconds, milliseconds of processor time, MB of memory, and the answer."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", PROGRAMS[name] + END]
    # An installed package is compiled to bytecode already; a checkout is in the first round.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    options = {"cwd": folder, "env": environment, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **options) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        process.communicate()
    cpu, megabytes, answer = json.loads(line)
    return 1e3 * seconds, 1e3 * cpu, megabytes, answer


def spread(numbers):
    low, middle, high = np.percentile(numbers, [25, 50, 75])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    names = [n for n in PROGRAMS if n not in NEEDS or importlib.util.find_spec(NEEDS[n])]
    figures = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        expected = make_files(Path(place))
        for number in range(rounds + 1):
            for name in names:
                *measured, answer = start(name, place)
                if name in ("cnnx", *NEEDS):
                    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)
                if number:
                    figures[name].append(measured)
    table = {name: np.array(rows) for name, rows in figures.items()}
    print("| program | ms | CPU ms | time / ONNX Runtime's | CPU time / its | peak MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    base = table.get("ONNX Runtime")
    for name, rows in table.items():
        ratios = ["", ""] if base is None else [spread(rows[:, k] / base[:, k]) for k in (0, 1)]
        ms, cpu, megabytes = np.median(rows, axis=0)
        print(f"| {name} | {ms:.0f} | {cpu:.0f} | {ratios[0]} | {ratios[1]} | {megabytes:.0f} |")


if __name__ == "__main__":
    main()
