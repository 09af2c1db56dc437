"""The decision boundary as a web page to turn and zoom, by plotly."""

from __future__ import annotations

import os
from typing import Any

from cnnx import io

from . import figures
from .boundary import Plane, colour_of, groups
from .surface import heights

__all__ = ["page"]


def page(plane: Plane, kind: str, path: str | os.PathLike[str]) -> Any:
    """Write the page, plotly's own script included; returns plotly's figure."""
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
    figure = go.Figure(layout={"template": "plotly_white", "width": 820, "height": 640})
    grid = {"x": plane.across, "y": plane.up}
    if kind == "surface":
        figure.add_trace(go.Surface(**grid, z=plane.outputs[..., 0], colorscale="Viridis"))
        figure.update_layout(
            scene={"zaxis_title": "output"}, legend={"x": 0, "y": 1, "title": "class"}
        )
    else:
        count = int(plane.labels.max()) + 1
        steps = [(edge / count, colour_of(k)) for k in range(count) for edge in (k, k + 1)]
        figure.add_trace(
            go.Heatmap(
                **grid,
                z=plane.labels,
                colorscale=steps,
                zmin=-0.5,
                zmax=count - 0.5,
                opacity=0.3,
                showscale=False,
            )
        )
        figure.update_layout(xaxis_title="x", yaxis_title="y", legend={"title": "class"})
    for name, colour, mask in groups(plane):
        x, y = plane.points[mask].T
        marks: dict[str, Any] = {
            "x": x,
            "y": y,
            "mode": "markers",
            "name": name,
            "marker": {"color": colour, "line": {"color": "white", "width": 1}},
        }
        if kind == "surface":
            figure.add_trace(go.Scatter3d(**marks, z=heights(plane, mask)))
        else:
            figure.add_trace(go.Scatter(**marks))
    figure.update_layout(font={"color": figures.INK})
    io.write_text_atomic(path, figure.to_html(include_plotlyjs=True))
    return figure
