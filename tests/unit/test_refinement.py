"""The likelihood fit reaches the bound, in isolation and in overlap, states it, and finds what it was not told."""

import numpy as np
import pytest
from optics import PIXEL_UM, gaussian_psf

from defocus3d.alternatives import THOROUGH, _promising, odd, reconsider, try_alike
from defocus3d.camera import Camera
from defocus3d.frame_model import BLUR, PARAMETERS, PHOTONS, FrameModel, Z, climb, damped_inverse, damped_solution, new_beads
from defocus3d.matched_filter import Bank, bayes_factor, heights, unexplained
from defocus3d.population import Population
from defocus3d.psf import PSF, crlb
from defocus3d.refinement import fit_frame

CAMERA = Camera()
BEADS = Population(3000.0, 0.1, 0.01)


@pytest.mark.parametrize("z", [-0.6, 0.0, 0.5])
def test_isolated_bead_reaches_the_bound(z):
    psf, rng, n = gaussian_psf(), np.random.default_rng(3), 200
    errors, stated = [], []
    for _ in range(n):
        place = np.array([2.0, 2.0, z]) + rng.uniform(-0.05, 0.05, 3)
        image = CAMERA.detect(psf.image(*place, (41, 41), 3000) + 20, rng)
        fit = fit_frame(image, place[None] + rng.normal(0, [0.03, 0.03, 0.06]), psf, CAMERA)
        errors.append(fit.places_um[0] - place)
        stated.append(fit.sigma_um[0])
    rms, bound = np.sqrt(np.mean(np.square(errors), axis=0)), crlb(psf, z, 3000, 20, CAMERA)[0]
    # the rms of n errors is known to 1 / sqrt(2 n) = 5 %; three of these, and 5 % for the bead's spread of heights
    assert (rms < bound * (1.05 + 3 / np.sqrt(2 * n))).all()
    assert (rms > bound * (0.95 - 3 / np.sqrt(2 * n))).all()
    assert np.median(stated, axis=0) == pytest.approx(bound, rel=0.15)


def test_overlapping_beads_are_told_apart_with_honest_errors():
    psf, rng = gaussian_psf(), np.random.default_rng(4)
    truth = np.array([[1.8, 2.0, 0.1], [2.2, 2.05, -0.3]])
    pulls = []
    for _ in range(150):
        image = CAMERA.detect(psf.image(*truth.T, (41, 41), [3000, 2000]) + 20, rng)
        fit = fit_frame(image, truth + rng.normal(0, 0.03, truth.shape), psf, CAMERA)
        pulls.append((fit.places_um - truth) / fit.sigma_um)
    within = (np.abs(pulls) < 1).mean(axis=0)
    # 68 % of 150: binomial sd 3.8 %
    assert (abs(within - 0.683) < 4 * 0.038).all()


def test_two_beads_at_one_place_leave_the_equations_solvable():
    singular = np.array([[1.0, 1.0 + 1e-5], [1.0 + 1e-5, 1.0]])  # and worse, by rounding
    assert damped_solution(singular, np.ones(2), 1e-6) == pytest.approx([0.5, 0.5], rel=1e-3)
    place = [[2.0, 2.0, 0.1]]
    image = CAMERA.detect(gaussian_psf().image(2.0, 2.0, 0.1, (41, 41), 6000) + 20, np.random.default_rng(1))
    fit = fit_frame(image, np.repeat(place, 2, axis=0), gaussian_psf(), CAMERA, BEADS)
    assert fit.photons.sum() == pytest.approx(6000, rel=0.05)
    assert damped_inverse(singular, 1e-6) @ [1.0, 1.0] == pytest.approx([0.5, 0.5], rel=1e-3)
    mixed = np.array([[1.0, 0.3, -0.2], [0.3, 1.0, 0.5], [-0.2, 0.5, 1.0]])
    assert damped_inverse(mixed, 0.1) == pytest.approx(np.linalg.inv(mixed + 0.1 * np.eye(3)))
    with pytest.raises(np.linalg.LinAlgError):
        damped_solution(np.array([[1.0, -2.0], [-2.0, 1.0]]), np.ones(2), 1e-6)


