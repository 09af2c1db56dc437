"""Pass 5: what each step asks of the backend, found by running the steps once.

A fused step, a layer, a view of a signal as an image, "same" padding: all end in calls of a
backend's functions, with the settings in their final form. So a network is run once, on zeros of
the wanted shape, by a backend that notes its calls.
"""

# Design:
# Only cnnx's own layers are looked into: their calls depend on nothing but shapes, settings and
# weights. An array of a call is known by its memory: it is an input of the step, a result of the
# call, or a weight of the layer. If there is any other, such as a copy in another dtype, or if
# there are several calls, the step stays a step in Python.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnnx.config import backend, compute_with
from cnnx.graph.run import Plan
from cnnx.graph.steps import Step
from cnnx.graph.wiring import is_builtin, is_patched
from cnnx.layers.run import no_grad, run_mode
from cnnx.tuples import NamedTuple

__all__ = ["Call", "Recorded", "View", "record", "same_memory"]


class Call(NamedTuple):
    """A function of the backend, its arguments, and what it returned."""

    op: str
    arguments: tuple[Any, ...]
    results: tuple[np.ndarray, ...]


class View(NamedTuple):
    """What `numpy.lib.stride_tricks.as_strided` makes of an array, all counted in elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class Recorded(NamedTuple):
    """A step, and what it did.

    call     the call that computes it; None: it is not known to be a single one
    view_of  the number of the value of which the output is a view in another shape; else None
    view     the view of its input of which the output is a copy; None: it is none
    holds    the inputs with which its output may share memory
    reads    the arrays of its inputs, and `weights` of its layers, to compare addresses with
    """

    step: Step
    call: Call | None
    view_of: int | None
    view: View | None
    holds: tuple[int, ...]
    reads: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def record(plan: Plan, inputs: Sequence[np.ndarray]) -> Iterator[Recorded]:
    """Run all steps with these inputs, on the backend in use, and yield each before the next."""
    values: dict[int, Any] = dict(enumerate(inputs))
    for step in plan.steps:
        xs = tuple([values[i] for i in step.inputs])
        recorder = _Recorder(backend())
        quiet = np.errstate(all="ignore")  # zeros are no likely input
        with no_grad(), run_mode(training=False), compute_with(recorder), quiet:
            y = np.asarray(step.run(None, xs, True))
        values[step.output] = y
        yield _recorded(step, xs, y, recorder.calls)
        for i in step.frees:
            del values[i]


class _Recorder:
    """Computes as a backend does, and notes the calls."""

    def __init__(self, computes: Any) -> None:
        self._backend, self.__name__ = computes, computes.__name__
        self.calls: list[Call] = []

    def __getattr__(self, op: str) -> Any:
        function = getattr(self._backend, op)

        def noting(*arguments: Any) -> Any:
            result = function(*arguments)
            results = result if isinstance(result, tuple) else (result,)
            self.calls.append(Call(op, arguments, results))
            return result

        return noting


def _recorded(step: Step, xs: tuple[Any, ...], y: np.ndarray, calls: list[Call]) -> Recorded:
    layers = [node.layer for node in step.nodes()]
    own = all(is_builtin(layer) and not is_patched(layer) for layer in layers)
    holds = tuple([i for i, x in zip(step.inputs, xs, strict=True) if np.may_share_memory(x, y)])
    call, view_of, view = None, None, None
    if own and len(calls) == 1 and same_memory(y, calls[0].results[0]):
        call = calls[0]
    if own and not calls and holds and same_memory(y, xs[step.inputs.index(holds[0])]):
        view_of = holds[0]
    if own and not calls and view_of is None and len(layers) == len(xs) == 1:
        view = _view(layers[0]._view(*xs), xs[0], y)
    weights = [p.data for layer in layers for p in layer.parameters()]
    for layer in layers:
        for part in layer.modules():
            buffers = [getattr(part, name) for name in part.buffer_names]
            weights += [buffer for buffer in buffers if buffer is not None]
            weights += part._derived()
    return Recorded(step, call, view_of, view, holds, xs, tuple(weights), y.shape, y.dtype)


def _view(view: np.ndarray | None, x: np.ndarray, y: np.ndarray) -> View | None:
    """Of x, which is copied to y."""
    if view is None or view.dtype != y.dtype or view.dtype == object or not x.flags.c_contiguous:
        return None
    if not np.may_share_memory(view, x):
        return None
    offset = (view.ctypes.data - x.ctypes.data) // x.itemsize
    return View(view.shape, tuple([step // x.itemsize for step in view.strides]), offset)


def same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same numbers in memory, in the same order."""
    return (
        a.ctypes.data == b.ctypes.data
        and a.dtype == b.dtype
        and a.size == b.size
        and a.flags.c_contiguous
        and b.flags.c_contiguous
    )
