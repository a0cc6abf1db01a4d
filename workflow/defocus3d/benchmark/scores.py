"""What the benchmark states of a method: errors over their bound, detection, and whether uncertainties are true."""

import numpy as np
import pandas as pd

from defocus3d.benchmark import sets
from defocus3d.benchmark.pupil import Pupil, crlb
from defocus3d.camera import Camera
from defocus3d.evaluation import AXES, in_frame, jaccard, pairs_table
from defocus3d.sigma_scale import ONE_SIGMA

Z_BINS = 10
CUTS = 40  # thresholds tried for methods whose threshold is chosen by the truth
FEWEST = 5  # pairs in a bin


def inside(table: pd.DataFrame, one: sets.DataSet) -> pd.DataFrame:
    """Rows whose place lies within the image."""
    return in_frame(table, one.side_px * sets.PIXEL_UM, sets.PIXEL_UM)


def detection(truth: pd.DataFrame, found: pd.DataFrame) -> dict:
    """Counts and 3D Jaccard index (see `evaluation.jaccard`) of finds within the axial range."""
    reported = found[found["z_um"].between(*sets.AXIAL_RANGE_UM)].reset_index(drop=True)
    return jaccard(truth, reported, sets.AXIAL_RANGE_UM, sets.SCORED_UM)