@pytest.mark.parametrize("population", [None, BEADS])
def test_gradient_is_that_of_the_posterior(population):
    psf, rng = gaussian_psf().blurred(0.08), np.random.default_rng(5)
    beads = new_beads(np.array([[1.5, 1.6, 0.2], [2.0, 1.9, -0.3]]), [2900.0, 2700.0])
    model = FrameModel(CAMERA.detect(psf.image(*beads[:, :3].T, (40, 40), beads[:, 3]) + 12, rng), psf, CAMERA, population)
    nodes = np.full(model.nodes[0] * model.nodes[1], 12.0)
    information, gradient = model.normal_equations(model.state(beads, nodes))
    steps = np.array([1e-4, 1e-4, 1e-4, 0.5, 1e-3])
    for p in range(2 * PARAMETERS):
        step = np.zeros(2 * PARAMETERS)
        step[p] = h = steps[p % PARAMETERS]
        up, down = (model.state(beads + s * step.reshape(beads.shape), nodes).cost for s in (1, -1))
        # derivatives count where nearly all of a bead's light is: noise in its faint wings is a small part of the gradient's scatter
        scatter = np.sqrt(information[p, p])
        assert gradient[p] == pytest.approx(-(up - down) / (2 * h), rel=0.01, abs=0.15 * scatter)


@pytest.mark.parametrize("population", [None, BEADS])
def test_brightness_and_background_alone_are_a_part_of_all(population):
    psf, rng = gaussian_psf().blurred(0.08), np.random.default_rng(6)
    beads = new_beads(np.array([[1.5, 1.6, 0.2], [2.0, 1.9, -0.3], [0.1, 3.9, 0.1], [-3.0, 2.0, 0.0]]), [2900.0, 2700.0, 3100.0, 3000.0])
    beads[:, BLUR] = 0.3
    model = FrameModel(rng.poisson(psf.image(*beads[:, :3].T, (40, 50), beads[:, 3]) + 12.0), psf, CAMERA, population)
    state = model.state(beads, np.full(model.nodes[0] * model.nodes[1], 12.0))
    light = np.ones(beads.size + len(state.nodes), bool)
    light[: beads.size] = np.arange(beads.size) % PARAMETERS == PHOTONS
    information, gradient = model.normal_equations(state)
    alone, slope = model.light_equations(state)
    assert alone == pytest.approx(information[np.ix_(light, light)], rel=1e-5, abs=1e-12) and slope == pytest.approx(gradient[light], rel=1e-4)
    step = np.zeros(len(gradient))
    step[light] = rng.normal(0, 3, light.sum())
    one, other = model.lit(state, step[light]), model.moved(state, step)
    assert one.beads == pytest.approx(other.beads) and one.nodes == pytest.approx(other.nodes)
    assert one.expected == pytest.approx(other.expected, rel=1e-6) and one.cost == pytest.approx(other.cost)


def _crowd(count, rng):
    """Model of a frame of `count` beads, some beyond its border, and their parameters."""
    psf = gaussian_psf().blurred(0.08)
    beads = new_beads(rng.uniform([-0.5, -0.5, -0.6], [9.0, 9.0, 0.6], (count, 3)), 3000.0)
    image = CAMERA.detect(psf.image(*beads[:, :3].T, (90, 90), beads[:, PHOTONS]) + 12, rng)
    return FrameModel(image, psf, CAMERA, BEADS), beads


def test_pictures_of_beads_that_stay_are_not_drawn_again():
    model, beads = _crowd(20, np.random.default_rng(8))
    nodes = np.full(model.nodes[0] * model.nodes[1], 12.0)
    before, moved = model.state(beads, nodes), beads.copy()
    moved[[3, 7], :3] += 0.02
    moved[:, PHOTONS] *= 1.1  # of which pictures know nothing
    moved = np.vstack([moved, beads[:1] + 0.1])
    one, other = model.state(moved, nodes, like=before), model.state(moved, nodes)
    assert one.expected == pytest.approx(other.expected, rel=1e-6) and one.cost == pytest.approx(other.cost)
    for a, b in zip(model.normal_equations(one), model.normal_equations(other)):
        assert np.array_equal(a, b)


