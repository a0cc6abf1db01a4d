"""Walls: how much more slowly a bead diffuses near a coverslip."""

import numpy as np


def parallel(height_um, radius_um: float):
    """Mobility along a wall over that in the bulk, of a sphere whose centre is `height_um` from it; shape of `height_um`.

    Faxén 1922, Ann. Phys. 373, 89; series as in Happel and Brenner 1983, Low Reynolds Number Hydrodynamics, eq. 7-4.28.
    Within 1.1 % of the exact solution where the gap is more than half the radius; a centre nearer than the radius counts as touching.
    """
    a = radius_um / np.maximum(height_um, radius_um)
    return 1 - 9 / 16 * a + a**3 / 8 - 45 / 256 * a**4 - a**5 / 16


def perpendicular(height_um, radius_um: float):
    """Mobility towards a wall over that in the bulk, of a sphere whose centre is `height_um` from it; shape of `height_um`.

    Bevan and Prieve 2000, J. Chem. Phys. 113, 1228: within 1 % of the series of Brenner 1961, Chem. Eng. Sci. 16, 242.
    """
    gap = np.maximum(np.asarray(height_um) - radius_um, 0.0)
    return (6 * gap**2 + 2 * radius_um * gap) / (6 * gap**2 + 9 * radius_um * gap + 2 * radius_um**2)


def mobility(z_um, wall_z_um, radius_um: float, axes) -> np.ndarray:
    """Mobility at heights `z_um` over that in the bulk, along each of `axes`, shape (axes, heights).

    The drags of several walls add (Oseen's superposition, good to a few percent halfway between two).
    """
    z_um = np.asarray(z_um, float)
    drag = np.ones((len(axes), len(z_um)))
    for wall in wall_z_um:
        height = np.abs(z_um - wall)
        for i, axis in enumerate(axes):
            slowed = perpendicular(height, radius_um) if axis == "z" else parallel(height, radius_um)
            drag[i] += 1 / np.maximum(slowed, 1e-3) - 1
    return 1 / drag
