"""How probable it is that a localization is right."""

import numpy as np
import pandas as pd
import pytest

from defocus3d.acceptance import Acceptance

RANGE_UM = (-1.5, 1.5)


def localizations(rng, n):
    z, sigma = rng.uniform(-1.5, 1.5, n), rng.uniform(0.02, 0.2, n)
    return pd.DataFrame({"log_odds": rng.normal(5, 8, n), "network": rng.random(n), "z_um": z, "sigma_z_um": sigma})


def test_learned_probabilities_are_those_of_the_data():
    rng = np.random.default_rng(1)
    table = localizations(rng, 20_000)
    true = Acceptance([-0.5, 1.0, 0.6, 0.4])
    right = rng.random(len(table)) < true.probability(table, RANGE_UM)
    learned = Acceptance.learn(table, right, RANGE_UM)
    assert learned.weights == pytest.approx(true.weights, abs=0.1)
    stated = learned.probability(table, RANGE_UM)
    for low in np.arange(0, 1, 0.2):
        chosen = (stated >= low) & (stated < low + 0.2)
        assert right[chosen].mean() == pytest.approx(stated[chosen].mean(), abs=4 * 0.5 / np.sqrt(chosen.sum()))


def test_more_light_and_a_sure_network_make_a_bead_more_probable():
    rng = np.random.default_rng(2)
    table = localizations(rng, 5000)
    learned = Acceptance.learn(table, (table["log_odds"] > 3) & (table["network"] > 0.3), RANGE_UM)
    weak, strong = (pd.DataFrame({"log_odds": [o], "network": [n], "z_um": [0.0], "sigma_z_um": [0.1]}) for o, n in ((-2, 0.1), (20, 0.9)))
    assert learned.probability(weak, RANGE_UM) < 0.2 < 0.8 < learned.probability(strong, RANGE_UM)


def test_too_few_to_learn_from_leave_the_odds_as_they_are():
    table = localizations(np.random.default_rng(3), 10)
    assert Acceptance.learn(table, np.ones(10, bool), RANGE_UM).weights == Acceptance.UNTRAINED


def test_no_localization_is_no_error():
    assert len(Acceptance(Acceptance.UNTRAINED).probability(localizations(np.random.default_rng(4), 0), RANGE_UM)) == 0
