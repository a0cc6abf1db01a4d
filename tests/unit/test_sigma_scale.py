import json

import numpy as np
import pandas as pd
import pytest

from defocus3d.sigma_scale import LIMITS, SigmaScale, circumstances_of


def drawn(count, seed=1):
    """Circumstances of `count` localizations, independent of each other."""
    rng = np.random.default_rng(seed)
    lone = rng.random(count) < 0.3
    return pd.DataFrame({"height": rng.uniform(-1.5, 1.5, count), "neighbours": np.where(lone, 0.0, rng.exponential(0.5, count)),
                         "crowding": rng.uniform(0.5, 3, count), "beyond": rng.uniform(0, 2, count), "brightness": rng.normal(8, 0.7, count),
                         "motion": np.where(rng.random(count) < 0.5, 0.0, rng.uniform(0.5, 2.0, count)),
                         "misfit": np.maximum(rng.normal(0, 0.15, count), 0), "scatter": rng.uniform(-3, -0.7, count)})  # fmt: skip


def true_factors(around):
    """Errors beyond what is stated: more for some kinds of beads, images and places, and less in z."""
    moving = 0.5 * np.log1p((0.15 * np.expm1(around["motion"])) ** 2)  # a sixth of the blur, whatever else the uncertainty is
    factor = np.exp(0.4 * np.minimum(around["neighbours"], 1.0) - 0.2 * around["height"] * (around["height"] < 0) + moving + around["misfit"])
    factor *= np.exp(0.15 * around["beyond"] + 0.1 * around["crowding"] - 0.1 * around["brightness"])
    return factor.to_numpy()[:, None] * [1.0, 1.2, 0.8]


def within(errors, sigmas):
    return (abs(errors) <= sigmas).mean(axis=0)


@pytest.fixture(scope="module")
def learned():
    rng, around = np.random.default_rng(2), drawn(20_000)
    sigmas = rng.uniform(0.01, 0.05, (len(around), 3))
    return SigmaScale.learn(around, sigmas * true_factors(around) * rng.standard_normal((len(around), 3)), sigmas)


def test_factors_are_those_of_gaussian_errors(learned):
    around = drawn(5000, seed=3)
    ratio = learned.factors(around) / true_factors(around)
    # 20,000 errors, 30 weights: the quantile of |error| at 0.683 is known to 1 / (2 density sqrt(n)) of about 0.01 for one weight
    assert ratio.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.02)
    assert ratio.std(axis=0) == pytest.approx([0, 0, 0], abs=0.06)


@pytest.mark.parametrize("name", ["height", "neighbours", "crowding", "beyond", "brightness", "motion", "misfit"])
def test_68_percent_lie_within_one_sigma_of_every_kind_of_bead(learned, name):
    rng, around = np.random.default_rng(4), drawn(20_000, seed=5)
    errors = true_factors(around) * rng.standard_normal((len(around), 3))
    sigmas = learned.factors(around)
    bins = pd.qcut(around[name], 6, labels=False, duplicates="drop")
    for k in range(int(bins.max()) + 1):
        mine = (bins == k).to_numpy()
        assert within(errors[mine], sigmas[mine]) == pytest.approx([0.683] * 3, abs=0.035)


def test_heavy_tails_do_not_widen_the_uncertainty():
    rng, around = np.random.default_rng(6), drawn(20_000)
    errors = rng.standard_t(2, (len(around), 3))
    scale = SigmaScale.learn(around, errors, np.ones((len(around), 3)))
    assert within(errors, scale.factors(around)) == pytest.approx([0.683] * 3, abs=0.01)


def test_few_errors_give_one_factor_an_axis_and_fewer_none():
    rng, around = np.random.default_rng(7), drawn(300)
    errors = rng.standard_normal((300, 3)) * [1, 2, 0.5]
    more = SigmaScale.learn(around, errors, np.ones((300, 3)))
    assert list(more.nodes) == ["height", "motion", "brightness"]  # 11 nodes, of 20 errors each
    some = SigmaScale.learn(around[:90], errors[:90], np.ones((90, 3)))
    assert some.nodes == {} and some.factors(around) == pytest.approx(np.tile([1, 2, 0.5], (300, 1)), rel=0.25)
    none = SigmaScale.learn(around[:10], errors[:10], np.ones((10, 3)))
    assert none == SigmaScale.unknown() and (none.factors(around) == 1).all()


def test_factors_stay_within_their_limits():
    around = drawn(3000)
    scale = SigmaScale.learn(around, np.full((3000, 3), 100.0), np.ones((3000, 3)))
    assert (scale.factors(around) == LIMITS[1]).all()


