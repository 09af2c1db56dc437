"""The decision boundary as a web page that can be rotated and zoomed, by plotly."""

# Design:
# The page contains plotly's script and makes no network requests, neither to load parts of itself
# nor to share the plot: plotly's button for that is left out.

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnx import io

from . import figures
from .arguments import class_name
from .boundary import Plane, boundaries, colour_of, groups, has_legend
from .surface import heights

__all__ = ["page"]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Decision boundary</title>
{}
</html>
"""
LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"color": figures.INK},
    # The plane is a square, with a legend next to it.
    "width": 780,
    "height": 680,
    "margin": {"l": 70, "r": 130, "t": 40, "b": 60},
}
CONFIG = {"displaylogo": False, "showSendToCloud": False}
WHERE = "x %{x:.3f}<br>y %{y:.3f}<br>"


def page(plane: Plane, kind: str, path: str | os.PathLike[str]) -> Any:
    """Write the page, including plotly's own script; returns plotly's figure."""
    if os.path.splitext(os.fspath(path))[1].lower() not in (".html", ".htm"):
        raise ValueError(
            f"plot_decision_boundary: interactive is {os.fspath(path)!r}, expected a name in .html"
        )
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ImportError(
            "interactive pictures are drawn with plotly: pip install 'cnnx[plotly]'"
        ) from error
    figure = go.Figure(layout={**LAYOUT, "showlegend": has_legend(plane)})
    (_surface if kind == "surface" else _regions)(go, figure, plane)
    text = figure.to_html(full_html=False, include_plotlyjs=True, config=CONFIG)
    io.write_text_atomic(path, PAGE.format(text))
    return figure


def _surface(go: Any, figure: Any, plane: Plane) -> None:
    figure.add_trace(
        go.Surface(
            **_grid(plane),
            z=plane.outputs[..., 0],
            colorscale="Viridis",
            opacity=0.85,  # an opaque surface would hide points that lie on it
            colorbar={"title": "output"},
            hovertemplate=WHERE + "output %{z:.3f}<extra></extra>",
        )
    )
    for mask, marks in _points(plane, 7):
        figure.add_trace(go.Scatter3d(**marks, z=heights(plane, mask), hovertemplate=WHERE))
    figure.update_layout(
        # The same viewing angle as in matplotlib.
        scene={"zaxis_title": "output", "camera": {"eye": {"x": 1.1, "y": -1.9, "z": 1.1}}},
        legend={"x": 0, "y": 1, "title": "class", "itemsizing": "constant"},
    )


def _regions(go: Any, figure: Any, plane: Plane) -> None:
    count = int(plane.labels.max()) + 1
    names = np.array([html.escape(class_name(plane.names, k)) for k in range(count)])
    figure.add_trace(
        go.Heatmap(
            **_grid(plane),
            z=plane.labels,
            text=names[plane.labels],
            colorscale=[(edge / count, colour_of(k)) for k in range(count) for edge in (k, k + 1)],
            zmin=-0.5,
            zmax=count - 0.5,
            opacity=0.3,
            showscale=False,
            hovertemplate=WHERE + "the model says %{text}<extra></extra>",
        )
    )
    for lead in boundaries(plane):
        figure.add_trace(
            go.Contour(
                **_grid(plane),
                z=lead,
                contours={"start": 0, "end": 0, "coloring": "none"},
                line={"color": figures.SOFT, "width": 1},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    for _, marks in _points(plane, 7 if len(plane.points) > 50 else 10):
        figure.add_trace(go.Scatter(**marks, hovertemplate=WHERE))
    bare = {"showgrid": False, "zeroline": False}
    figure.update_layout(
        xaxis={"title": "x", **bare}, yaxis={"title": "y", **bare}, legend={"title": "class"}
    )


def _grid(plane: Plane) -> dict[str, Any]:
    return {"x": plane.across, "y": plane.up}


def _points(plane: Plane, size: int) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """(mask, keyword arguments of the scatter) for the points of each class."""
    for name, colour, mask in groups(plane):
        x, y = plane.points[mask].T
        marker = {"color": colour, "size": size, "line": {"color": "white", "width": 1}}
        yield mask, {"x": x, "y": y, "mode": "markers", "name": html.escape(name), "marker": marker}