def test_beads_that_promise_no_gain_stay_and_the_others_get_as_far(monkeypatch):
    rng = np.random.default_rng(9)
    model, truth = _crowd(25, rng)
    settled = climb(model, model.state(truth, np.full(model.nodes[0] * model.nodes[1], 12.0)), move=True, steps=20)
    gains = model.promises(settled, model.own_information(settled))
    assert gains.shape == (25,) and (gains >= 0).all() and gains.sum() < 0.1
    beads = settled.beads.copy()
    beads[4, :3] += [0.05, -0.04, 0.1]
    start = model.state(beads, settled.nodes)
    gains = model.promises(start, model.own_information(start))
    assert gains.argmax() == 4 and (np.delete(gains, 4) < gains[4] / 5).all()
    some = climb(model, start, move=True, steps=20)
    monkeypatch.setattr("defocus3d.frame_model.FEW", 1000)
    everyone = climb(model, start, move=True, steps=20)
    assert some.cost == pytest.approx(everyone.cost, abs=0.1)
    assert (some.beads == start.beads).all(axis=1).any() and not (everyone.beads == start.beads).all(axis=1).any()


def test_known_places_leave_brightness_and_background():
    psf, rng = gaussian_psf(), np.random.default_rng(6)
    place = np.array([[2.0, 2.0, 0.1]])
    image = CAMERA.detect(psf.image(*place.T, (41, 41), 5000) + 30, rng)
    fit = fit_frame(image, place, psf, CAMERA, move=False)
    assert (fit.places_um == place).all()
    assert fit.photons[0] == pytest.approx(5000, abs=5 * np.sqrt(5000 + 30 * 300))
    assert fit.background_e[0] == pytest.approx(30, abs=1.0)


@pytest.mark.parametrize("search", [None, "quick", "thorough"])
def test_no_bead_is_no_error(search):
    psf = gaussian_psf()
    image = CAMERA.detect(np.full((30, 30), 10.0), np.random.default_rng(7))
    how = {"population": BEADS, "bank": Bank.of(psf), "thorough": search == "thorough"} if search else {}
    assert len(fit_frame(image, np.empty((0, 3)), psf, CAMERA, **how).photons) == 0


def scene(psf, places, rng, photons=3000.0, shape=(60, 60)):
    return CAMERA.detect(psf.image(*np.transpose(places), shape, photons) + 20, rng)


@pytest.mark.parametrize("thorough", [False, True])
def test_a_bead_that_nobody_proposed_is_found(thorough):
    psf, rng = gaussian_psf(), np.random.default_rng(8)
    truth = np.array([[2.0, 2.0, 0.3], [4.0, 3.6, -0.4]])
    fit = fit_frame(scene(psf, truth, rng), truth[:1], psf, CAMERA, BEADS, bank=Bank.of(psf), thorough=thorough)
    assert fit.source.tolist() == [0, -1]
    assert (abs(fit.places_um - truth) < 5 * fit.sigma_um).all()


def test_a_bead_that_is_not_there_is_dropped():
    psf, rng = gaussian_psf(), np.random.default_rng(9)
    proposed = np.array([[2.0, 2.0, 0.3], [4.4, 4.4, 0.0]])
    fit = fit_frame(scene(psf, proposed[:1], rng), proposed, psf, CAMERA, BEADS, bank=Bank.of(psf))
    assert fit.source.tolist() == [0]


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("z", [-0.6, 0.6])
def test_a_bead_proposed_on_the_wrong_side_of_focus_gets_to_the_right_one(z, thorough):
    psf, rng = gaussian_psf(), np.random.default_rng(10)
    truth = np.array([[3.0, 3.0, z]])
    fit = fit_frame(scene(psf, truth, rng), truth * (1, 1, -1), psf, CAMERA, BEADS, bank=Bank.of(psf), thorough=thorough)
    assert fit.places_um[0, 2] == pytest.approx(z, abs=5 * fit.sigma_um[0, 2])
    if not thorough:  # asked once, it keeps the height that it left
        assert fit.other[0, 0] == pytest.approx(-z, abs=0.2) and fit.other[0, 1] > 0


