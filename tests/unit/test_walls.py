"""Slowing by a wall against the exact solutions."""

import numpy as np
import pytest

from defocus3d import walls

# h / radius and drag along a wall over that in the bulk, Goldman, Cox and Brenner 1967, Chem. Eng. Sci. 22, 637, table 2
ALONG = {1.5431: 1.5675, 2.3524: 1.3079, 3.7622: 1.1738}


def brenner(alpha):
    """Drag towards a wall over that in the bulk at h / radius = cosh(alpha), Brenner 1961, Chem. Eng. Sci. 16, 242, eq. 2.19."""
    n = np.arange(1.0, 60.0)
    above = 2 * np.sinh((2 * n + 1) * alpha) + (2 * n + 1) * np.sinh(2 * alpha)
    below = 4 * np.sinh((n + 0.5) * alpha) ** 2 - (2 * n + 1) ** 2 * np.sinh(alpha) ** 2
    return 4 / 3 * np.sinh(alpha) * np.sum(n * (n + 1) / (2 * n - 1) / (2 * n + 3) * (above / below - 1))


@pytest.mark.parametrize("height, drag", ALONG.items())
def test_along_the_wall(height, drag):
    assert walls.parallel(0.25 * height, 0.25) == pytest.approx(1 / drag, rel=0.011)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_towards_the_wall(alpha):
    assert walls.perpendicular(0.25 * np.cosh(alpha), 0.25) == pytest.approx(1 / brenner(alpha), rel=0.01)


def test_far_from_walls_nothing_changes_and_two_slow_more_than_one():
    assert walls.mobility([0.0], [-1000.0], 0.25, ("x", "z")) == pytest.approx(1, abs=1e-3)
    one, two = walls.mobility([0.0], [-1.0], 0.25, ("x", "y", "z")), walls.mobility([0.0], [-1.0, 1.0], 0.25, ("x", "y", "z"))
    assert (two < one).all() and (one < 1).all()
    assert (walls.mobility([0.5], [], 0.25, ("x",)) == 1).all()
