"""A diagram of a model: its layers from top to bottom, with the shapes between them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from cnnx import checks
from cnnx.layers import Layer
from cnnx.layers.base import BUILTIN
from cnnx.layers.parameter import Parameter

from . import figures, look
from .images import Path

__all__ = ["plot_model"]

# A colour for each kind of layer, by the first word of its class name.
_KINDS = (
    ("Conv", "#d6e6f7"),
    ("Linear", "#fbe3cf"),
    ("Residual", "#d3ece3"),
    ("BatchNorm", "#ece4f3"),
    ("MaxPool", "#dff0d8"),
    ("AvgPool", "#dff0d8"),
    ("GlobalAvgPool", "#dff0d8"),
)
_OTHER = "#f1f2f4"


def plot_model(model: Layer, input_shape: Any, *, path: Path = None, ax: Any = None) -> Any:
    """The layers of a model from top to bottom: settings, parameters, and the output shape of each.

    input_shape  of one sample, without the batch axis

    Nested Sequentials are expanded; a Residual or a user-defined layer is one box. Returns the
    matplotlib Figure; ValueError for a shape that the model does not accept

    >>> figure = cnnx.viz.plot_model(cnnx.models.lenet5(), (1, 28, 28), path="lenet5.png")
    """
    op = "plot_model"
    layers = look.chain(op, model)
    try:
        shape = tuple(checks.integer(op, "input_shape", size) for size in input_shape)
    except TypeError as error:
        raise ValueError(f"{op}: input_shape is {input_shape!r}, expected its sizes") from error
    axes = figures.one_panel(op, ax, 5.2, 0.55 * len(layers) + 0.9)
    figures.quiet(axes)
    axes.set_xlim(0, 10)
    axes.set_ylim(len(layers) + 0.6, -0.7)
    _shape_text(axes, -0.35, shape, "input  ")
    seen: set[int] = set()
    for row, (name, layer) in enumerate(layers):
        shape = layer.output_shape(shape)
        own = [p for p in layer.parameters() if id(p) not in seen]
        seen.update(map(id, own))
        _box(axes, row + 0.25, name, layer, sum(p.size for p in own))
        _shape_text(axes, row + 0.75, shape)
        below = row + 0.98 if row + 1 < len(layers) else row + 0.92
        axes.annotate(
            "",
            (3.2, below),
            (3.2, row + 0.53),
            arrowprops={"arrowstyle": "-|>", "color": figures.SOFT, "linewidth": 0.9},
        )
    total = sum(p.size for p in model.parameters())
    axes.text(
        0.1, len(layers) + 0.32, f"{total:,} parameters", fontsize=9, fontweight="bold",
        color=figures.INK, va="center",
    )  # fmt: skip
    return figures.finish(op, axes, path)


def _box(axes: Any, middle: float, name: str, layer: Layer, parameters: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    kind = type(layer).__name__
    colour = next((c for word, c in _KINDS if kind.startswith(word)), _OTHER)
    axes.add_patch(
        FancyBboxPatch(
            (0.15, middle - 0.24),
            9.7,
            0.48,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=colour,
            edgecolor="none",
        )
    )
    settings = _settings(layer) if kind in BUILTIN else ""
    axes.text(0.4, middle, name, fontsize=8, color=figures.SOFT, va="center")
    axes.text(1.5, middle, kind, fontsize=9.5, fontweight="bold", color=figures.INK, va="center")
    axes.text(4.1, middle, settings, fontsize=8, color=figures.INK, va="center")
    if parameters:
        axes.text(
            9.65, middle, f"{parameters:,}", fontsize=8, color=figures.INK, va="center", ha="right"
        )


def _settings(layer: Layer) -> str:
    """Settings that are not defaults and not visible from the shapes: ``kernel 5, padding 2``."""
    said = []
    for name, argument in inspect.signature(type(layer)).parameters.items():
        value = getattr(layer, name, None)
        told = name.startswith(("in_", "out_", "num_")) or isinstance(
            value, (Layer, Parameter, np.ndarray)
        )
        usual = argument.default
        pair = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
        if told or value is None or usual in (value, pair):
            continue
        said.append(f"{name.removesuffix('_size').replace('_', ' ')} {pair}")
    text = ", ".join(said)
    return text if len(text) <= 36 else text[:35] + "…"


def _shape_text(axes: Any, middle: float, shape: tuple[int, ...], before: str = "") -> None:
    text = " × ".join(map(str, shape)) or "a number"  # noqa: RUF001
    axes.text(3.45, middle, before + text, fontsize=8.5, color=figures.SOFT, va="center")