def test_two_beads_in_line_do_not_pose_as_one():
    psf, rng = gaussian_psf(), np.random.default_rng(11)
    truth = np.array([[3.0, 3.0, -0.5], [3.1, 3.0, 0.9]])
    fit = fit_frame(scene(psf, truth, rng), truth[:1] * (1, 1, 0), psf, CAMERA, BEADS, bank=Bank.of(psf))
    order = np.argsort(fit.places_um[:, 2])
    assert len(order) == 2 and (abs(fit.places_um[order] - truth) < 5 * fit.sigma_um[order]).all()


@pytest.mark.parametrize("apart", [(0.3, 0.0, 0.4), (-0.2, 0.2, -0.8)])
def test_a_bead_that_was_proposed_twice_is_one(apart):
    psf, rng, bright = gaussian_psf(), np.random.default_rng(15), Population(20_000.0, 0.08, 0.01)
    truth = np.array([[3.0, 3.0, 0.8], [1.6, 1.6, -0.5]])
    proposed = np.vstack([truth - 0.5 * np.outer([1, 0], apart), truth[:1] + 0.5 * np.array(apart)])
    fit = fit_frame(scene(psf, truth, rng, 22_000.0), proposed, psf, CAMERA, bright, bank=Bank.of(psf))
    assert len(fit.source) == 2
    assert (abs(fit.places_um - truth) < 5 * fit.sigma_um).all()


def test_a_faint_bead_in_the_light_of_its_population_is_measured_better():
    """Known brightness takes off what a fit without it loses to the correlation of brightness and height."""
    psf, rng = gaussian_psf(), np.random.default_rng(12)
    beads = Population(300.0, 0.05, 0.01)
    place = np.array([[2.0, 2.0, 1.0]])
    images = [scene(psf, place, rng, 300.0, (41, 41)) for _ in range(100)]
    z = {p: np.array([fit_frame(image, place, psf, CAMERA, p).places_um[0, 2] for image in images]) for p in (None, beads)}
    assert np.std(z[beads]) < 0.9 * np.std(z[None])
    assert np.mean(z[beads]) == pytest.approx(1.0, abs=4 * np.std(z[beads]) / 10 + 0.1)


def test_blur_of_a_bead_that_moved_little_is_measured():
    still = gaussian_psf()
    psf, rng = still.blurred(0.1), np.random.default_rng(13)
    place = np.array([[2.0, 2.0, 0.1]])
    model = FrameModel(scene(still, place, rng, 20_000, (41, 41)), psf, CAMERA)
    state = climb(model, climb(model, model.start(place, 20_000), False, 4), True, 15)
    assert state.beads[0, BLUR] == pytest.approx(-1.0, abs=0.25)  # all of the average blur is missing


def test_bayes_factor_asks_for_the_right_brightness():
    beads = Population(1000.0, 0.1, 0.01)
    photons = np.array([0.0, 200.0, 1000.0, 5000.0])
    factor = bayes_factor(photons, 100.0**2, beads)
    assert (factor[:2] < 0).all() and factor[2] > 40
    assert factor[3] < bayes_factor(1300.0, 100.0**2, beads) + 5000**2 / 100**2 / 2  # far too bright costs


