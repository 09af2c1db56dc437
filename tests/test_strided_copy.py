"""The job that copies a view, against NumPy's copy of the same view."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import compiled_only

pytestmark = compiled_only

KINDS = [np.bool_, np.int16, np.float32, np.float64, np.int64]


def job_of(view, x):
    from cnnx.backends.compiled import jobs

    offset = (view.ctypes.data - x.ctypes.data) // x.itemsize
    strides = tuple(step // x.itemsize for step in view.strides)
    return jobs.prepare_strided_copy(x.shape, x.dtype, view.shape, strides, offset)


def check(view, x):
    y = np.full(view.shape, 1, x.dtype)
    job_of(view, x).run(x, y)
    np.testing.assert_array_equal(y, view)


def drawn_view(rng, x):
    """Some of: other order, cut, other direction, repeated."""
    for kind in rng.integers(4, size=3):
        if kind == 0:
            x = x.transpose(rng.permutation(x.ndim))
        elif kind == 1:
            x = x[tuple(slice(*sorted(rng.integers(0, n + 1, 2))) for n in x.shape)]
        elif kind == 2:
            x = x[tuple(slice(None, None, int(rng.choice([-2, -1, 1, 3]))) for _ in x.shape)]
        else:
            x = np.broadcast_to(x, (3, *x.shape))
    return x


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_drawn_views(dtype, seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        shape = tuple(rng.integers(1, 9, rng.integers(1, 6)))
        x = rng.integers(0, 100, shape).astype(dtype)
        check(drawn_view(rng, x), x)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T,
        lambda x: x[:, ::-1],
        lambda x: x.reshape(8, 63, 515).transpose(2, 0, 1),
        lambda x: x[100:, 3:],
        lambda x: x.reshape(-1)[5:],
        lambda x: x.reshape(-1)[::3],
        lambda x: np.broadcast_to(x[:, :1], x.shape),
        lambda x: x[3, 4, ...],
        lambda x: np.broadcast_to(x[3, 4, ...], (40000,)),
    ],
)
def test_what_several_tasks_share(view):
    x = np.random.default_rng(0).normal(size=(504, 515)).astype(np.float32)
    check(view(x), x)


def test_denormal_numbers_and_nan_keep_their_bits():
    x = np.arange(64, dtype=np.uint32).reshape(8, 8).view(np.float32)
    x[0, 0] = np.nan
    y = np.empty((8, 8), np.float32)
    job_of(x.T, x).run(x, y)
    assert y.tobytes() == x.T.tobytes()


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((4,), (2,), 0), ((4,), (-1,), 2), ((2,), (1,), 5), ((1,), (0,), -1), ((2, 3), (3, 1), 1)],
)
def test_a_view_beyond_its_array_is_refused(shape, strides, offset):
    from cnnx.backends.compiled import jobs

    with pytest.raises(ValueError, match="of an array of 6"):
        jobs.prepare_strided_copy((2, 3), np.float32, shape, strides, offset)
