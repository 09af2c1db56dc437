"""Makes the helpers next to the tests importable, gives each test the defaults of a process, and
contains fixtures used by several files."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cli_helpers

import cnnx
from cnnx.bench import peers
from cnnx.cli import runs

compiled = cnnx.backends.load("compiled") if "compiled" in cnnx.backends.available() else None

# A pure-Python install has nothing to compare; an install that contains the extension always does
# (test_contract.py fails if it exists and does not load).
collect_ignore = (
    []
    if compiled
    else [
        "test_accuracy.py",
        "test_recipes.py",
        "test_bounds.py",
        "test_denormals.py",
        "test_memory.py",
        "test_parity.py",
        "test_winograd.py",
    ]
)


@pytest.fixture(autouse=True)
def _process_defaults():
    """Backend and threads belong to the process: a test that changes one must not affect others."""
    backend, threads = cnnx.get_backend(), cnnx.get_num_threads()
    if compiled:
        compiled.busy._forget()  # the machine may have been busy during an earlier test
    yield
    cnnx.set_backend(backend)
    cnnx.set_num_threads(threads)


@pytest.fixture(params=compiled.usable_isas() if compiled else ())
def isa(request):
    """Each kernel set that this CPU can run, in use."""
    before = compiled.isa()
    compiled.set_isa(request.param)
    yield request.param
    compiled.set_isa(before)


@pytest.fixture
def all_threads():
    """Every loop of the compiled backend gets all requested threads, however short it is. The
    fixture is a function that returns how many ran in the smallest and in the largest region since
    its last call."""
    before = compiled.parallel._set_worth_a_thread(0)
    compiled.parallel._teams()
    yield compiled.parallel._teams
    compiled.parallel._set_worth_a_thread(before)


@pytest.fixture
def interruptible():
    """Python's own handler of SIGINT, which a process started in the background lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def own_directory(tmp_path, monkeypatch):
    """For the command line, which writes to the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNX_DATA", raising=False)
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_pictures(monkeypatch):
    """For tests of the command line that ignore pictures: drawing takes longer than training."""
    monkeypatch.setattr(runs.Run, "draw", lambda *_: [])


@pytest.fixture
def npz(own_directory):
    """The name of a file with `cli_helpers.sides`, in the directory."""
    x, y = cli_helpers.sides()
    np.savez("sides.npz", x=x, y=y)
    return "sides.npz"


@pytest.fixture
def torch():
    """PyTorch as the benchmarks use it, on one thread."""
    pytest.importorskip("torch")
    peer = peers.load("torch")[0]
    with peer.threads(1):
        yield peer