def test_unexplained_light_points_to_its_place_and_height():
    psf, rng = gaussian_psf(), np.random.default_rng(14)
    truth = (3.0, 2.2, 0.5)
    image = scene(psf, [truth], rng)
    places = unexplained(image - 20.0, np.full(image.shape, 1 / CAMERA.variance(20.0)), Bank.of(psf), BEADS, 8.0)
    assert len(places) == 1
    assert (abs(places[0] - truth) < (PIXEL_UM, PIXEL_UM, 0.15)).all()


def test_weights_averaged_over_blocks_tell_nearly_the_same_of_missed_beads():
    psf, rng = gaussian_psf(), np.random.default_rng(12)
    seen = psf.image([1.5, 5.2], [2.0, 4.1], [0.1, -0.3], (70, 80), 3000.0) + 12
    missed = psf.image([4.0, 6.3, 0.2], [4.0, 1.2, 6.8], [0.2, -0.5, 0.0], (70, 80), 3000.0)
    residual, weight = rng.poisson(seen + missed) - seen, (1 / CAMERA.variance(seen)).astype(np.float32)
    exact, coarse = (Bank.of(psf, block_px).best(residual, weight, BEADS, 0.0)[0] for block_px in (1, 3))
    clear = exact > 30
    assert clear.sum() > 100
    assert np.quantile(abs(coarse[clear] / exact[clear] - 1), 0.8) < 0.1  # near the beads that are seen, weights are not smooth
    exact, coarse = (unexplained(residual, weight, Bank.of(psf, block_px), BEADS, 12.0) for block_px in (1, 3))
    exact, coarse = (places[np.argsort(places[:, 0])] for places in (exact, coarse))  # the order is that of clearness, nearly
    assert exact.shape == (3, 3) and coarse[:, :2] == pytest.approx(exact[:, :2], abs=1.1 * PIXEL_UM)


def test_a_missed_bead_is_seen_though_background_and_neighbours_took_of_its_light():
    psf, truth = ring_psf(), (3.2, 3.2, 0.8)
    light = 0.25 * psf.image(*truth, (64, 64), 6000)
    places = unexplained(light - light.mean(), np.full(light.shape, 1 / CAMERA.variance(20.0)), Bank.of(psf), Population(6000.0, 0.05, 0.01), 12.0)
    assert len(places) == 1
    assert (abs(places[0] - truth) < (PIXEL_UM, PIXEL_UM, 0.15)).all()


def test_a_lack_of_light_is_no_bead():
    dip = np.zeros((40, 40))
    dip[20, 20] = -400.0
    factor = bayes_factor(np.array([-1000.0, -3000.0]), 30.0**2, BEADS)
    assert (factor < 0).all()
    assert len(unexplained(dip, np.full(dip.shape, 0.05), Bank.of(gaussian_psf()), BEADS, 8.0)) == 0


@pytest.mark.parametrize("place", [(-1.0, 2.0), (5.0, 2.0), (2.0, -1.0), (2.0, 5.0)])
def test_beyond_the_frame_there_is_no_light_to_explain(place):
    psf, residual = gaussian_psf(), np.random.default_rng(7).normal(0, 30, (41, 41)).astype(np.float32)
    residual[10:31, 10:31] = 400.0  # far from all edges
    factor, _ = heights(residual, np.full((41, 41), 1e-2, np.float32), place, Bank.of(psf), BEADS, THOROUGH.shifts_px)
    middle = abs(Bank.of(psf).z_um) < 0.3  # sharp: none of the frame's light is near
    assert (factor[middle] < 5).all()


@pytest.mark.parametrize("place", [(0.4, 0.2, 0.5), (5.9, 5.6, -0.5), (3.0, 0.1, 0.1), (2.9, 3.1, 0.4)])
def test_heights_at_the_edge_of_a_frame_are_those_of_a_larger_one_with_no_light_beyond(place):
    psf, margin = gaussian_psf(), 40
    residual = np.random.default_rng(8).normal(0, 3, (60, 60)).astype(np.float32) + psf.image(*place, (60, 60), 3000.0).astype(np.float32)
    weight = np.random.default_rng(9).uniform(0.5e-2, 2e-2, (60, 60)).astype(np.float32)
    here = heights(residual, weight, place[:2], Bank.of(psf), BEADS, THOROUGH.shifts_px)
    there = np.array(place[:2]) + margin * PIXEL_UM
    padded = heights(np.pad(residual, margin), np.pad(weight, margin), there, Bank.of(psf), BEADS, THOROUGH.shifts_px)
    assert here[0] == pytest.approx(padded[0], rel=1e-4, abs=1e-3)
    assert here[1] == pytest.approx(padded[1] - margin * PIXEL_UM)


