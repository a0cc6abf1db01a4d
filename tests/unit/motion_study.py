"""How well D is measured, and how often the verdict is right for the right reason, on simulated tracks in numbers.

    .venv/bin/python -m pytest tests/unit/motion_study.py -q -s       # all of it, six minutes
"""

import numpy as np
import pytest
import walks

from defocus3d import displacements, linking, search_range
from defocus3d.diffusion import Experiment, Measurement, bootstrap, brownian_check, estimates, interval
from defocus3d.water import stokes_einstein

AXES = ("x", "y", "z")
BOUNDS_UM = {"x": (0.0, walks.FIELD), "y": (0.0, walks.FIELD), "z": (-walks.HALF_RANGE, walks.HALF_RANGE)}
EXPECTED = stokes_einstein(0.5, 25.0)
EXPERIMENT = Experiment(walks.DT, walks.EXPOSURE, EXPECTED, BOUNDS_UM)
HALF_STEP_UM = 0.5 * np.sqrt(2 * walks.D * walks.DT)
DATA_SETS = 1000


def information(n_steps: int) -> np.ndarray:
    """Fisher information of D and squared localization error in a run of steps, (2, 2).

    Steps are Gaussian, with the covariance of Michalet and Berglund 2012, Phys. Rev. E 85, 061916, eq. 3.
    """
    blur, own, neighbour = EXPERIMENT.blur, np.eye(n_steps), np.eye(n_steps, k=1) + np.eye(n_steps, k=-1)
    by_d = 2 * walks.DT * ((1 - 2 * blur) * own + blur * neighbour)
    by_error = 2 * own - neighbour
    covariance = walks.D * by_d + HALF_STEP_UM**2 * by_error
    slopes = [np.linalg.solve(covariance, by) for by in (by_d, by_error)]
    return 0.5 * np.array([[np.sum(a * b.T) for b in slopes] for a in slopes])


def bound(measurement, known) -> np.ndarray:
    """Least standard deviation of D on each axis that the steps used allow, µm²/s, (3,); `known` keeps `information` by length."""
    runs = measurement.runs
    used = measurement.window.holds(runs.position_um[:-1], 1) & runs.joined(1)[:, None]
    least = []
    for axis in used.T:
        ends = np.diff(np.concatenate([[0], axis.astype(int), [0]]))
        total = 0.0
        for n in np.flatnonzero(ends == -1) - np.flatnonzero(ends == 1):
            if n not in known:
                known[n] = information(int(n))
            total = total + known[n]
        least.append(np.sqrt(np.linalg.inv(total)[0, 0]))
    return np.array(least)


def metrology(data_sets: int, linked: bool, replicates: int = 200) -> dict:
    """Bias, its error, spread over the bound, and coverage of the intervals, of both estimators, {name: (estimators, axes)}.

    Localization error of half a step, blur, a tenth of the localizations missing, beads that leave the range; identity of the beads
    known, or linked as the workflow does.
    """
    values, held, bounds, known = [], [], [], {}
    for seed in range(data_sets):
        localizations = walks.movie(
            np.random.default_rng(seed), 0.06 if linked else 0.12, 100, 3 * (HALF_STEP_UM,), missing=0.1, truth=True
        )
        range_um, tracks = 100.0, localizations.rename(columns={"bead": "particle"})
        if linked:
            range_um = search_range.resolve_range_um("auto", localizations, walks.D, walks.DT)
            tracks = linking.link_tracks(localizations, range_um, 1, 5)
        measurement = Measurement.of(tracks, EXPERIMENT.window(localizations), range_um, AXES, 8)
        found = estimates(measurement, EXPERIMENT)
        drawn = bootstrap(measurement, EXPERIMENT, found, replicates, seed)
        values.append([found["diffusion"], found["msd_fit"]])
        low, high = np.array([interval(drawn[name]) for name in ("diffusion", "msd_fit")]).transpose(1, 0, 2)
        held.append((low <= walks.D) & (walks.D <= high))
        bounds.append(bound(measurement, known))
    values = np.array(values) / walks.D
    return {
        "bias": values.mean(axis=0) - 1,
        "error": values.std(axis=0) / np.sqrt(data_sets),
        "spread": values.std(axis=0) / (np.sqrt(np.mean(np.square(bounds), axis=0)) / walks.D),
        "coverage": np.mean(held, axis=0),
    }


def stretched(table):
    return table.assign(z_um=1.2 * table["z_um"])


