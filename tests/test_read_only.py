"""Ops do not write to their inputs: read-only arrays and memory-mapped files give the same bits."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import cnnx
from cnnx import ops


def _changes(case, name):
    """In inference, batch norm only reads the running statistics."""
    return cases.is_changed(case.op, name) and case.arguments().get("training", True)


def _read_only(array):
    array.flags.writeable = False
    return array


def _closed(case, folder):
    """A case's arguments, with read-only inputs: arrays, or memory-mapped files in a folder."""

    def closed(name, array):
        if _changes(case, name):
            return array
        if not array.size or folder is None:  # empty arrays cannot be memory-mapped
            return _read_only(array)
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{name}.npy", array)
        return np.load(folder / f"{name}.npy", mmap_mode="r").reshape(array.shape)

    return cases.mapped(closed, case.arguments(np.float32))


def _bits(results):
    return {n: np.asarray(r).tobytes() for n, r in results.items()}


@pytest.mark.parametrize("op", sorted(cases.CASES))
@pytest.mark.parametrize("backend", cnnx.available_backends())
def test_every_input_may_be_read_only(op, backend, tmp_path):
    function = getattr(ops, op)
    with cnnx.use_backend(backend):
        for case in cases.cases(op):
            expected = _bits(cases.call(function, op, case.arguments(np.float32)))
            for folder in (None, tmp_path / case.name):
                found = _bits(cases.call(function, op, _closed(case, folder)))
                assert found == expected, f"{case}, {'in files' if folder else 'read-only'}"


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("op", sorted(cases.IN_PLACE))
def test_an_array_that_an_op_changes_must_not_be_read_only(op, backend):
    """The error is raised before anything is changed, and names the array."""
    names = [n for n, _ in cases.arrays(_changing(op).arguments()).items()]
    for name in names:
        if not cases.is_changed(op, name):
            continue
        arguments = _changing(op).arguments()
        before = {n: a.copy() for n, a in cases.arrays(arguments).items()}
        _read_only(cases.arrays(arguments)[name])
        message = rf"^{op}: {name.replace('[', '.').replace(']', '.')} .*read-only"
        with cnnx.use_backend(backend), pytest.raises(ValueError, match=message):
            getattr(ops, op)(**arguments)
        for n, a in cases.arrays(arguments).items():
            np.testing.assert_array_equal(a, before[n])


def _changing(op):
    """A case that changes something."""
    table = cases.cases(op)
    return next(c for c in table if any(_changes(c, n) for n in cases.arrays(c.arguments())))


def test_batch_norm_with_read_only_memory_mapped_statistics(tmp_path):
    """As joblib.load(..., mmap_mode="r") makes them."""
    layer = cnnx.BatchNorm2D(3).eval()
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5)).astype(np.float32)
    expected = layer(x)
    for name in ("running_mean", "running_var"):
        np.save(tmp_path / name, getattr(layer, name))
        setattr(layer, name, np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    np.testing.assert_array_equal(layer(x), expected)