def test_a_look_at_other_heights_leaves_the_residual_as_it_was():
    psf, rng = gaussian_psf(), np.random.default_rng(17)
    truth = np.array([[3.0, 3.0, -0.5], [3.3, 3.1, 0.4]])
    model = FrameModel(scene(psf, truth, rng), psf, CAMERA, BEADS)
    state = model.start(truth * (1, 1, -1), 3000.0)
    residual = (model.image - state.expected).astype(np.float32)
    before = residual.copy()
    assert _promising(model, state, 0, residual, model.weight(state), Bank.of(psf), THOROUGH)
    assert np.array_equal(residual, before)


def test_beads_far_outside_of_the_frame_are_no_error():
    psf, rng = gaussian_psf(), np.random.default_rng(15)
    places = np.array([[2.0, 2.0, 0.3], [9.0, 2.0, 0.0], [2.0, 12.0, 0.0], [-9.0, -6.0, 0.0], [-9.1, -6.0, 0.0]])
    fit = fit_frame(scene(psf, places[:1], rng), places, psf, CAMERA, BEADS, bank=Bank.of(psf))
    assert (abs(fit.places_um[0] - places[0]) < 5 * fit.sigma_um[0]).all()


@pytest.mark.parametrize("z", [-0.2, 0.5])
def test_a_missed_bead_near_focus_is_one_and_not_many_far_from_it(z):
    psf, population = wide_psf(), Population(6000.0, 0.08, 0.005)
    truth = np.array([[4.0, 4.2, z], [9.0, 8.0, -1.0]])
    image = CAMERA.detect(psf.image(*truth.T, (128, 128), 6000) + 20, np.random.default_rng(17))
    fit = fit_frame(image, truth[1:], psf, CAMERA, population, bank=Bank.of(psf))
    assert len(fit.photons) == 2 and (fit.log_odds > 0).all()
    assert (abs(fit.places_um - truth[::-1]) < 5 * fit.sigma_um).all()


def test_beads_that_left_the_frame_are_not_reconsidered():
    psf, places = gaussian_psf(), np.array([[2.0, 2.0, 0.3], [-9.0, 2.0, 0.3]])
    model = FrameModel(scene(psf, places[:1], np.random.default_rng(15)), psf, CAMERA, BEADS)
    state, others = reconsider(model, model.start(places, 3000.0), np.array([[np.nan, np.nan], [-0.3, 1.0]]))
    assert (state.beads[:, :3] == places).all() and others[1].tolist() == [-0.3, 1.0]


def wide_psf() -> PSF:
    """A spot that grows to a disc of 2.2 µm, with a bright rim behind focus."""
    z, half = np.arange(-2.0, 2.01, 0.1), 36
    v, u = np.mgrid[-half : half + 1, -half : half + 1] * PIXEL_UM
    r = np.hypot(v, u)

    def image(height):
        radius = 0.2 + 1.0 * abs(height)
        disc = 1 / (1 + np.exp((r - radius) / 0.1)) * (1 + (r / radius) ** 2 * np.clip(height, 0, 1))
        return disc / disc.sum()

    return PSF(np.stack([image(height) for height in z]), PIXEL_UM, float(z[0]), 0.1, (-1.5, 1.5))


