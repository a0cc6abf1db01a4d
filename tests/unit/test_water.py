"""Water's viscosity against tables; Stokes-Einstein against a calculation by hand and its own differences."""

import math

import pytest

from defocus3d.water import stokes_einstein, viscosity_pa_s

# IAPWS R12-08 at 0.1 MPa, in mPa s
TABLE = {0: 1.7916, 10: 1.3059, 20: 1.0016, 25: 0.8900, 30: 0.7972, 40: 0.6527, 50: 0.5465, 60: 0.4660, 80: 0.3540, 99: 0.2846}


@pytest.mark.parametrize("temperature_c, mpa_s", TABLE.items())
def test_viscosity_is_that_of_the_table(temperature_c, mpa_s):
    assert 1e3 * viscosity_pa_s(temperature_c) == pytest.approx(mpa_s, rel=1e-3)


@pytest.mark.parametrize("temperature_c", [-1, 100.1, float("nan")])
def test_viscosity_outside_its_range_is_an_error(temperature_c):
    with pytest.raises(ValueError, match="0 to 100"):
        viscosity_pa_s(temperature_c)


def test_half_micron_bead_at_25_degrees():
    by_hand = 1e12 * 1.380649e-23 * 298.15 / (3 * math.pi * 0.8900e-3 * 0.5e-6)
    value, _ = stokes_einstein(0.5, 25.0)
    assert value == pytest.approx(by_hand, rel=1e-3)
    assert value == pytest.approx(0.981, abs=0.002)


def test_deviation_follows_temperature_and_diameter():
    value, sd = stokes_einstein(0.5, 25.0, temperature_sd_c=1.0, bead_diameter_cv=0.0)
    by_difference = (stokes_einstein(0.5, 26.0)[0] - stokes_einstein(0.5, 24.0)[0]) / 2
    assert sd == pytest.approx(math.hypot(by_difference, 0.01 * value), rel=0.01)
    value, sd = stokes_einstein(0.5, 25.0, viscosity=0.89e-3, temperature_sd_c=0.0, bead_diameter_cv=0.03)
    assert sd == pytest.approx(0.03 * value)


def test_given_viscosity_replaces_that_of_water():
    assert stokes_einstein(0.5, 25.0, viscosity=2e-3)[0] == pytest.approx(stokes_einstein(0.5, 25.0, viscosity=1e-3)[0] / 2)
    assert stokes_einstein(0.5, 25.0, viscosity=float("nan")) == stokes_einstein(0.5, 25.0)


def test_impossible_bead_is_an_error():
    with pytest.raises(ValueError, match="positive"):
        stokes_einstein(0.0, 25.0)
