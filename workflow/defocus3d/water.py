"""Water: its viscosity, and how fast a bead diffuses in it."""

import math

CELSIUS_TO_KELVIN = 273.15
BOLTZMANN_J_PER_K = 1.380649e-23
M2_TO_UM2 = 1e12
VISCOSITY_RELATIVE_SD = 0.01  # of the correlation for the liquid, Huber et al. 2009
# Coefficients of the correlation at 0.1 MPa: amplitudes in µPa s, and exponents of T / 300 K.
AMPLITUDES_UPA_S = (280.68, 511.45, 61.131, 0.45903)
EXPONENTS = (-1.9, -7.7, -19.6, -40.0)


def viscosity_pa_s(temperature_c: float) -> float:
    """Viscosity of water in Pa s at `temperature_c` (0 to 100 °C) and 0.1 MPa.

    Huber et al. 2009, J. Phys. Chem. Ref. Data 38, 101, the IAPWS formulation reduced to 0.1 MPa (valid 253 to 383 K).
    Raises ValueError outside 0 to 100 °C, where water at this pressure is not liquid.
    """
    if not 0.0 <= temperature_c <= 100.0:
        raise ValueError(f"water's viscosity is known from 0 to 100 °C, not at {temperature_c} °C")
    reduced = (temperature_c + CELSIUS_TO_KELVIN) / 300.0
    return 1e-6 * sum(amplitude * reduced**exponent for amplitude, exponent in zip(AMPLITUDES_UPA_S, EXPONENTS, strict=True))


def _log_slope_per_k(temperature_c: float) -> float:
    """Change of ln(viscosity) per kelvin, analytic derivative of the correlation."""
    kelvin = temperature_c + CELSIUS_TO_KELVIN
    terms = [amplitude * (kelvin / 300.0) ** exponent for amplitude, exponent in zip(AMPLITUDES_UPA_S, EXPONENTS, strict=True)]
    return sum(exponent * term for exponent, term in zip(EXPONENTS, terms, strict=True)) / (kelvin * sum(terms))


def stokes_einstein(
    bead_diameter_um: float,
    temperature_c: float,
    viscosity: float | None = None,
    temperature_sd_c: float = 0.5,
    bead_diameter_cv: float = 0.02,
) -> tuple[float, float]:
    """Diffusion coefficient of a sphere and its standard deviation, both in µm²/s.

    D = k T / (3 π η d) (Einstein 1905, Ann. Phys. 322, 549); the deviation adds, in first order, those of temperature
    (also through water's viscosity), diameter, and the viscosity formula.

    Parameters
    ----------
    bead_diameter_um : float
    temperature_c : float
        0 to 100 °C where `viscosity` is not given.
    viscosity : float, optional
        In Pa s, taken as exact. None or NaN: water at `temperature_c`.
    temperature_sd_c : float
    bead_diameter_cv : float
        Standard deviation of the diameter over the diameter.

    Raises
    ------
    ValueError
        Where a diameter or viscosity is not positive, or water's viscosity is not known at the temperature.
    """
    kelvin = temperature_c + CELSIUS_TO_KELVIN
    in_water = viscosity is None or math.isnan(viscosity)
    eta = viscosity_pa_s(temperature_c) if in_water else viscosity
    if not (bead_diameter_um > 0 and eta > 0):
        raise ValueError(f"bead diameter ({bead_diameter_um} µm) and viscosity ({eta} Pa s) must be positive")
    value = M2_TO_UM2 * BOLTZMANN_J_PER_K * kelvin / (3.0 * math.pi * eta * bead_diameter_um * 1e-6)
    slope_per_k = 1.0 / kelvin - (_log_slope_per_k(temperature_c) if in_water else 0.0)
    relative_sd = math.hypot(slope_per_k * temperature_sd_c, bead_diameter_cv, VISCOSITY_RELATIVE_SD if in_water else 0.0)
    return value, value * relative_sd


def motion_blur_um(diffusion_um2_s: float, exposure_s: float) -> float:
    """Rms displacement in µm, along one axis and about its mean place, of a diffusing bead within an exposure.

    The variance about the mean of a Brownian path of duration T is D T / 3 along an axis (Berglund 2010, Phys. Rev. E 82, 011917).
    """
    return math.sqrt(diffusion_um2_s * exposure_s / 3.0)