def best_cut(truth: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Those of `found` whose `score` is at least that which makes the Jaccard index largest."""
    if len(found) == 0:
        return found
    cuts = np.unique(np.quantile(found["score"], np.linspace(0, 0.995, CUTS)))
    indices = [detection(truth, found[found["score"] >= cut])["jaccard"] for cut in cuts]
    return found[found["score"] >= cuts[int(np.nanargmax(np.nan_to_num(indices)))]].reset_index(drop=True)


def offset(truth: pd.DataFrame, found: pd.DataFrame) -> np.ndarray:
    """Median error in x, y, z, shape (3,): a method's zero is where its PSF model has it, which is nobody's error."""
    pairs = pairs_table(truth, found)
    return np.array([np.nan_to_num(pairs[f"error_{axis}_um"].median()) for axis in AXES])


def shifted(found: pd.DataFrame, by_um) -> pd.DataFrame:
    """`found` with `by_um` (3,) taken off its places."""
    return found.assign(**{f"{axis}_um": found[f"{axis}_um"] - by for axis, by in zip(AXES, by_um)})


def with_bound(pairs: pd.DataFrame, one: sets.DataSet, pupil: Pupil, camera: Camera) -> pd.DataFrame:
    """`pairs` of isolated beads with `crlb_x_um` and so on, the bound from the true image at each bead's z, within the scored range."""
    pairs = pairs[pairs["z_um"].between(*sets.SCORED_UM)].reset_index(drop=True)
    z = np.linspace(*sets.SCORED_UM, 57)
    bound = crlb(pupil, z, one.photons, one.background_e, camera)
    return pairs.assign(**{f"crlb_{axis}_um": np.interp(pairs["z_um"], z, bound[:, k]) for k, axis in enumerate(AXES)})


def ratios(pairs: pd.DataFrame) -> dict:
    """For each axis: `ratio_x`, the 68.3 % quantile of |error| over its bound, and `rmse_x_um`; and `n`. `pairs` with their bound."""
    out = {"n": len(pairs)}
    for axis in AXES:
        error = pairs[f"error_{axis}_um"].abs()
        out[f"ratio_{axis}"] = (error / pairs[f"crlb_{axis}_um"]).quantile(ONE_SIGMA) if len(pairs) else np.nan
        out[f"rmse_{axis}_um"] = np.sqrt((error**2).mean()) if len(pairs) else np.nan
    return out


def by_z(pairs: pd.DataFrame) -> list[dict]:
    """Rows `z_um`, `n`, and for each axis the 68.3 % quantile of |error|, `error_x_um`, and the mean bound, `crlb_x_um`."""
    edges = np.linspace(*sets.SCORED_UM, 2 * Z_BINS + 1)
    rows = []
    for low, high in zip(edges[:-1], edges[1:]):
        mine = pairs[pairs["z_um"].between(low, high)]
        if len(mine) >= FEWEST:
            one = {"z_um": (low + high) / 2, "n": len(mine)}
            one |= {f"error_{axis}_um": mine[f"error_{axis}_um"].abs().quantile(ONE_SIGMA) for axis in AXES}
            rows.append(one | {f"crlb_{axis}_um": mine[f"crlb_{axis}_um"].mean() for axis in AXES})
    return rows


def coverage(pairs: pd.DataFrame) -> dict:
    """Share of errors within 1 and 2 of the stated σ: `n`, `within_1sigma_x` and so on."""
    out = {"n": len(pairs)}
    for axis in AXES:
        error, sigma = pairs[f"error_{axis}_um"].abs(), pairs[f"sigma_{axis}_um"]
        out |= {f"within_{k}sigma_{axis}": (error <= k * sigma).mean() if len(pairs) else np.nan for k in (1, 2)}
    return out


class Scores:
    """The tables of one method.

    Parameters
    ----------
    found : DataFrame
        Of all sets (`set`, `frame`, places; `flag` and uncertainties, or `score`).
    truth : dict of DataFrame
        By set.
    movies : dict of sets.DataSet
    pupil, camera
        That the movies were made with.
    """

    def __init__(self, found: pd.DataFrame, truth: dict, movies: dict, pupil: Pupil = Pupil(), camera: Camera = Camera()):
        self.movies, self.pupil, self.camera = movies, pupil, camera
        self.states_sigma = "sigma_z_um" in found
        self.truth = {name: inside(table, movies[name]) for name, table in truth.items()}
        tables = {name: inside(found[found["set"] == name], movies[name]) for name in truth}
        if "flag" in found:
            tables = {name: table[table["flag"] == 0].reset_index(drop=True) for name, table in tables.items()}
        else:
            tables = {name: best_cut(self.truth[name], table) for name, table in tables.items()}
        if not self.states_sigma:
            tables = {name: table.assign(**{f"sigma_{axis}_um": np.nan for axis in AXES}) for name, table in tables.items()}
        self.offset_um = offset(self.truth["isolated"], tables["isolated"])
        self.found = {name: shifted(table, self.offset_um) for name, table in tables.items()}

    def pairs(self, names) -> pd.DataFrame:
        """Pairs of truth within the scored range and finds, of several sets."""
        parts = [pairs_table(self.truth[name][self.truth[name]["z_um"].between(*sets.AXIAL_RANGE_UM)], self.found[name]) for name in names]
        pairs = pd.concat(parts, ignore_index=True)
        return pairs[pairs["z_um"].between(*sets.SCORED_UM)].reset_index(drop=True)

    def isolated(self) -> pd.DataFrame:
        return with_bound(self.pairs(["isolated"]), self.movies["isolated"], self.pupil, self.camera)

    def detection(self) -> list[dict]:
        """One row a set that measures accuracy: what is in it, and the Jaccard index."""
        rows = []
        for name, one in self.movies.items():
            if not name.startswith("speed"):
                told = {"set": name, "density_per_um2": one.density_per_um2, "photons": one.photons, "background_e": one.background_e}
                rows.append({**told, **detection(self.truth[name], self.found[name])})
        return rows

    def coverage(self) -> list[dict]:
        """Rows over z (of the sets of 6,000 photoelectrons), density and brightness; none where the method states no uncertainty."""
        if not self.states_sigma:
            return []
        pairs = self.pairs(["isolated", "sparse", "dense", "crowded"])
        edges = np.linspace(*sets.SCORED_UM, Z_BINS + 1)
        rows = [{"over": "z_um", "value": (low + high) / 2, **coverage(pairs[pairs["z_um"].between(low, high)])}
                for low, high in zip(edges[:-1], edges[1:])]  # fmt: skip
        for kind, column in (("density", "density_per_um2"), ("photons", "photons")):
            rows += [{"over": column, "value": value, **coverage(self.pairs([name]))} for value, name in sets.series(kind).items()]
        return [row for row in rows if row["n"] >= FEWEST]
