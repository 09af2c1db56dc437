"""The point generators of the dialect `network`: the formulas of `cnnx.data`, drawn from np.random.

>>> P, L = Spiral(100, 3, 2).generate()
>>> P.shape, L.shape
((300, 2), (300,))
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...data import save_csv, synthetic

__all__ = ["Circle", "GeneratePolynomialData", "Line", "Spiral", "Zone", "Zone_3D"]

Points = tuple[np.ndarray, np.ndarray]


class _Points:
    DIMENSIONS = 2

    def __init__(self, n_points: int, n_classes: int, n_dimensions: int) -> None:
        if n_dimensions != self.DIMENSIONS:
            raise ValueError(
                f"{type(self).__name__}: n_dimensions={n_dimensions}, its points have "
                f"{self.DIMENSIONS}"
            )
        self.n_points, self.n_classes, self.n_dimensions = n_points, n_classes, n_dimensions

    def generate(self) -> Points:
        """P (n_points * n_classes, n_dimensions) and L, their classes; class after class."""
        self.P, self.L = self._draw()
        return self.P, self.L

    def _draw(self) -> Points:
        """The points of one kind: every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} draws no points")


class Spiral(_Points):
    """`cnnx.data.make_spiral`, noise 0.2.

    >>> Spiral(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> Points:
        return synthetic.spiral_points(self.n_points, self.n_classes, 0.2, np.random)


class Circle(_Points):
    """`cnnx.data.make_circle`, noise 0.5.

    >>> Circle(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> Points:
        return synthetic.circle_points(self.n_points, self.n_classes, 0.5, np.random)


class Line(_Points):
    """`cnnx.data.make_line`, noise 2.

    >>> Line(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> Points:
        return synthetic.line_points(self.n_points, self.n_classes, 2.0, np.random)


class Zone(_Points):
    """`cnnx.data.make_zone`, noise 0.5.

    >>> Zone(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> Points:
        return synthetic.zone_points(self.n_points, self.n_classes, 0.5, np.random)


class Zone_3D(_Points):
    """`cnnx.data.make_zone_3d`, noise 2, around given centers (n_classes, 3).

    >>> Zone_3D(5, 2, 3, [[0, 0, 0], [9, 0, 0]]).generate()[0].shape
    (10, 3)
    """

    DIMENSIONS = 3

    def __init__(self, n_points: int, n_classes: int, n_dimensions: int, centers: Any) -> None:
        super().__init__(n_points, n_classes, n_dimensions)
        self.centers = np.asarray(centers, float)
        if self.centers.shape != (n_classes, 3):
            raise ValueError(
                f"Zone_3D: centers has shape {self.centers.shape}, expected ({n_classes}, 3)"
            )

    def _draw(self) -> Points:
        return synthetic.zone_3d_points(self.n_points, self.centers, 2.0, np.random)


class GeneratePolynomialData:
    """`cnnx.data.make_polynomial`: x and y (n_points,); coefficients with the highest power first.

    >>> x, y = GeneratePolynomialData(3, [1, 0], 0).generate()
    >>> y.tolist()
    [-10.0, 0.0, 10.0]
    """

    def __init__(
        self, n_points: int = 200, coefficients: Any = (1, -2, 3), noise_std: float = 5
    ) -> None:
        self.n_points, self.noise_std = n_points, noise_std
        self.coefficients = list(coefficients)
        self.x: Any = None
        self.y: Any = None

    def generate(self) -> Points:
        """x, evenly from -10 to 10, and y with normal noise."""
        powers = np.asarray(self.coefficients, float)
        draw = synthetic.polynomial_points(self.n_points, powers, self.noise_std, np.random)
        self.x, self.y = draw
        return draw

    def save_to_csv(self, filename: str | os.PathLike[str] = "polynomial_data.csv") -> None:
        """Write x and y with `cnnx.data.save_csv`; points are drawn if there are none."""
        if self.x is None:
            self.generate()
        save_csv(filename, (self.x[:, None], self.y))

    def get_init_gen(self) -> tuple[int, list[float], float]:
        """What the generator was made with: n_points, coefficients, noise_std."""
        return self.n_points, self.coefficients, self.noise_std
