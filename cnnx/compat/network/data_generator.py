"""The point generators of the dialect `network`, which draw from np.random on construction.

>>> spiral = Spiral(100, 3, 2)
>>> P, L = spiral.generate()
>>> P is spiral.P, P.shape, L.dtype
(True, (300, 2), dtype('uint8'))
"""

from __future__ import annotations

import io as text_io
import os
from typing import Any

import numpy as np

from ...data import synthetic
from ...io import write_text_atomic

__all__ = ["Circle", "GeneratePolynomialData", "Line", "Spiral", "Zone", "Zone_3D", "np"]

Points = tuple[np.ndarray, np.ndarray]


class _Points:
    """N points of K classes in D dimensions: P (N*K, D) and L (N*K,) uint8, sorted by class."""

    DIMENSIONS = 2

    def __init__(self, n_points: int, n_classes: int, n_dimensions: int) -> None:
        if n_dimensions != self.DIMENSIONS:
            raise ValueError(
                f"{type(self).__name__}: n_dimensions={n_dimensions}, its points have "
                f"{self.DIMENSIONS}"
            )
        self.N, self.K, self.D = n_points, n_classes, n_dimensions
        self.P = self._draw()
        self.L = np.repeat(np.arange(n_classes), n_points).astype(np.uint8)

    def generate(self) -> Points:
        """P and L: the same arrays at every call."""
        return self.P, self.L

    def _draw(self) -> np.ndarray:
        """The points; implemented by every subclass."""
        raise NotImplementedError(f"{type(self).__name__} draws no points")


class Spiral(_Points):
    """`cnnx.data.make_spiral`, noise 0.2.

    >>> Spiral(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> np.ndarray:
        return synthetic.spiral_points(self.N, self.K, 0.2, np.random)[0]


class Circle(_Points):
    """`cnnx.data.make_circle`, noise 0.5.

    >>> Circle(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> np.ndarray:
        return synthetic.circle_points(self.N, self.K, 0.5, np.random)[0]


class Line(_Points):
    """`cnnx.data.make_line`, noise 2.

    >>> Line(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> np.ndarray:
        return synthetic.line_points(self.N, self.K, 2.0, np.random)[0]


class Zone(_Points):
    """A cloud around each of K points on the unit circle: distance r = 0.5 randn, direction
    t = linspace(0, 2 pi, N) + 0.2 randn, at centre + (r sin t, r cos t).

    >>> Zone(5, 3, 2).generate()[0].shape
    (15, 2)
    """

    def _draw(self) -> np.ndarray:
        clouds = []
        for j in range(self.K):
            angle = 2 * np.pi * j / self.K
            r = 0.5 * np.random.randn(self.N)
            t = np.linspace(0, 2 * np.pi, self.N) + 0.2 * np.random.randn(self.N)
            clouds.append(np.c_[np.cos(angle) + r * np.sin(t), np.sin(angle) + r * np.cos(t)])
        return np.concatenate(clouds) if clouds else np.zeros((0, 2))


class Zone_3D(_Points):
    """`cnnx.data.make_zone_3d`, noise 2, around the given centers (n_classes, 3).

    >>> Zone_3D(5, 2, 3, [[0, 0, 0], [9, 0, 0]]).generate()[0].shape
    (10, 3)
    """

    DIMENSIONS = 3

    def __init__(self, n_points: int, n_classes: int, n_dimensions: int, centers: Any) -> None:
        self.centers = centers
        shape = np.shape(centers)
        if shape != (n_classes, 3):
            raise ValueError(f"Zone_3D: centers has shape {shape}, expected ({n_classes}, 3)")
        super().__init__(n_points, n_classes, n_dimensions)

    def _draw(self) -> np.ndarray:
        centers = np.asarray(self.centers, float)
        return synthetic.zone_3d_points(self.N, centers, 2.0, np.random)[0]


class GeneratePolynomialData:
    """A polynomial of x with normal noise; coefficients from the highest power down. New points are
    drawn at every call of `generate` and `save_to_csv`.

    >>> GeneratePolynomialData(3, [1, 0], 0).generate()["y"].tolist()
    [-10.0, 0.0, 10.0]
    """

    def __init__(
        self, n_points: int = 200, coefficients: Any = (1, -2, 3), noise_std: float = 5
    ) -> None:
        self.n_points, self.noise_std = n_points, noise_std
        self.coefficients = list(coefficients)

    def generate(self) -> dict[str, np.ndarray]:
        """ "x", evenly spaced from -10 to 10, and "y"."""
        powers = np.asarray(self.coefficients, float)
        x, y = synthetic.polynomial_points(self.n_points, powers, self.noise_std, np.random)
        return {"x": x, "y": y}

    def save_to_csv(self, file_name: str | os.PathLike[str] = "polynomial_data.csv") -> None:
        """Draw points, and write them below a header ``x,y``, completely or not at all."""
        points = self.generate()
        text = text_io.StringIO()
        table = np.column_stack((points["x"], points["y"]))
        np.savetxt(text, table, delimiter=",", header="x,y", comments="")
        write_text_atomic(file_name, text.getvalue())

    def get_init_gen(self) -> None:
        """Print the polynomial, from the lowest power up.

        >>> GeneratePolynomialData().get_init_gen()
        Actual polynomial: 3*x^0 + -2*x^1 + 1*x^2
        """
        terms = (f"{c}*x^{power}" for power, c in enumerate(reversed(self.coefficients)))
        print(f"Actual polynomial: {' + '.join(terms)}")
