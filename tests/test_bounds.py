"""Kernels access nothing outside the arrays that they are given. Not collected in a pure-Python
install.

Every array is placed next to a guard page, so that any access out of bounds faults and kills the
process. The cases therefore run in a separate process, for which this file is the program.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import cases
import channels_last
import forced
import job_cases
import numpy as np
import pytest
from job_case import draw

import cnnx
from cnnx.backends import compiled

PROT_NONE = 0


def fenced(array: np.ndarray, at_end: bool) -> np.ndarray:
    """A copy that ends where a guard page begins, or that begins where one ends."""
    page, room = mmap.PAGESIZE, -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, room + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for address in (start, start + page + room):
        if protect(ctypes.c_void_p(address), ctypes.c_size_t(page), PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = page + room - array.nbytes if at_end else page
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    return copy


def ways(op: str, arguments: dict) -> tuple[str, ...]:
    """The algorithms of a case: its own, and for 3x3 windows with stride 1 Winograd's too."""
    can = "conv" in op and arguments["weight"].shape[2:] == (3, 3)
    can = can and not {"stride", "dilation", "groups"} & arguments.keys()
    return ("", *forced.WAYS) if can else ("",)


def call_all(isa: str) -> None:
    """Run every case of every op, after printing a line that names it."""
    compiled.set_isa(isa)
    for case in cases.cases():
        for dtype in (np.float32, np.float64):
            given = case.arguments(dtype)
            for at_end in (True, False):
                where = "at the end" if at_end else "at the start"
                for way in ways(case.op, given):
                    print(case, np.dtype(dtype), where, way, flush=True)
                    arguments = cases.mapped(lambda name, a: fenced(a, at_end), given)  # noqa: B023
                    with forced.winograd(way) if way else nullcontext():
                        cases.call(getattr(cnnx.ops, case.op), case.op, arguments)


def run_all_jobs() -> None:
    """Run every prepared op, the convolutions of packed weights among them."""
    jobs = {
        (name, dtype.__name__): (case.prepare(dtype), draw(case.shapes, dtype))
        for name, case in job_cases.CASES.items()
        for dtype in (np.float32, np.float64)
    }
    for row in job_cases.PACKED:
        shapes = row[2], row[3], row[3][:1], row[4]
        jobs[row] = job_cases.packed_once(row), draw(shapes, np.float32)
    for row in channels_last.ROWS:
        for dtype in (np.float32, np.float64):
            jobs[row, dtype] = (
                channels_last.prepared(row, dtype),
                channels_last.inputs_of(row, dtype),
            )
    for name, (job, inputs) in jobs.items():
        for at_end in (True, False):
            print("job", name, at_end, flush=True)
            given = iter(inputs)
            arrays = []
            for wanted in job.arrays:
                if wanted.role == "out":
                    arrays.append(fenced(np.zeros(wanted.shape, wanted.dtype), at_end))
                    continue
                array = next(given)
                array = None if array is None else fenced(array, at_end)
                arrays.append(job.pack(array) if wanted.role == "weight" else array)
            job.run(*arrays)


@pytest.mark.parametrize("isa", compiled.usable_isas())
def test_no_kernel_reads_or_writes_outside_an_array(isa):
    done = subprocess.run(
        [sys.executable, __file__, isa],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "CNNX_BACKEND": "compiled"},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    last = "".join(done.stdout.splitlines()[-1:])
    assert done.returncode == 0, f"{last}: status {done.returncode}\n{done.stderr[-2000:]}"


def test_the_guard_page_faults():
    """Otherwise the test above could not fail."""
    code = "import ctypes, numpy as np, test_bounds as t; a = t.fenced(np.ones(3), {}); "
    code += "print(a.sum(), flush=True); ctypes.string_at(a.ctypes.data + {}, 1)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for at_end, beside in ((True, 24), (False, -1)):
        words = [sys.executable, "-c", code.format(at_end, beside)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.stdout == "3.0\n" and done.returncode < 0


if __name__ == "__main__":
    call_all(sys.argv[1])
    run_all_jobs()
