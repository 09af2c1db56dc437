"""Synthetic points in the plane and in space: classes to separate, and a curve to fit.

>>> data = make_spiral(points=100, classes=3, seed=0)
>>> data.x.shape, data.y.shape
((300, 2), (300,))
"""

# Design:
# Each formula is one function `<name>_points` of its parameters and a source of random numbers, and
# returns float64: `make_<name>` passes a seeded generator, `cnnx.compat.network` passes the module
# `np.random`, which old programs seed. `Source` is what both have in common.

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..random import generator
from .datasets import Dataset
from .limits import check_memory, integer

__all__ = [
    "make_circle",
    "make_line",
    "make_polynomial",
    "make_spiral",
    "make_zone",
    "make_zone_3d",
]

Points = tuple[np.ndarray, np.ndarray]


class Source(Protocol):
    """A source of random numbers: a Generator, a RandomState, or the module np.random."""

    def standard_normal(self, size: Any) -> Any: ...
    def uniform(self, low: Any, high: Any, size: Any) -> Any: ...


def _per_class(points: int, classes: int, of_class: Callable[[int], np.ndarray]) -> Points:
    """The points of all classes, one class after the other, and their labels."""
    x = np.concatenate([of_class(j) for j in range(classes)])
    return x, np.repeat(np.arange(classes), points)


def spiral_points(points: int, classes: int, noise: float, source: Source) -> Points:
    """An arm per class; see `make_spiral`."""
    r = np.linspace(0, 1, points)

    def arm(j: int) -> np.ndarray:
        t = np.linspace(4 * j, 4 * (j + 1), points) + noise * source.standard_normal(points)
        return np.stack([r * np.sin(t), r * np.cos(t)], axis=1)

    return _per_class(points, classes, arm)


def circle_points(points: int, classes: int, noise: float, source: Source) -> Points:
    """A ring per class; see `make_circle`."""

    def ring(j: int) -> np.ndarray:
        r = 2 * (j + 1) + noise * source.standard_normal(points)
        t = np.linspace(0, 2 * np.pi, points) + 0.4 * noise * source.standard_normal(points)
        return np.stack([r * np.sin(t), r * np.cos(t)], axis=1)

    return _per_class(points, classes, ring)


def line_points(points: int, classes: int, noise: float, source: Source) -> Points:
    """A line per class; see `make_line`."""
    t = np.linspace(-10, 10, points)

    def line(j: int) -> np.ndarray:
        return np.stack([t, (2 * j - 2) * t + noise * source.standard_normal(points)], axis=1)

    return _per_class(points, classes, line)


def zone_points(points: int, classes: int, noise: float, source: Source) -> Points:
    """A cloud per class; see `make_zone`."""
    t = np.linspace(0, 2 * np.pi, points)

    def cloud(j: int) -> np.ndarray:
        centre = 2 * np.pi * j / classes
        r = noise * source.standard_normal(points)
        return np.stack([np.cos(centre) + r * np.cos(t), np.sin(centre) + r * np.sin(t)], axis=1)

    return _per_class(points, classes, cloud)


def zone_3d_points(points: int, centers: np.ndarray, noise: float, source: Source) -> Points:
    """A ball per centre; see `make_zone_3d`."""

    def ball(j: int) -> np.ndarray:
        r = noise * source.standard_normal(points)
        gamma = source.uniform(0, np.pi, points)
        theta = source.uniform(0, 2 * np.pi, points)
        across = r * np.sin(gamma)
        directions = [across * np.cos(theta), across * np.sin(theta), r * np.cos(gamma)]
        return centers[j] + np.stack(directions, axis=1)

    return _per_class(points, len(centers), ball)


def polynomial_points(
    points: int, coefficients: np.ndarray, noise: float, source: Source
) -> Points:
    """x and y of a noisy polynomial; see `make_polynomial`."""
    x = np.linspace(-10, 10, points)
    return x, np.polyval(coefficients, x) + noise * source.standard_normal(points)


def _classes(
    name: str, draw: Callable[..., Points], points: int, classes: int, noise: float, seed: Any
) -> Dataset:
    op = f"make_{name}"
    points, classes = integer(op, "points", points, 1), integer(op, "classes", classes, 1)
    _check_number(op, points * classes)
    x, y = draw(points, classes, _noise(op, noise), _source(op, seed))
    return Dataset(x.astype(np.float32), y, tuple(str(j) for j in range(classes)))


def _check_number(op: str, points: int) -> None:
    check_memory(op, "x", (points, 2), "draw fewer points")


