"""How probable it is that a localization is right, learned from held-out scenes; what is less than even is flagged."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize

FEWEST = 30  # localizations from which the weights can be learned
NETWORK_RANGE = 0.02  # probabilities of the FCN count within this of 0 and 1: they are no better known
MOST_SIGMA = 3.0  # further inside of the axial range than this, in uncertainties of z, a bead is in it for certain
RIDGE = 0.01  # keeps the weights finite where all localizations are right


@dataclass(frozen=True)
class Acceptance:
    """Logistic regression on what the fit and the networks say of a localization (Cox 1958, J. R. Stat. Soc. B 20, 215).

    Attributes
    ----------
    weights : list of float
        Of: a constant, the log odds of the fit (compressed), the logit of the FCN's probability, and the distance from
        the nearest end of the axial range in uncertainties of z.
    """

    weights: list[float]

    UNTRAINED = [0.0, 1.0, 0.0, 0.0]

    @classmethod
    def learn(cls, table: pd.DataFrame, right: np.ndarray, axial_range_um) -> "Acceptance":
        """The weights that make the probability of `right` (n,) for the rows of `table` (see `features`) most likely."""
        if len(table) < FEWEST:
            return cls(cls.UNTRAINED)
        known, sign = features(table, axial_range_um), 2.0 * np.asarray(right) - 1.0

        def cost(weights):
            return np.logaddexp(0.0, -sign * (known @ weights)).sum() + RIDGE * (weights @ weights)

        return cls([float(w) for w in minimize(cost, np.zeros(known.shape[1])).x])

    def probability(self, table: pd.DataFrame, axial_range_um) -> np.ndarray:
        """Probability (n,) that each row of `table` shows a bead within the axial range where it says."""
        return 1.0 / (1.0 + np.exp(-features(table, axial_range_um) @ np.array(self.weights)))


def features(table: pd.DataFrame, axial_range_um) -> np.ndarray:
    """What the weights of `Acceptance` belong to, (n, 4), of a table with `log_odds`, `network`, `z_um` and `sigma_z_um`."""
    odds = table["log_odds"].to_numpy()
    compressed = np.arcsinh(odds / 5.0)
    network = np.clip(table["network"].to_numpy(), NETWORK_RANGE, 1.0 - NETWORK_RANGE)
    low, high = axial_range_um
    inside = np.minimum(table["z_um"] - low, high - table["z_um"]).to_numpy() / np.maximum(table["sigma_z_um"].to_numpy(), 1e-6)
    return np.column_stack([np.ones(len(odds)), compressed, np.log(network / (1.0 - network)), np.clip(inside, 0.0, MOST_SIGMA)])
