"""`compare_backends`: a model layer by layer in two backends."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from cnnx import checks, config, random
from cnnx.graph.container import Container, flatten
from cnnx.layers import Layer, no_grad

__all__ = ["Comparison", "Difference", "compare_backends"]


class Difference(NamedTuple):
    """How far the outputs of a layer are apart.

    name, layer  of the node, and the class of its layer
    own       largest |a - b| / largest |b| with the same inputs: what this layer adds
    ulps      the same |a - b| in units of the last place of the largest |b|
    total     that with each backend's own inputs: what has accumulated up to here
    """

    name: str
    layer: str
    own: float
    ulps: float
    total: float


class Comparison(list[Difference]):
    """The differences of all layers, in order. `first` is the first layer above the tolerance."""

    def __init__(self, rows: list[Difference], backends: tuple[str, str], rtol: float) -> None:
        super().__init__(rows)
        self.backends, self.rtol = backends, rtol

    @property
    def first(self) -> Difference | None:
        """The first layer whose own difference is above the tolerance; None if there is none."""
        # `not <=`: NaN, where one backend has NaN and the other has not, is a difference.
        return next((row for row in self if not row.own <= self.rtol), None)

    def __repr__(self) -> str:
        head = f"{'layer':<28} {'own':>9} {'ulps':>9} {'total':>9}"
        lines = [
            f"{f'{row.name} {row.layer}':<28} {row.own:9.1e} {row.ulps:9.3g} {row.total:9.1e}"
            for row in self
        ]
        one, other = self.backends
        first = self.first
        if first is None:
            end = f"{one} and {other} agree within {self.rtol:.1e} in every layer"
        else:
            end = f"{one} and {other} first differ in {first.name} {first.layer}: {first.own:.1e}"
        return "\n".join([head, *lines, end])


def compare_backends(
    model: Layer,
    x: Any,
    *,
    backends: tuple[str, str] = ("compiled", "reference"),
    rtol: float | None = None,
    seed: int = 0,
) -> Comparison:
    """Run a model in two backends, layer by layer, and say where they first differ.

    model     a Sequential, a Graph or any Layer, in its own mode; a copy is run
    x         a batch of inputs, or a tuple for a model of several
    backends  the one to check, and the one to compare with
    rtol      what a layer may differ by; None: 1e-4 in float32, 1e-12 in float64
    seed      of dropout, for both backends

    Every layer is run with the same inputs in both (those that the second backend computed), so a
    difference is that layer's own; and with each backend's own inputs, for what has accumulated.
    Layers are run one at a time, without fusing. ValueError for an unknown backend.

    Example: ``print(cnnx.testing.compare_backends(model, x).first)``
    """
    op = "compare_backends"
    if not isinstance(model, Layer):
        raise TypeError(f"{op}: model is a {type(model).__name__}, expected a Layer")
    for backend in backends:
        checks.choice(op, "backend", backend, tuple(config.available_backends()))
    inputs = x if isinstance(x, tuple) else (np.asarray(x),)
    model = copy.deepcopy(model)
    rows = []
    with no_grad():
        values: list[dict[int, Any]] = [dict(enumerate(inputs)) for _ in backends]
        for name, layer, reads, writes in nodes(model, len(inputs)):
            outputs = [
                _run(layer, [known[i] for i in reads], backend, seed)
                for backend, known in zip(backends, values, strict=True)
            ]
            same = _run(layer, [values[1][i] for i in reads], backends[0], seed)
            for known, output in zip(values, outputs, strict=True):
                known.update(zip(writes, output, strict=True))
            differences = [_apart(a, b) for a, b in zip(same, outputs[1], strict=True)]
            own, ulps = max(differences, key=lambda pair: (np.isnan(pair[0]), pair[0]))
            total = max(_apart(a, b)[0] for a, b in zip(*outputs, strict=True))
            rows.append(Difference(name, type(layer).__name__, own, ulps, total))
        double = outputs[1][0].dtype == np.float64
    return Comparison(rows, backends, (1e-12 if double else 1e-4) if rtol is None else rtol)


def nodes(model: Layer, inputs: int) -> Any:
    """(name, layer, inputs, outputs) of each node, by numbers of values."""
    if not isinstance(model, Container):
        yield "", model, tuple(range(inputs)), (inputs,)
        return
    for node in flatten(model)[0].nodes:
        yield node.name, node.layer, node.inputs, node.outputs


def _run(layer: Layer, xs: list[Any], backend: str, seed: int) -> tuple[Any, ...]:
    layer = copy.deepcopy(layer)  # running statistics are updated by each of the runs
    with config.use_backend(backend), random.seeded(seed):
        y = layer(*xs)
    return y if isinstance(y, tuple) else (y,)


def _apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The largest difference, relative to the largest number, and in its last places."""
    if a.size == 0:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):
        difference = np.where(a == b, 0, np.abs(a.astype(np.float64) - b))
    difference = np.where(np.isnan(a) & np.isnan(b), 0, difference)
    largest = float(np.max(np.abs(b), where=np.isfinite(b), initial=0))
    apart = float(difference.max())
    scale = np.dtype(b.dtype).type(largest)
    return apart / largest if largest else apart, apart / float(np.spacing(scale))