def ring_psf() -> PSF:
    """A spot before focus; behind it, most of the light is in a broad ring around such a spot."""
    z, half = np.arange(-1.5, 1.51, 0.1), 24
    v, u = np.mgrid[-half : half + 1, -half : half + 1] * PIXEL_UM
    r = np.hypot(v, u)

    def image(height):
        width = 0.15 * np.hypot(1, height / 0.5) if height < 0 else 0.15 + 0.1 * height
        spot, ring = np.exp(-((r / width) ** 2) / 2), np.exp(-(((r - 0.8 * height) / 0.7) ** 2) / 2)
        share = 0.7 * np.clip(height / 1.2, 0, 1)
        return (1 - share) * spot / spot.sum() + share * ring / ring.sum()

    return PSF(np.stack([image(height) for height in z]), PIXEL_UM, float(z[0]), 0.1, (-1.4, 1.4))


@pytest.mark.parametrize("height, other", [(0.6, -0.7), (-0.7, 0.6)])
def test_a_height_chosen_while_a_neighbour_was_missing_is_reconsidered(height, other):
    psf, population = ring_psf(), Population(6000.0, 0.05, 0.01)
    truth = np.array([[3.2, 3.2, 0.6], [3.9, 3.4, 1.2]])
    model = FrameModel(scene(psf, truth, np.random.default_rng(16), 6000.0, (64, 64)), psf, CAMERA, population)
    state = climb(model, model.start(np.array([[3.2, 3.2, height], truth[1]]), 6000.0), move=True, steps=20)
    after, others = reconsider(model, state, np.array([[other, 3.0], [np.nan, np.nan]]))
    assert after.beads[0, Z] == pytest.approx(0.6, abs=0.1)
    assert after.cost <= state.cost
    assert others[0, 0] == pytest.approx(-0.7, abs=0.2) and others[0, 1] > 5  # by how much the wrong one is less likely
    assert np.isnan(others[1]).all()


@pytest.mark.parametrize("thorough", [True, False])
@pytest.mark.parametrize("z", [1.1, 1.2, 1.3])
def test_the_background_does_not_keep_the_ring_of_a_bead_that_was_taken_for_its_middle(z, thorough):
    psf, population = ring_psf(), Population(20000.0, 0.1, 0.002)
    image = CAMERA.detect(psf.image(6.35, 6.35, z, (128, 128), 20000) + 20, np.random.default_rng(12))
    fit = fit_frame(image, np.array([[6.35, 6.35, -0.4]]), psf, CAMERA, population, bank=Bank.of(psf), thorough=thorough)
    assert len(fit.photons) == 1
    assert fit.places_um[0, 2] == pytest.approx(z, abs=5 * fit.sigma_um[0, 2])
    assert fit.background_e[0] == pytest.approx(20, rel=0.1)


def defocused_psf(behind=1.0, ring_share=0.35) -> PSF:
    """A spot that grows away from focus; behind focus `behind` times as fast, with a part of its light in a ring."""
    z, half = np.arange(-1.5, 1.51, 0.1), 20
    v, u = np.mgrid[-half : half + 1, -half : half + 1] * PIXEL_UM
    r = np.hypot(v, u)

    def image(height):
        grown = abs(height) * (behind if height > 0 else 1.0)
        width = 0.14 * np.hypot(1, grown / 0.4)
        spot, ring = np.exp(-((r / width) ** 2) / 2), np.exp(-(((r - 2.2 * width) / 0.15) ** 2) / 2)
        share = ring_share * np.clip(height / 0.5, 0, 1)
        return (1 - share) * spot / spot.sum() + share * ring / ring.sum()

    return PSF(np.stack([image(height) for height in z]), PIXEL_UM, float(z[0]), 0.1, (-1.2, 1.2))


def test_counterparts_lie_where_images_are_alike_and_count_both_ways():
    bank = Bank.of(defocused_psf(behind=0.8, ring_share=0.0))
    for z in (-0.6, -0.4, 0.5, 0.8):
        there = bank.alike[np.argmin(abs(bank.z_um - z))]
        assert min(abs(there - (-z / 0.8 if z < 0 else -z * 0.8))) < 0.1
    for z, there in zip(bank.z_um, bank.alike):
        for other in there:  # one of the two is the counterpart of the other, and so each is told of the other
            assert any(np.isclose(z, bank.alike[k]).any() for k in np.flatnonzero(np.isclose(bank.z_um, other)))