# name: walk, verdict, words of the right reason, and what else differs
CASES = {
    "free": (walks.exposed_positions, "consistent", "agrees", {}),
    "flow": (walks.flowing, "inconsistent", "flow: the beads move together", {}),
    "confinement": (walks.caged, "inconsistent", "confinement", {"density": 0.06}),
    "subdiffusion": (walks.subdiffusive, "inconsistent", "subdiffusion", {}),
    "two populations": (walks.two_kinds, "inconsistent", "two populations", {}),
    "temperature": (walks.exposed_positions, "inconsistent", "expected from temperature", {"warmer": 15.0}),
    "axial scale": (walks.exposed_positions, "inconsistent", "axial_scale", {"stretch": 1.2}),
    "search range": (walks.exposed_positions, "inconsistent", "search range", {"range_um": 0.3}),
    "few tracks": (walks.exposed_positions, "insufficient", "are needed", {"beads": 2}),
}


def judged(name: str, seed: int) -> tuple[bool, dict]:
    """Whether the verdict on one simulated movie of the case is right and names the right reason, and all results."""
    walk, verdict, words, special = CASES[name]
    density, frames = special.get("density", 0.12), 200
    localizations = walks.movie(np.random.default_rng([seed, 7]), density, frames, (0.03, 0.03, 0.06), missing=0.05, truth=True, walk=walk)
    bounds = dict(BOUNDS_UM)
    if "stretch" in special:
        localizations["z_um"] *= special["stretch"]
        bounds["z"] = tuple(special["stretch"] * z for z in bounds["z"])
    if "beads" in special:
        localizations = localizations[localizations["bead"].isin(localizations["bead"].unique()[: special["beads"]])]
    expected = stokes_einstein(0.5, 25.0 + special.get("warmer", 0.0))
    experiment = Experiment(walks.DT, walks.EXPOSURE, expected, bounds)
    settings = {"search_range_um": special.get("range_um", "auto")}
    range_um = search_range.resolve_range_um(settings["search_range_um"], localizations, expected[0], walks.DT)
    tracks = linking.link_tracks(localizations, range_um, 1, 5)
    _, results = brownian_check(tracks, localizations, experiment, settings, {"bootstrap": 200}, seed)
    return results["verdict"] == verdict and any(words in reason for reason in results["reasons"]), results


@pytest.mark.parametrize("linked", [False, True])
def test_metrology(linked):
    found = metrology(DATA_SETS, linked)
    for name, value in found.items():
        print(f"\n{'linked' if linked else 'known'}: {name}, covariances {value[0].round(4)}, MSD fit {value[1].round(4)}", end="")
    assert (np.abs(found["bias"]) <= 0.01).all()
    assert ((found["coverage"][0] >= 0.93) & (found["coverage"][0] <= 0.97)).all()
    assert (found["spread"][0] <= 1.2).all()


@pytest.mark.parametrize("diffusion", [0.3, 0.1])
def test_beads_slower_than_their_errors(diffusion):
    """Errors of 0.01 µm at focus and 0.08 µm at the ends of the axial range, twice that along z, linked."""
    slow = Experiment(walks.DT, walks.EXPOSURE, (diffusion, 0.03 * diffusion), BOUNDS_UM)
    found, verdicts = [], []
    for seed in range(30):
        localizations = walks.seen_with(walks.errors_by_height, diffusion, seed)
        range_um = search_range.resolve_range_um("auto", localizations, diffusion, walks.DT)
        tracks = linking.link_tracks(localizations, range_um, 1, 5)
        _, results = brownian_check(tracks, localizations, slow, None, {"bootstrap": 200}, seed)
        found.append([results["D_um2_s"][axis]["value"] / diffusion for axis in AXES])
        verdicts.append(results["verdict"])
    mean, sd = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    print(f"\nD of {diffusion} µm²/s: found over true {mean.round(3)} ± {sd.round(3)}; {verdicts.count('consistent')} of 30 consistent")
    assert (abs(mean - 1) < 0.05 + 2 * sd).all() and verdicts.count("consistent") >= 27


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name):
    outcomes = [judged(name, seed) for seed in range(50)]
    right = sum(outcome[0] for outcome in outcomes)
    first = [results["reasons"][0].split(":")[0][:60] for _, results in outcomes]
    print(f"\n{name}: {right} of 50 right; first reasons {({reason: first.count(reason) for reason in first})}")
    assert right >= 45
