"""The point generators of cnnx.compat.network against the same formulas in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from dialect_helpers import same
from dialects import network as plain

from cnnx.compat import network


@pytest.mark.parametrize("name", ["Spiral", "Circle", "Line", "Zone"])
def test_points_are_drawn_from_np_random_when_a_generator_is_made(name):
    np.random.seed(4)
    made = getattr(network, name)(11, 3, 2)
    drawn = np.random.rand()
    np.random.seed(4)
    same(made.P, getattr(plain, name.lower())(11, 3))
    assert drawn == np.random.rand()
    P, L = made.generate()
    assert P is made.P and L is made.L and (made.N, made.K, made.D) == (11, 3, 2)
    assert L.dtype == np.uint8 and L.tolist() == [j for j in range(3) for _ in range(11)]
    with pytest.raises(ValueError, match="n_dimensions=3, its points have 2"):
        getattr(network, name)(11, 3, 3)


def test_points_in_space_and_polynomials(tmp_path, capsys):
    centers = [[0, 0, 0], [50, 0, 0]]
    np.random.seed(0)
    P, L = network.Zone_3D(50, 2, 3, centers).generate()
    np.random.seed(0)
    same(P, plain.zone_3d(50, np.array(centers, float)))
    assert L.shape == (100,)
    np.random.seed(0)
    data = network.GeneratePolynomialData()
    points = data.generate()
    np.random.seed(0)
    x = np.linspace(-10, 10, 200)
    same(points["x"], x)
    same(points["y"], x**2 - 2 * x + 3 + np.random.normal(0, 5, 200))
    np.random.seed(1)
    data.save_to_csv(tmp_path / "p.csv")  # draws again
    np.random.seed(1)
    expected = data.generate()
    assert (tmp_path / "p.csv").read_text().startswith("x,y\n")
    table = np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1)
    same(table, np.column_stack((expected["x"], expected["y"])), 1e-15)
    data.get_init_gen()
    assert capsys.readouterr().out == "Actual polynomial: 3*x^0 + -2*x^1 + 1*x^2\n"