def test_neighbours_and_crowding_are_those_of_the_frame():
    table = pd.DataFrame({"frame": [0, 0, 0, 1], "x_um": [0.0, 1.0, 9.0, 0.0], "y_um": 0.0, "z_um": [0.5, 1.7, -0.5, -1.6], "photons": [100.0, 100, 100, 0]})
    table = table.assign(sigma_x_um=[0.01, 0.02, 0.05, 0.1], sigma_y_um=[0.01, 0.005, 0.05, 0.1], misfit=[1.0, 1.2, 9.0, 0.1], photons_cv=0.1)
    around = circumstances_of(table, area_um2=100.0, blur_um=0.05, axial_range_um=(-1.5, 1.5))
    assert around["neighbours"].tolist() == pytest.approx([0.5, 0.5, 0, 0])
    assert around["crowding"].to_numpy() == pytest.approx(np.log([2.5, 2.5, 2.5, 1.5]))
    assert around["beyond"].to_numpy() == pytest.approx(np.log([1.5, 1.5, 1.5, 1.5]))
    assert np.exp(around["misfit"]).tolist() == pytest.approx([1.0, 1.2, 2.0, 1.0])
    assert around["brightness"].iloc[3] == 0.0 and np.exp(around["scatter"]).tolist() == pytest.approx([0.1] * 4)
    assert np.expm1(around["motion"]).tolist() == pytest.approx([5, 5, 1, 0.5])
    assert [len(circumstances_of(table[:n], 100.0, 0.0, (-1.5, 1.5))) for n in (0, 1)] == [0, 1]


def test_it_is_the_same_after_json(learned):
    again = SigmaScale(**json.loads(json.dumps({"nodes": learned.nodes, "weights": learned.weights})))
    around = drawn(100)
    assert (again.factors(around) == learned.factors(around)).all()


def factors_of_a_fit(around):
    """1 for a bead at rest, alone in its image and as bright as all others; more for others."""
    crowd = around["crowding"] - 0.5
    moving = 0.5 * np.log1p((0.15 * np.expm1(around["motion"])) ** 2)
    factor = np.exp(0.3 * np.minimum(around["neighbours"], 1.0) + moving + 0.15 * around["beyond"] + 0.1 * (around["scatter"] + 3.0))
    return (factor * np.exp(crowd * (0.1 + 0.1 * around["height"]))).to_numpy()[:, None] * [1.0, 1.0, 1.0]


def few_are_alone(count, seed=1):
    """As `drawn`, but beads alone, and images of few beads, are rare."""
    around, rng = drawn(count, seed), np.random.default_rng(seed + 100)
    return around.assign(crowding=0.5 + 2.5 * rng.beta(5, 1, count), neighbours=rng.gamma(4, 0.3, count))


def test_factors_of_a_fit_tend_to_one_where_nothing_disturbs_though_few_such_beads_are_seen():
    rng, around = np.random.default_rng(9), few_are_alone(8000)
    errors = factors_of_a_fit(around) * rng.standard_normal((len(around), 3))
    alone = drawn(2000, seed=10).assign(neighbours=0.0, crowding=0.5, beyond=0.0, motion=0.0, scatter=-3.0, misfit=0.0)
    assert factors_of_a_fit(alone) == pytest.approx(1.0)
    scale = SigmaScale.learn(around, errors, np.ones((len(around), 3)), of_a_fit=True)
    assert scale.factors(alone) == pytest.approx(1.0, abs=0.03)
    free = SigmaScale.learn(around, errors, np.ones((len(around), 3)))
    assert (np.median(abs(free.factors(alone) - 1.0), axis=0) > 0.1).all()  # what it is for
    beads = few_are_alone(20_000, seed=11)
    errors = factors_of_a_fit(beads) * rng.standard_normal((len(beads), 3))
    assert within(errors, scale.factors(beads)) == pytest.approx([0.683] * 3, abs=0.02)
    ratio = scale.factors(beads) / factors_of_a_fit(beads)
    assert ratio.std(axis=0) == pytest.approx([0, 0, 0], abs=0.06)
    alike = pd.DataFrame(np.ones((100, around.shape[1])), columns=around.columns)
    assert (SigmaScale.learn(alike, errors[:100], np.ones((100, 3)), of_a_fit=True).factors(alike) == 1).all()
    again = SigmaScale(**json.loads(json.dumps(scale.__dict__)))
    assert again == scale
