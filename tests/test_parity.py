"""The compiled backend equals the reference: every op, kernel set, dtype and layout, on one and on
several threads (test_threads.py has more of those).

The expected value is the reference in float64 (which equals the oracle) on exactly the numbers that
the compiled op was given. Not collected in a pure-Python install (see conftest.py).
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest
import tolerance

import cnnx
from cnnx.backends import compiled

ROOT = Path(__file__).parents[1]
DTYPES = (np.float32, np.float64)
EVERY = [*cases.cases(), *cases.LARGE.values()]
RICHEST = [cases.richest(op) for op in cases.CASES]


@pytest.fixture(autouse=True)
def _compiled():
    with cnnx.use_backend("compiled"), cnnx.use_algorithm("direct"):  # Winograd: test_winograd.py
        yield


def _op(name):
    return getattr(cnnx.ops, name)


def _truth(case, arguments):
    """Results and magnitudes of the reference in float64."""
    with cnnx.use_backend("reference"):
        wide = cases.cast(arguments, np.float64)
        expected = cases.call(_op(case.op), case.op, cases.cast(wide, np.float64))
        return expected, tolerance.magnitudes(_op(case.op), case, wide, expected)


@functools.cache
def _plain_truth(case, dtype):
    """The same for every kernel set."""
    return _truth(case, case.arguments(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("case", EVERY, ids=str)
def test_compiled_equals_the_reference(case, dtype, isa, all_threads):
    """On one thread, and bit-identical on three, some of which may find no task."""
    expected, magnitude = _plain_truth(case, dtype)
    cnnx.set_num_threads(1)
    actual = cases.call(_op(case.op), case.op, case.arguments(dtype))
    tolerance.assert_same_results(actual, expected, case, dtype, magnitude)
    for name, value in cases.arrays(actual).items():
        wanted = dtype if expected[name].dtype == np.float64 else expected[name].dtype
        assert value.dtype == wanted, f"{case} result {name}: {value.dtype}"
        if name == "1" and case.op.endswith("max_pool2d"):
            np.testing.assert_array_equal(value, expected[name])
    cnnx.set_num_threads(3)
    again = cases.call(_op(case.op), case.op, case.arguments(dtype))
    tolerance.assert_all_same_bits(again, actual, f"{case}, 3 threads")


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_every_element_of_a_result_is_written(case):
    """The memory of the results previously contained NaN."""
    for dtype in DTYPES:
        before = cases.call(_op(case.op), case.op, case.arguments(dtype))
        arguments = case.arguments(dtype)
        sizes = [a.nbytes for a in cases.arrays(before).values() for _ in range(2)]
        full = [cnnx.ops.relu(np.full(-(-size // 4), np.nan, np.float32)) for size in sizes]
        del full
        after = cases.call(_op(case.op), case.op, arguments)
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)


def test_a_debug_build_hands_out_memory_full_of_nan():
    """In such a build, every test detects elements that no kernel wrote, including scratch."""
    flags = cnnx.config_dict()["compiler flags"].split()
    for n in (1, 7, 1000, 7):
        block = compiled.memory.uninitialised(n)
        assert np.isnan(block).all() or "-DCNNX_DEBUG" not in flags
        block[...] = 1


def test_an_empty_batch_does_not_change_the_statistics_of_batch_norm():
    for backend in ("reference", "compiled"):
        mean, var = np.array([1.0, 2.0]), np.array([3.0, 4.0])
        with cnnx.use_backend(backend):
            y, _, _ = cnnx.ops.batch_norm(np.zeros((0, 2, 3, 3)), None, None, mean, var)
        assert y.shape == (0, 2, 3, 3), backend
        np.testing.assert_array_equal([mean, var], [[1, 2], [3, 4]])


@pytest.mark.parametrize("name", compiled.usable_isas())
def test_the_environment_selects_the_kernel_set(name):
    code = "from cnnx.backends import compiled; print(compiled.isa())"
    environment = os.environ | {"CNNX_ISA": name}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == name, done.stderr


def test_the_best_usable_kernel_set_is_the_default_and_the_portable_one_is_there():
    assert "baseline" in compiled.usable_isas()
    if "CNNX_ISA" not in os.environ:
        assert compiled.isa() == compiled.usable_isas()[0]


def test_an_unknown_kernel_set_is_an_error_that_lists_the_usable_ones():
    before = compiled.isa()
    with pytest.raises(ValueError, match="mmx") as caught:
        compiled.set_isa("mmx")
    assert all(name in str(caught.value) for name in compiled.usable_isas())
    assert compiled.isa() == before


# ---------------------------------------------------------------------------- layouts of inputs


def _strided(a):
    """Every second element of a larger array, along each axis; the rest is poison."""
    big = np.full([2 * s + 1 for s in a.shape], np.nan if a.dtype.kind == "f" else 99, a.dtype)
    view = big[tuple(slice(1, 2 * s + 1, 2) for s in a.shape)]
    view[...] = a
    return view


def _reversed(a):
    flip = tuple(slice(None, None, -1) for _ in a.shape)
    return np.ascontiguousarray(a[flip])[flip]


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _byte_swapped(a):
    return a.astype(a.dtype.newbyteorder())


def _unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype) if a.size else np.zeros(0, a.dtype)
    view = view.reshape(a.shape)
    view[...] = a
    return view


LAYOUTS = {
    "strided": _strided,
    "reversed": _reversed,
    "fortran": np.asfortranarray,
    "read-only": _read_only,
    "byte-swapped": _byte_swapped,
    "unaligned": _unaligned,
}


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_any_layout_of_the_inputs_gives_the_same_bits(case, layout, backend):
    plain = case.arguments(np.float32)
    laid_out = cases.mapped(
        lambda name, a: a if cases.is_changed(case.op, name) else LAYOUTS[layout](a),
        case.arguments(np.float32),
    )
    assert any(_is_laid_out(array) for array in cases.arrays(laid_out).values())
    with cnnx.use_backend(backend):
        expected = cases.call(_op(case.op), case.op, plain)
        actual = cases.call(_op(case.op), case.op, laid_out)
    tolerance.assert_all_same_bits(actual, expected, str(case))
    assert all(array.dtype.isnative for array in cases.arrays(actual).values())


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_inputs_are_not_changed(case, backend):
    arguments, copies = case.arguments(np.float32), cases.arrays(case.arguments(np.float32))
    with cnnx.use_backend(backend):
        _op(case.op)(**arguments)
    for name, value in cases.arrays(arguments).items():
        if not cases.is_changed(case.op, name):
            np.testing.assert_array_equal(value, copies[name])


def _is_laid_out(array):
    """Whether the layout differs from a plain array: a vector is the same in Fortran order."""
    flags = array.flags
    plain = flags.c_contiguous and flags.aligned and flags.writeable and array.dtype.isnative
    return not plain


def _not_in_place():
    """(case, changed array, layout) for every op that changes arrays, for every such array, and for
    every layout that it can have."""
    for op in cases.IN_PLACE:
        for case in (c for c in cases.CASES[op] if c.name in ("4-d", "everything-several", *FULL)):
            for name, array in cases.arrays(case.arguments(np.float32)).items():
                for layout in LAYOUTS if cases.is_changed(op, name) and array.size > 1 else ():
                    if _is_laid_out(LAYOUTS[layout](array)):
                        yield case, name, layout


# For ops without a variant that has all arguments.
FULL = ("weight-decay-and-eps-several", "tenth-several", "amsgrad-several", "several")
FULL += ("decoupled-several",)
LISTS = ("params", "averages")  # of arrays of any shape
NOT_IN_PLACE = list(_not_in_place())


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize(("case", "name", "layout"), NOT_IN_PLACE, ids=str)
def test_an_array_that_cannot_be_changed_in_place_is_refused_and_not_copied(
    case, name, layout, backend
):
    laid_out = LAYOUTS[layout](cases.arrays(case.arguments(np.float32))[name])
    before = laid_out.copy()
    arguments = _replaced(case, name, laid_out)
    message = rf"^{case.op}: .*{re.escape(name)}" + ".*read-only" * (layout == "read-only")
    with cnnx.use_backend(backend), pytest.raises(ValueError, match=message):
        _op(case.op)(**arguments)
    np.testing.assert_array_equal(laid_out, before)


def test_every_array_changed_in_place_is_tested_in_every_possible_layout():
    """Matrices in all layouts; vectors are plain in Fortran order."""
    tried: dict[str, set[str]] = {}
    for case, name, layout in NOT_IN_PLACE:
        tried.setdefault(f"{case.op} {name.partition('[')[0]}", set()).add(layout)
    vectors = set(LAYOUTS) - {"fortran"}
    assert set(tried) == {f"{op} {name}" for op, names in cases.IN_PLACE.items() for name in names}
    for array, layouts in tried.items():
        assert layouts == (vectors | {"fortran"} if array.endswith(LISTS) else vectors), array


def _replaced(case, name, array):
    """The case's arguments with one array replaced."""
    return cases.mapped(lambda key, a: array if key == name else a, case.arguments(np.float32))


