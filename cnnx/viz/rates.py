"""The loss over learning rates that were tried."""

from __future__ import annotations

import os
from typing import Any

from . import figures

__all__ = ["plot_lr_find"]


def plot_lr_find(rates: Any, path: str | os.PathLike[str] | None = None, ax: Any = None) -> Any:
    """The smoothed loss over the learning rate, on a logarithmic axis, with the suggestion marked.

    rates    what `cnnx.lr_find` returned
    path     a file to write, completely or not at all: .png, .svg, .pdf (selected by the suffix)
    ax       a matplotlib Axes to draw on; None creates a figure

    returns  the matplotlib Figure

    TypeError for something else; ImportError, with advice, if matplotlib is not installed.

    >>> rates = cnnx.lr_find(model, test, steps=20, seed=0)
    >>> figure = cnnx.viz.plot_lr_find(rates, "rates.png")
    """
    op = "plot_lr_find"
    if not (hasattr(rates, "lrs") and hasattr(rates, "losses")):
        raise TypeError(
            f"{op}: rates is a {type(rates).__name__}, expected what cnnx.lr_find returned"
        )
    axes = figures.new_figure(5.2, 3.8).subplots() if ax is None else figures.an_axes(op, ax)
    axes.plot(rates.lrs, rates.losses)
    axes.set_xscale("log")
    axes.set_xlabel("Learning rate")
    axes.set_ylabel("Smoothed loss")
    if rates.suggestion is not None:
        loss = rates.losses[rates.lrs.index(rates.suggestion)]
        axes.plot([rates.suggestion], [loss], "o", label=f"{rates.suggestion:.2g}")
        axes.legend(title="Steepest descent")
    return figures.finish(op, axes, path)
