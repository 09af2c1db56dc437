"""A case of a prepared op, for test_jobs.py."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """prepare(dtype) -> job; op(*inputs) -> its outputs; shapes of the inputs (None: absent), or
    functions that draw them."""

    prepare: Any
    op: Any
    shapes: tuple[Any, ...]


def draw(shapes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [
        s(rng, dtype)
        if callable(s)
        else None
        if s is None
        else rng.standard_normal(s).astype(dtype)
        for s in shapes
    ]