def test_a_psf_that_is_alike_nowhere_has_no_counterparts():
    psf = gaussian_psf()
    one_side = PSF(psf.values[18:], PIXEL_UM, float(psf.z_um[18]), 0.1, (0.4, 1.0))
    assert not any(len(there) for there in Bank.of(one_side).alike)


def test_beads_are_odd_by_their_light_or_by_their_shape():
    psf = gaussian_psf()
    truth = np.array([[1.5, 1.5, 0.3], [4.5, 1.5, 0.3], [1.5, 4.5, 0.3], [4.5, 4.5, 0.6]])
    photons = np.array([3000.0, 5000.0, 1800.0, 3000.0])
    image = CAMERA.detect(psf.image(*truth.T, (60, 60), photons) + 20, np.random.default_rng(17))
    model = FrameModel(image, psf, CAMERA, BEADS)
    proposed = truth * np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, -1]])  # the last on the wrong side, where it is as bright
    state = climb(model, model.start(proposed, 3000.0), move=True, steps=20)
    assert odd(model, state, 3.0, untold=False).tolist() == [False, True, True, True]


@pytest.mark.parametrize("untold", [True, False])
def test_a_brightness_that_nobody_knows_is_not_odd(untold):
    psf, places = gaussian_psf(), np.array([[3.0, 3.0, 0.3]])
    unknown = Population.unknown((500, 20000), (0.01, 0.1), (-1.0, 1.0))
    model = FrameModel(scene(psf, places, np.random.default_rng(18)), psf, CAMERA, unknown)
    assert odd(model, model.start(places, 3000.0), 3.0, untold).tolist() == [untold]
    dim = FrameModel(scene(psf, places, np.random.default_rng(18), 60.0), psf, CAMERA, Population(60.0, 0.05, 0.01))
    assert odd(dim, climb(dim, dim.start(places, 60.0), move=True, steps=20), 3.0, untold).tolist() == [untold]


@pytest.mark.parametrize("z", [-0.5, 0.6])
def test_a_bead_at_a_height_at_which_it_looks_alike_gets_to_its_own(z):
    psf, population = defocused_psf(), Population(6000.0, 0.05, 0.01)
    bank, truth = Bank.of(psf), np.array([[3.03, 2.96, z]])
    model = FrameModel(scene(psf, truth, np.random.default_rng(19), 6000.0), psf, CAMERA, population)
    start = truth * (1, 1, 0) + [0, 0, bank.alike[np.argmin(abs(bank.z_um - z))][0]]
    state = climb(model, model.start(start, 6000.0), move=True, steps=20)
    assert np.sign(state.beads[0, Z]) == -np.sign(z)  # a fit alone does not get there
    after, other = try_alike(model, state, bank, np.full((1, 2), np.nan), np.ones(1, bool))
    assert after.beads[0, Z] == pytest.approx(z, abs=0.1)
    assert after.cost < state.cost
    assert other[0, 0] == pytest.approx(state.beads[0, Z], abs=0.1) and other[0, 1] > 0  # where it was is now its other height
    again, known = try_alike(model, after, bank, other, np.ones(1, bool))
    assert again is after and known[0, 0] == pytest.approx(other[0, 0], abs=0.1)


def test_beads_out_of_range_are_not_asked_what_they_look_like():
    psf, places = defocused_psf(), np.array([[3.0, 3.0, 1.35], [-9.0, 3.0, 0.5]])
    model = FrameModel(scene(psf, places[:1], np.random.default_rng(20)), psf, CAMERA, BEADS)
    state = model.start(places, 3000.0)
    after, other = try_alike(model, state, Bank.of(psf), np.full((2, 2), np.nan), np.ones(2, bool))
    assert after is state and np.isnan(other).all()
