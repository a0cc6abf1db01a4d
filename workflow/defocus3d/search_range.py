"""The search range of linking: how far a bead is expected to move from frame to frame."""

import numpy as np
import pandas as pd
from scipy.special import chdtri

AXES = ("x", "y", "z")
CUT_PROBABILITY = 1e-4  # chance that a true step is longer than the search range


def columns(axes=AXES) -> list[str]:
    """Names of the position columns of `axes`."""
    return [f"{axis}_um" for axis in axes]


def step_sd_um(expected_um2_s: float, frame_interval_s: float, localization_sd_um: float = 0.0) -> float:
    """Standard deviation in µm of the displacement along one axis between two frames.

    Free diffusion plus the localization errors of both ends; motion blur, which makes steps slightly shorter, is left out.
    """
    return float(np.sqrt(2.0 * expected_um2_s * frame_interval_s + 2.0 * localization_sd_um**2))


def search_range_um(expected_um2_s, frame_interval_s, localization_sd_um=0.0, dimensions: int = 3) -> float:
    """Search range in µm that cuts a true step with a chance below 1e-4.

    A step's length over its standard deviation along one axis follows the chi distribution with as many degrees of freedom as
    dimensions; the largest of the axes' localization errors, if several are given, is taken for all.
    """
    worst_um = float(np.max(localization_sd_um))
    return float(np.sqrt(chdtri(dimensions, CUT_PROBABILITY))) * step_sd_um(expected_um2_s, frame_interval_s, worst_um)


def localization_sd_um(localizations: pd.DataFrame, axes=AXES) -> np.ndarray:
    """Median of the uncertainty columns along `axes`, in µm, of what is linked (`flag` 0); 0 where there is no column or finite value."""
    if "flag" in localizations:
        localizations = localizations[localizations["flag"] == 0]
    spread = np.zeros(len(axes))
    for i, axis in enumerate(axes):
        name = f"sigma_{axis}_um"
        if name in localizations:
            sigma = localizations[name].to_numpy(float)
            sigma = sigma[np.isfinite(sigma)]
            spread[i] = np.median(sigma) if sigma.size else 0.0
    return spread


def resolve_range_um(setting, localizations, expected_um2_s, frame_interval_s, axes=AXES) -> float:
    """The search range in µm of the setting `search_range_um`: a number, or "auto" for `search_range_um` of the expected step."""
    if setting != "auto":
        return float(setting)
    return search_range_um(expected_um2_s, frame_interval_s, localization_sd_um(localizations, axes), len(axes))
