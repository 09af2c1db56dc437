"""A process that runs one network; `network.py` starts one for each library.

It is run as a program and never imported, so that the process of a peer holds nothing of cnnx. It
gets a job as JSON, and then answers each line on stdin with the time of a block of calls.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from typing import Any

MARK = "contestant: "  # begins the lines of the answer; libraries print others
SETTLE = 0.05  # seconds of calls after the turn of another process, which are not counted
BLOCK = 0.05  # seconds of counted calls


def main() -> None:
    """Load the network, save its outputs, and time blocks of calls until stdin ends."""
    job = json.loads(sys.argv[1])
    sys.path[:] = job["path"]
    import numpy as np

    with np.load(job["inputs"]) as archive:
        inputs = dict(zip(job["names"], (archive[name] for name in archive.files), strict=True))
    start = time.perf_counter()
    call, version = LIBRARIES[job["library"]](job, inputs)
    outputs = call()
    answer = {"seconds": time.perf_counter() - start, "version": version}
    np.savez(job["outputs"], *outputs)
    del outputs
    print(MARK + json.dumps(answer), flush=True)
    for _ in sys.stdin:
        _calls(call, SETTLE)
        seconds = statistics.median(_calls(call, BLOCK))
        print(MARK + json.dumps({"seconds": seconds, "bytes": _peak_bytes()}), flush=True)


def _calls(call: Any, seconds: float) -> list[float]:
    """The times of calls for so long, of one at least."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def _cnnx(job: Any, inputs: dict[str, Any]) -> Any:
    from cnnx._version import __version__
    from cnnx.config import set_num_threads
    from cnnx.engine import load_plan

    set_num_threads(job["threads"])
    plan = load_plan(job["plan"])
    xs = list(inputs.values())

    def call() -> Any:
        y = plan(*xs)
        return y if isinstance(y, tuple) else (y,)

    return call, __version__


def _onnxruntime(job: Any, inputs: dict[str, Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job["threads"], 1
    options.log_severity_level = 3  # it warns of opsets newer than its own
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(job["file"], options, providers=providers)
    return lambda: session.run(None, inputs), onnxruntime.__version__


def _openvino(job: Any, inputs: dict[str, Any]) -> Any:
    import openvino

    core = openvino.Core()
    model = core.read_model(job["file"])
    model.reshape({name: list(x.shape) for name, x in inputs.items()})
    how = {
        "INFERENCE_NUM_THREADS": job["threads"],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", how).create_infer_request()
    return lambda: list(request.infer(inputs).values()), openvino.__version__


LIBRARIES = {"cnnx": _cnnx, "onnxruntime": _onnxruntime, "openvino": _openvino}


def _peak_bytes() -> int | None:
    """The largest memory of this process so far; None if the system does not tell."""
    if os.path.exists("/proc/self/status"):  # getrusage there starts with the parent's peak
        with open("/proc/self/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) << 10
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
