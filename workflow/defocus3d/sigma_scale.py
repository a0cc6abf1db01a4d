"""How much larger errors are than the bound or the networks state: by what is known of a bead, of its neighbours and of its image."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.spatial import cKDTree

ONE_SIGMA = 0.683  # share of errors within one uncertainty
STAGES = ("networks", "quick", "thorough")  # whose uncertainties have factors of their own: the networks alone, and the searches of the fit
METHOD = 4  # of localizing and calibrating: raised with each change of it after which calibrations of before do not hold
NEIGHBOUR_UM = 2.0  # lateral reach of a neighbour's light
FEWEST = 30  # errors from which one factor an axis can be learned
FEWEST_A_WEIGHT = 20  # errors a weight, from which the factors depend on one thing more
# of piecewise linear dependences, the more needed first; more of them would fit to chance
NODES = {"height": 5, "motion": 5, "brightness": 3, "neighbours": 4, "misfit": 3, "crowding": 3, "beyond": 3}
NODES_OF_A_FIT = {"crowding": 3, "motion": 5, "neighbours": 4, "beyond": 3, "height": 5, "brightness": 3, "scatter": 3}
IN_CROWDS = "height", "brightness"  # of a fit, what matters as much as the image is crowded
SPARSE_PER_UM2 = 0.02  # density from which on one more matters less
EXPLAINED, UNEXPLAINED = 1.0, 2.0  # mean squared residuals over variance: less is a wrong gain; from more, the PSF explains nothing
LIMITS = 0.2, 5.0  # of a factor
SMOOTH = 0.03  # the corner of the loss is rounded over this much of the logarithm of a factor
RIDGE = 10.0  # in errors: weights that few of them support stay small


def stage_of(settings: dict) -> str:
    """Which of `STAGES` localizations come from under the settings of `localization`."""
    return settings["search"] if settings["refine"] == "mle" else "networks"


@dataclass(frozen=True)
class SigmaScale:
    """Factors on stated uncertainties that make 68 % of errors lie within one, for every kind of bead.

    Attributes
    ----------
    nodes : dict
        Of each of `NODES`, or of `NODES_OF_A_FIT`, where its piecewise linear dependence bends; empty where one factor an axis is all
        that is known.
    weights : list
        Logarithms of the factors, rows of x, y, z, that add up; see `_features`.
    of_a_fit : bool
        The factors tend to 1 where nothing disturbs: the most likely place of a bead at rest, alone in the image and as bright as all
        others has the uncertainty that the information on it gives (the bound of Cramér and Rao). Held-out scenes alone tell that badly,
        as hardly any of their beads are alone. Crowding, of which their images always have some, counts from their least on.
    """

    nodes: dict
    weights: list
    of_a_fit: bool = False

    @classmethod
    def unknown(cls) -> "SigmaScale":
        """Factors of 1."""
        return cls({}, [[0.0, 0.0, 0.0]])

    @classmethod
    def learn(cls, circumstances: pd.DataFrame, errors: np.ndarray, sigmas: np.ndarray, of_a_fit: bool = False) -> "SigmaScale":
        """Factors for `sigmas` (n, 3) of `errors` (n, 3) under `circumstances` (see `circumstances_of`).

        Regression on the 68.3 % quantile of log(|error| / sigma) (Koenker and Bassett 1978, Econometrica 46, 33): the loss is least
        where that share of errors lies within one uncertainty, for all of them and for those at each node.
        """
        if len(errors) < FEWEST:
            return cls.unknown()
        logs = np.log(np.maximum(abs(errors) / sigmas, 1e-6))
        wanted = NODES_OF_A_FIT if of_a_fit else NODES
        afforded = np.cumsum(list(wanted.values())) * FEWEST_A_WEIGHT <= len(errors)
        nodes = {name: _spread(circumstances[name].to_numpy(), count) for (name, count), can in zip(wanted.items(), afforded) if can}
        features = _features(circumstances, nodes, of_a_fit)
        return cls(nodes, np.column_stack([_quantile_weights(features, logs[:, k]) for k in range(3)]).tolist(), of_a_fit)

    def factors(self, circumstances: pd.DataFrame) -> np.ndarray:
        """Factors (n, 3) on the uncertainties in x, y, z of localizations under `circumstances`."""
        return np.clip(np.exp(_features(circumstances, self.nodes, self.of_a_fit) @ np.array(self.weights)), *LIMITS)


def circumstances_of(table: pd.DataFrame, area_um2: float, blur_um, axial_range_um) -> pd.DataFrame:
    """What the factors may depend on, one row a localization of `table` of images of `area_um2`.

    Of the table: `frame`, places, uncertainties as stated, `photons`, `photons_cv`, `misfit`; all of a frame, those outside of
    `axial_range_um` too.

    height : z in µm. neighbours : other localizations of the frame, each as much as it is near: 1 at the same place, 0 at 2 µm.
    crowding : logarithm of 1 + localizations per µm² / `SPARSE_PER_UM2` of the frame. beyond : the same of those outside of the axial range, which
    tell of others farther out that nobody sees. brightness : logarithm of photoelectrons. misfit : logarithm of what is above 1 of it.
    scatter : logarithm of what the fit takes for the scatter of the brightness of the movie's beads, which few beads tell badly.
    motion : logarithm of 1 + `blur_um` (rms displacement within an exposure, of all or of each) over the lateral uncertainty as stated: a
    path that is not known in detail leaves an error that more light does not lower.
    """
    frame = table["frame"].to_numpy()
    places = np.column_stack([table["x_um"], table["y_um"], frame * 10 * NEIGHBOUR_UM])
    neighbours = np.zeros(len(table))
    pairs = cKDTree(places).query_pairs(NEIGHBOUR_UM, output_type="ndarray") if len(table) > 1 else np.empty((0, 2), int)
    nearness = 1.0 - np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1) / NEIGHBOUR_UM
    for end in pairs.T:
        np.add.at(neighbours, end, nearness)
    outside = ~table["z_um"].between(*axial_range_um)
    count, beyond = (outside.groupby(table["frame"]).transform(what).to_numpy(float) for what in ("size", "sum"))
    lateral_um = np.sqrt(table["sigma_x_um"] * table["sigma_y_um"]).to_numpy()
    return pd.DataFrame({
        "height": table["z_um"].to_numpy(), "neighbours": neighbours, "crowding": _per_area(count, area_um2), "beyond": _per_area(beyond, area_um2),
        "brightness": np.log(np.maximum(table["photons"].to_numpy(), 1.0)), "motion": np.log1p(blur_um / lateral_um),
        "scatter": np.log(table["photons_cv"].to_numpy(float)),
        "misfit": np.log(np.clip(table["misfit"].to_numpy(), EXPLAINED, UNEXPLAINED)),
    })  # fmt: skip


def _per_area(count: np.ndarray, area_um2: float) -> np.ndarray:
    return np.log1p(count / area_um2 / SPARSE_PER_UM2)


def _spread(values: np.ndarray, count: int) -> list[float]:
    """Nodes with about as many of `values` between any two; fewer where many values are equal."""
    return [float(v) for v in np.unique(np.round(np.quantile(values, np.linspace(0.01, 0.99, count)), 4))]


def _features(circumstances: pd.DataFrame, nodes: dict, of_a_fit: bool) -> np.ndarray:
    """What the logarithm of a factor is a weighted sum of, a column each.

    For each node, how near the value is to it: 1 at the node, 0 at the next ones, constant beyond the last; and a constant. Of a fit,
    all are 0 in the best circumstances: there is no constant, nor a first node of each, and the nodes of `IN_CROWDS` count from nothing
    in the least crowded images to all in the most crowded ones.
    """
    parts = [] if of_a_fit and nodes else [np.ones((len(circumstances), 1))]
    for name, at in nodes.items():
        near = _nearness(circumstances[name], at)
        if of_a_fit and name in IN_CROWDS:
            low, high = nodes["crowding"][0], nodes["crowding"][-1]
            near *= np.clip((circumstances["crowding"].to_numpy()[:, None] - low) / max(high - low, 1e-9), 0.0, 1.0)
        elif of_a_fit:
            near = near[:, 1:]
        parts.append(near)
    return np.concatenate(parts, axis=1)


def _nearness(values: pd.Series, nodes: list[float]) -> np.ndarray:
    values = np.clip(values.to_numpy(), nodes[0], nodes[-1])
    return np.column_stack([np.interp(values, nodes, row) for row in np.eye(len(nodes))])


def _quantile_weights(features: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Weights under which `ONE_SIGMA` of `logs` (n,) lie below `features` @ weights, everywhere alike."""
    start, free = np.zeros(features.shape[1]), np.ones(features.shape[1])
    if not len(start):  # nothing differs from bead to bead
        return start
    if (features[:, 0] == 1).all():  # the constant, which needs no support
        start[0], free[0] = np.quantile(logs, ONE_SIGMA), 0.0

    def loss(weights):
        left = logs - features @ weights
        rounded = SMOOTH * np.logaddexp(0.0, -left / SMOOTH)
        above = 1.0 / (1.0 + np.exp(np.clip(left / SMOOTH, -50, 50)))
        slope = -features.T @ (ONE_SIGMA - above) + RIDGE * free * weights
        return (ONE_SIGMA * left + rounded).sum() + 0.5 * RIDGE * (free * weights**2).sum(), slope

    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
