"""bench/bench_dialects.py: both implementations do the same work."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[1] / "bench" / "bench_dialects.py"
specification = importlib.util.spec_from_file_location("bench_dialects", PATH)
bench = importlib.util.module_from_spec(specification)
sys.modules["bench_dialects"] = bench
specification.loader.exec_module(bench)


@pytest.mark.parametrize("program", bench.PROGRAMS, ids=lambda p: f"{p.dialect} {p.name}")
def test_both_run_to_the_same_loss(program):
    losses = []
    for call in program.calls(2).values():
        np.random.seed(1)
        call()
        losses.append(call())
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_the_table_has_a_row_for_each_program_asked_for(capsys):
    bench.main(["XOR", "--seconds", "0.01"])
    _, row = capsys.readouterr().out.splitlines()
    assert row.startswith("listnet: XOR") and "required 1" in row
