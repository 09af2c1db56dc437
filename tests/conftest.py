"""Makes the helpers beside the tests importable, and gives each test the defaults of a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cnnx

# A pure-Python install has nothing to compare; an install that holds the extension always does
# (test_contract.py fails when it is there and does not load).
collect_ignore = (
    []
    if "compiled" in cnnx.available_backends()
    else [
        "test_accuracy.py",
        "test_bounds.py",
        "test_denormals.py",
        "test_parity.py",
        "test_winograd.py",
    ]
)


@pytest.fixture(autouse=True)
def _process_defaults():
    """Backend and threads belong to the process: a test that changes one must not leak it."""
    backend, threads = cnnx.get_backend(), cnnx.get_num_threads()
    yield
    cnnx.set_backend(backend)
    cnnx.set_num_threads(threads)
