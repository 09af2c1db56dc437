"""The single output of a model as height over the plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import figures
from .boundary import Plane, groups, has_legend

__all__ = ["heights", "surface"]


def surface(plane: Plane, ax: Any) -> Any:
    """Draw the surface, with the known points at the height of their class; returns the Axes."""
    if ax is None:
        ax = figures.new_figure(5.2, 4.6).add_subplot(projection="3d")
    across, up = np.meshgrid(plane.across, plane.up)
    ax.computed_zorder = False  # otherwise the surface hides points that lie on it
    ax.plot_surface(
        across, up, plane.outputs[..., 0], cmap="viridis", linewidth=0, alpha=0.85, rcount=60,
        ccount=60,
    )  # fmt: skip
    for name, colour, mask in groups(plane):
        ax.scatter(
            *plane.points[mask].T,
            heights(plane, mask),
            color=colour,
            edgecolor="white",
            s=42,
            depthshade=False,
            label=figures.plain(name),
            zorder=3,
        )
    figures.label_axes(ax, "x", "y")
    ax.tick_params(labelsize=8, pad=0)
    ax.set_zlabel("output", fontsize=10, color=figures.SOFT)
    ax.view_init(elev=28, azim=-60)
    ax.set_box_aspect(None, zoom=0.92)
    if has_legend(plane):
        ax.legend(title="class", fontsize=8, title_fontsize=8, loc="upper left", frameon=False)
    return ax


def heights(plane: Plane, mask: np.ndarray) -> np.ndarray:
    """Heights of the points: their class, or the floor if it is unknown."""
    if plane.right is None:
        return np.full(int(mask.sum()), plane.outputs.min())
    return plane.right[mask].astype(np.float64)