def _noise(op: str, noise: Any) -> float:
    if isinstance(noise, (bool, np.bool_)) or not isinstance(
        noise, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{op}: noise must be a number, got {noise!r}")
    try:
        number = float(noise)
    except OverflowError:
        number, noise = math.inf, "a number beyond float64"
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{op}: noise must be finite and 0 or more, got {noise}")
    return number


def _source(op: str, seed: Any) -> np.random.Generator:
    return generator(None if seed is None else integer(op, "seed", seed, 0))


def make_spiral(
    points: int = 100, classes: int = 3, noise: float = 0.2, seed: int | None = None
) -> Dataset:
    """Spiral arms, one per class, which no straight line separates.

    Class j: r from 0 to 1, t from 4j to 4j + 4 evenly, plus noise * normal;
    x = (r sin t, r cos t)

    points   per class            noise  standard deviation of the angle, in radians
    seed     int from 0: the same seed gives the same points; None: `cnnx.manual_seed`'s generator

    returns  Dataset, x (classes * points, 2) float32, y int64, sorted by class
    Raises ValueError/TypeError for points or classes below 1, or a noise below 0.

    >>> make_spiral(points=2, classes=1, noise=0).x.round(3).tolist()[0]
    [0.0, 0.0]

    Source: Karpathy, CS231n, Convolutional Neural Networks for Visual Recognition, case study.
    """
    return _classes("spiral", spiral_points, points, classes, noise, seed)


def make_circle(
    points: int = 100, classes: int = 3, noise: float = 0.5, seed: int | None = None
) -> Dataset:
    """Rings around the origin, one per class.

    Class j: r = 2(j + 1) + noise * normal, t from 0 to 2 pi evenly, plus 0.4 * noise * normal;
    x = (r sin t, r cos t)

    noise is the standard deviation of the radius; everything else as in `make_spiral`.

    >>> bool(abs(make_circle(9, 1, noise=0).x).max() == 2)
    True
    """
    return _classes("circle", circle_points, points, classes, noise, seed)


def make_line(
    points: int = 100, classes: int = 3, noise: float = 2.0, seed: int | None = None
) -> Dataset:
    """Lines through the origin, one per class.

    Class j: t from -10 to 10 evenly; x = (t, (2j - 2) t + noise * normal)

    noise is the standard deviation in y; everything else as in `make_spiral`.

    >>> make_line(2, 1, noise=0).x.tolist()
    [[-10.0, 20.0], [10.0, -20.0]]
    """
    return _classes("line", line_points, points, classes, noise, seed)


def make_zone(
    points: int = 100, classes: int = 3, noise: float = 0.5, seed: int | None = None
) -> Dataset:
    """Clouds around points of the unit circle, one per class.

    Class j: centre (cos a, sin a) at a = 2 pi j / classes, r = noise * normal, t from 0 to 2 pi
    evenly; x = centre + (r cos t, r sin t)

    noise is the standard deviation of the distance; everything else as in `make_spiral`.

    >>> make_zone(1, 2, noise=0).x.round(3).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    return _classes("zone", zone_points, points, classes, noise, seed)


def make_zone_3d(
    points: int = 100,
    classes: int = 3,
    noise: float = 2.0,
    seed: int | None = None,
    centers: Sequence[Sequence[float]] | np.ndarray | None = None,
) -> Dataset:
    """Clouds in space, one per class.

    Class j: r = noise * normal, gamma uniform in [0, pi), theta uniform in [0, 2 pi);
    x = centers[j] + r (sin gamma cos theta, sin gamma sin theta, cos gamma)

    centers  (classes, 3) numbers; None: on a circle of radius 10 in the plane z = 0
    Everything else as in `make_spiral`; x is (classes * points, 3).

    >>> make_zone_3d(1, 2, noise=0, centers=[[1, 2, 3], [4, 5, 6]]).x.tolist()
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    """
    op = "make_zone_3d"
    classes = integer(op, "classes", classes, 1)
    _check_number(op, classes)
    angle = 2 * np.pi * np.arange(classes) / classes
    around = 10 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    given = around if centers is None else np.asarray(centers, np.float64)
    if given.shape != (classes, 3):
        raise ValueError(f"{op}: centers has shape {given.shape}, expected ({classes}, 3)")

    def draw(points: int, classes: int, noise: float, source: Source) -> Points:
        return zone_3d_points(points, given, noise, source)

    return _classes("zone_3d", draw, points, classes, noise, seed)


def make_polynomial(
    points: int = 200,
    coefficients: Sequence[float] = (1, -2, 3),
    noise: float = 5.0,
    seed: int | None = None,
) -> Dataset:
    """A curve to fit: y = polynomial(x) + noise * normal, x from -10 to 10 evenly.

    coefficients  from the highest power down: (1, -2, 3) is x^2 - 2x + 3
    noise         standard deviation of y        seed  as in `make_spiral`

    returns  Dataset, x and y (points, 1) float32; it unpacks: ``x, y = make_polynomial()``

    >>> make_polynomial(3, (1, 0, 2), noise=0).y.ravel().tolist()
    [102.0, 2.0, 102.0]
    """
    op = "make_polynomial"
    points = integer(op, "points", points, 1)
    _check_number(op, points)
    powers = np.asarray(coefficients, np.float64)
    if powers.ndim != 1 or not powers.size:
        raise ValueError(f"{op}: coefficients has shape {powers.shape}, expected one or more")
    x, y = polynomial_points(points, powers, _noise(op, noise), _source(op, seed))
    return Dataset(x[:, None].astype(np.float32), y[:, None].astype(np.float32))