# ------------------------------------------------------------------------------- special values


def _poisoned(arguments, values):
    """The same arguments with a few special values in every data array."""
    rng = np.random.default_rng(4)
    for name, array in cases.arrays(arguments).items():
        data = name in ("x", "dy", "add", "cols", "logits", "pred")
        data = data or name.startswith(("grads", "arrays"))
        data = data or (name == "y" and "x" in arguments)  # the other one of two, nothing saved
        if data and array.size:
            places = rng.choice(array.size, size=max(1, array.size // 20), replace=False)
            array.reshape(-1)[places] = rng.choice(values, size=places.size)
    return arguments


# Close together: an infinity times a probability that float32 rounds to zero is NaN there only.
SPECIAL = [case for case in EVERY if not case.name.startswith(("empty", "far-apart"))]


@pytest.mark.parametrize("values", [[np.nan], [np.inf, -np.inf]], ids=str)
@pytest.mark.parametrize("case", SPECIAL, ids=str)
def test_nan_and_infinity_go_where_they_go_in_the_reference(case, values):
    if case.op == "bce":  # an infinity is no probability
        values = [np.nan]
    with np.errstate(all="ignore"):
        expected, magnitude = _truth(case, _poisoned(case.arguments(np.float32), values))
        actual = cases.call(_op(case.op), case.op, _poisoned(case.arguments(np.float32), values))
    tolerance.assert_same_results(actual, expected, case, np.float32, magnitude)
    if case.op.endswith("max_pool2d"):
        np.testing.assert_array_equal(actual["1"], expected["1"])


@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_denormal_numbers_count_as_numbers_or_as_zero(case):
    values = np.array([1e-45, 1e-39, 3e-40] if case.op == "bce" else [1e-45, -1e-45, -1e-39])
    actual = cases.call(_op(case.op), case.op, _poisoned(case.arguments(np.float32), values))
    if case.op.endswith("max_pool2d"):  # among zeros and denormals, any may be the maximum
        del actual["1"]
    tiny = 8 * case.length * float(np.finfo(np.float32).tiny)
    wrong = []
    for counted in (values, 0 * values):
        expected, magnitude = _truth(case, _poisoned(case.arguments(np.float32), counted))
        expected = {name: expected[name] for name in actual}
        try:
            tolerance.assert_same_results(actual, expected, case, np.float32, magnitude, tiny)
        except AssertionError as error:
            wrong.append(str(error))
    assert len(wrong) < 2, wrong


OUTSIDE = """
import sys
import numpy as np
import cnnx

first, others = map(int, sys.argv[2:])
argmax = np.full((3, 2, 3, 3), others, np.uint8)
argmax[:, :, :, 0] = first
dy = np.ones(argmax.shape, np.float32)
with cnnx.use_backend(sys.argv[1]):
    try:
        back = cnnx.ops.max_pool2d_backward
        window = (3, 2, 5, 5), 3, 2, 1
        print(back(dy, argmax, *window).tolist())
        x = np.ones((3, 2, 5, 5), np.float32)
        print(back(dy, argmax, *window, ties="all", x=x).tolist())
    except ValueError as error:
        print(error)
"""


@pytest.mark.parametrize("places", [("0", "4"), ("4", "8")], ids=["top left", "bottom right"])
def test_an_argmax_in_the_padding_writes_nothing_outside_the_image(places):
    """It is in the window but not in the image: both backends ignore it, or both reject it."""
    outcomes = []
    for backend in ("reference", "compiled"):
        command = [sys.executable, "-c", OUTSIDE, backend, *places]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        outcomes.append(done.stdout)
    assert outcomes[0] == outcomes[1]


# ------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_outputs_are_contiguous_aligned_writeable_and_not_views_of_inputs(case, dtype):
    arguments = case.arguments(dtype)
    results = cases.call(_op(case.op), case.op, arguments)
    inputs = list(cases.arrays(arguments).values())
    for name, value in cases.arrays(results).items():
        if name.isdigit():
            assert value.flags.c_contiguous and value.flags.writeable, f"result {name}"
            assert value.ctypes.data % 64 == 0, f"result {name} is not 64-byte aligned"
            assert not any(np.may_share_memory(value, x) for x in inputs), f"result {name}"


@pytest.mark.parametrize("case", RICHEST, ids=str)
def test_a_later_call_never_changes_earlier_results(case):
    first = cases.arrays(cases.call(_op(case.op), case.op, case.arguments(np.float32)))
    copies = {name: value.copy() for name, value in first.items()}
    for _ in range(3):
        other = case.arguments(np.float32)
        for value in cases.arrays(other).values():
            if value.dtype == np.float32:
                value[...] = 1.0 if case.op == "binary_focal" else 0.5  # targets are 0 or 1
        cases.call(_op(case.op), case.op, other)
    for name, value in first.items():
        np.testing.assert_array_equal(value, copies[name])
