"""Processes that keep the machine busy while something is measured.

>>> with load("one burning process"):
...     pass
"""

# Design:
# A load is a number of child processes. `busy.py` detects load that others cause, this file causes
# it. Whatever happens to the measurement, no child may stay behind: each is killed by its id at the
# end of the context, also after an error or Ctrl-C, and ends by itself when its parent has died or
# its time is over.

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from .busy import usable_cores

__all__ = ["LOADS", "load"]

LIMIT = 600.0  # seconds after which a child ends by itself
LOADS = ("nothing", "one burning process", "a burning process per core", "a second cnnx")


@contextmanager
def load(kind: str) -> Iterator[list[int]]:
    """Context in which this load runs; gives the ids of its processes. ValueError for a kind that
    is not in `LOADS`, RuntimeError if a child does not start, or ends before the context does."""
    if kind not in LOADS:
        raise ValueError(f"bench: load is {kind!r}, expected one of {', '.join(LOADS)}")
    program, count = {
        "nothing": ("burn", 0),
        "one burning process": ("burn", 1),
        "a burning process per core": ("burn", usable_cores()),
        "a second cnnx": ("train", 1),
    }[kind]
    with ExitStack() as stack:
        children = [stack.enter_context(_child(program)) for _ in range(count)]
        yield [child.pid for child in children]
        if any(child.poll() is not None for child in children):
            raise RuntimeError(f"bench: {kind} ended before the measurement did")


@contextmanager
def _child(program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs one of the functions below, and has begun its work."""
    code = f"from cnnx.bench import load; load.{program}({os.getpid()}, {LIMIT})"
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # Ctrl-C reaches the child too
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"bench: a process for the load did not start ({program})")
        yield process
    finally:
        process.kill()
        process.communicate()


def burn(parent: int, seconds: float) -> None:
    """Use one core, in a child."""
    for _ in _until(parent, seconds):
        for _ in range(100_000):
            pass


def train(parent: int, seconds: float) -> None:
    """Train LeNet-5 with the default number of threads, in a child."""
    from .workloads import MODELS

    task = MODELS["lenet5"][0].prepare(np.random.default_rng(0))
    for _ in _until(parent, seconds):
        task.run()


def _until(parent: int, seconds: float) -> Iterator[None]:
    """Repeat until the time is over, or the parent has died."""
    end = time.monotonic() + seconds
    yield
    print("ready", flush=True)
    while time.monotonic() < end and os.getppid() == parent:
        yield
