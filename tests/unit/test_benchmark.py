"""The benchmark's optics are those of physics, and its scores those of known errors."""

import numpy as np
import pandas as pd
import pytest

from defocus3d.benchmark import analysis, sets
from defocus3d.benchmark.images import Microscope, isolated, movie
from defocus3d.benchmark.pupil import Pupil, crlb
from defocus3d.benchmark.scores import Scores, best_cut, coverage, detection, ratios
from defocus3d.camera import Camera
from defocus3d.evaluation import AXES
from defocus3d.figures import benchmark as pictures
from defocus3d.settings import complete

PERFECT = Pupil(astigmatism=0, coma=0, spherical=0)
NO_NOISE = Camera(read_noise_e=0)


@pytest.fixture(scope="module")
def microscope():
    return Microscope()


def second_moment(image, axis):
    """Variance in µm² of the light along an axis, about its mean."""
    places = np.arange(image.shape[axis]) * sets.PIXEL_UM
    light = image.sum(axis=1 - axis)
    mean = (places * light).sum() / light.sum()
    return ((places - mean) ** 2 * light).sum() / light.sum()


@pytest.mark.parametrize("pupil", [PERFECT, Pupil()])
def test_the_same_energy_at_every_height(pupil):
    """No light is lost to defocus or to aberrations, which are phases: of unnormalised sums, by Parseval."""
    totals = [pupil.intensity(z, 256).sum() for z in (-1.5, 0.0, 1.5)]
    assert totals == pytest.approx([1.0] * 3, abs=1e-12)
    assert pupil.image(1.0, 256).min() > -1e-6


def test_a_perfect_low_aperture_gives_an_airy_disc():
    """At NA 0.3, polarization matters little: the peak is pi NA² / λ² per area, the first dark ring at 0.61 λ / NA."""
    pupil = Pupil(na=0.3, astigmatism=0, coma=0, spherical=0)
    image = pupil.intensity(0.0, 512)
    assert image[256, 256] / sets.PIXEL_UM**2 == pytest.approx(np.pi * 0.3**2 / 0.58**2, rel=0.03)
    dark = np.argmin(image[256, 256 : 256 + 18]) * sets.PIXEL_UM
    assert dark == pytest.approx(0.61 * 0.58 / 0.3, abs=sets.PIXEL_UM)


def test_width_at_focus_is_that_of_diffraction():
    """A freely rotating dipole at NA 1.2: the full width at half maximum is a little above the scalar 0.51 λ / NA."""
    profile = PERFECT.intensity(PERFECT.focus_um, 256)[128]
    fine = np.interp(np.arange(120, 136, 0.01), np.arange(256), profile)
    width = (fine > fine.max() / 2).sum() * 0.01 * sets.PIXEL_UM
    assert 1.0 < width / (0.51 * 0.58 / 1.2) < 1.35


def test_without_aberration_the_two_sides_and_all_directions_are_alike():
    above, below = PERFECT.image(1.0, 128), PERFECT.image(-1.0, 128)
    assert np.allclose(above, below, atol=1e-3 * above.max())
    inner = above[1:, 1:]  # about the middle pixel
    assert np.allclose(inner, inner[::-1]) and np.allclose(inner, inner.T)


def test_each_aberration_breaks_the_symmetry_that_it_should():
    coma, astigmatism = Pupil(astigmatism=0, spherical=0), Pupil(coma=0, spherical=0)
    image = coma.image(0.0, 128)[1:, 1:]
    assert np.allclose(image, image[::-1]) and abs(image - image[:, ::-1]).max() > 0.02 * image.max()
    wide = {z: [second_moment(astigmatism.image(z, 128)[34:95, 34:95], axis) for axis in (0, 1)] for z in (-0.3, 0.3)}
    assert (wide[-0.3][0] - wide[-0.3][1]) * (wide[0.3][0] - wide[0.3][1]) < 0
    spherical = Pupil(coma=0, astigmatism=0)
    assert abs(spherical.image(1.0, 128) - spherical.image(-1.0, 128)).max() > 0.1 * spherical.image(1.0, 128).max()


def test_far_from_focus_the_image_is_the_cone_of_light():
    """Geometric optics: 5 µm from focus, nearly all light lies within z tan θ, with sin θ = NA / n, and the rim is bright."""
    z, size = 5.0, 512
    image = PERFECT.image(z, size)
    radius = np.hypot(*(np.indices(image.shape) - size // 2)) * sets.PIXEL_UM
    rim = z * np.tan(np.arcsin(1.2 / 1.33))
    assert 0.93 < image[radius < rim].sum() < 1.0
    assert image[radius < 1.1 * rim].sum() > 0.97
    assert image[abs(radius - 0.9 * rim) < 0.3].mean() < image[radius < 2].mean()  # more light per angle goes straight on


def test_the_stored_image_is_the_exact_one(microscope):
    """Between knots too: a thousandth of the peak is a tenth of the noise of a bead of 6,000 photoelectrons."""
    for z in (-1.37, 0.013, 0.63, 2.2):
        stored = microscope.expose([[[6.437, 6.389, z]]], [1.0], (129, 129))
        exact = microscope.pupil.image(z, 256, 0.37, -0.11)[64:193, 64:193]
        assert abs(stored - exact).max() < 1e-3 * exact.max()
    far = microscope.expose([[[6.4, 6.4, 4.0]]], [1.0], (129, 129))
    assert abs(far - microscope.pupil.image(4.0, 512)[192:321, 192:321]).max() < 0.02 * far.max()


def test_the_bound_without_background_is_that_of_counted_light():
    """Of the light alone, the bound falls as the square root of the photoelectrons."""
    one, four = (crlb(PERFECT, [0.7], n, 1e-9, NO_NOISE, 64) for n in (1000.0, 4000.0))
    assert one / four == pytest.approx(np.full((1, 3), 2.0), rel=1e-3)


def test_maximum_likelihood_attains_the_bound():
    """The mean squared error of one Newton step from the truth is the inverse information, to the noise of 400 draws."""
    pupil, camera, z, size = Pupil(), Camera(), 0.5, 64
    mean = 6000.0 * pupil.image(z, size) + 20.0
    step = 0.01
    slopes = [6000.0 * (pupil.image(z, size, d, 0) - pupil.image(z, size, -d, 0)) / (2 * step) for d in [step / sets.PIXEL_UM]]
    slopes += [6000.0 * (pupil.image(z, size, 0, d) - pupil.image(z, size, 0, -d)) / (2 * step) for d in [step / sets.PIXEL_UM]]
    slopes += [6000.0 * (pupil.image(z + step, size) - pupil.image(z - step, size)) / (2 * step)]
    slopes = np.stack([*slopes, pupil.image(z, size), np.ones_like(mean)]).reshape(5, -1)
    weight = 1 / camera.variance(mean).ravel()
    rng = np.random.default_rng(0)
    noise = np.stack([camera.detect(mean, rng) - mean for _ in range(400)]).reshape(400, -1)
    errors = np.linalg.solve((slopes * weight) @ slopes.T, (slopes * weight) @ noise.T)[:3]
    assert errors.std(axis=1) / crlb(pupil, [z], 6000.0, 20.0, camera, size)[0] == pytest.approx(np.ones(3), abs=4 / np.sqrt(800))


def test_movies_have_the_density_and_the_depth_that_they_say(microscope):
    one = sets.DataSet(0.25, frames=12, side_px=128, moving=False, depth_um=1.5)
    images, truth = movie(one, microscope, Camera(), np.random.default_rng(3))
    assert images.shape == (12, 128, 128) and truth["z_um"].abs().max() <= 1.5
    seen = truth[truth["x_um"].between(0, 12.8) & truth["y_um"].between(0, 12.8)]
    expected = 0.25 * 12.8**2 * 12
    assert abs(len(seen) - expected) < 4 * np.sqrt(expected)


def test_isolated_beads_stand_alone(microscope):
    one = sets.DataSet(0.0, frames=3, side_px=256, moving=False, depth_um=1.5)
    images, truth = isolated(one, microscope, Camera(), np.random.default_rng(0))
    places = truth[truth["frame"] == 0][["x_um", "y_um"]].to_numpy()
    apart = np.hypot(*(places[:, None] - places).transpose(2, 0, 1)) + 99 * np.eye(9)
    assert len(places) == 9 and apart.min() > 2 * 3.2  # twice the radius of the light cone at 1.5 µm
    light = (Camera().to_photoelectrons(images[0]) - 20).sum()
    assert light == pytest.approx(9 * 6000, abs=4 * np.sqrt(9 * 6000 + 256**2 * (20 + 1.6**2)) + 0.03 * 9 * 6000)


def test_every_movie_that_speed_and_series_name_exists():
    movies = sets.data_sets("full")
    named = {*sets.NAMED, *sets.series("density").values(), *sets.series("photons").values()}
    named |= {name for names in sets.GROWTH.values() for name in names.values()}
    assert named == set(movies) == set(sets.data_sets("tiny"))
    values = {"frames": lambda one: one.frames, "beads per µm²": lambda one: one.density_per_um2,
              "rows and columns": lambda one: one.side_px}  # fmt: skip
    for what, names in sets.GROWTH.items():
        assert {value: values[what](movies[name]) for value, name in names.items()} == {value: value for value in names}


def beads(n, rng, **columns):
    """Truth of `n` beads in as many frames of the isolated set, within the scored range."""
    places = rng.uniform([2, 2, -1.3], [23, 23, 1.3], (n, 3))
    return pd.DataFrame({"frame": np.arange(n), **dict(zip(("x_um", "y_um", "z_um"), places.T)), "photons": 6000.0, **columns})


def test_ratios_of_errors_drawn_at_the_bound_are_one():
    rng = np.random.default_rng(0)
    bounds = dict(zip(AXES, (0.01, 0.02, 0.03)))
    pairs = pd.DataFrame({f"error_{axis}_um": rng.normal(0, bound, 20000) for axis, bound in bounds.items()})
    pairs = pairs.assign(**{f"crlb_{axis}_um": bound for axis, bound in bounds.items()})
    found = ratios(pairs)
    assert [found[f"ratio_{axis}"] for axis in AXES] == pytest.approx([1.0] * 3, abs=0.03)
    doubled = coverage(pairs.assign(**{f"sigma_{axis}_um": 2 * bound for axis, bound in bounds.items()}))
    assert doubled["within_1sigma_z"] == pytest.approx(0.9545, abs=0.01)


def test_detection_counts_by_range():
    """Found, missed, beyond the range and reported, beyond and not reported, at the range's margin and either."""
    truth = pd.DataFrame({"frame": 0, "x_um": np.arange(6.0), "y_um": 1.0, "z_um": [0.0, 1.0, 2.0, 2.0, 1.45, 1.45]})
    found = truth.iloc[[0, 2, 4]].assign(z_um=[0.3, 1.2, 1.45])
    counts = detection(truth, found)
    assert (counts["n_truth"], counts["n_found"], counts["n_matched"]) == (2, 2, 1)
    assert counts["jaccard"] == pytest.approx(1 / 3)
    assert detection(truth, found.assign(z_um=[0.6, 1.2, 1.45]))["n_matched"] == 0  # beyond half a micrometre in z


def test_the_best_cut_divides_right_from_wrong():
    truth = beads(40, np.random.default_rng(1))
    wrong = truth.assign(z_um=-truth["z_um"] - np.sign(truth["z_um"]), score=0.2)
    found = pd.concat([truth.assign(score=0.8), wrong], ignore_index=True)
    assert detection(truth, found)["jaccard"] < 0.8 and detection(truth, best_cut(truth, found))["jaccard"] == 1.0


def test_a_constant_offset_is_taken_off_and_flagged_finds_do_not_count():
    rng = np.random.default_rng(2)
    truth = {"isolated": beads(200, rng), "crowded": beads(50, rng)}
    movies = {name: sets.ACCURACY["isolated"] for name in truth}
    told = {"sigma_x_um": 0.01, "sigma_y_um": 0.01, "sigma_z_um": 0.02}
    off = {"x_um": 0.05, "y_um": -0.03, "z_um": 0.4}
    found = [table.assign(set=name, flag=0, **told, **{axis: table[axis] + by for axis, by in off.items()})
             for name, table in truth.items()]  # fmt: skip
    ghosts = truth["crowded"].assign(set="crowded", flag=8, x_um=1.0, **told)
    scores = Scores(pd.concat([*found, ghosts], ignore_index=True), truth, movies)
    assert scores.offset_um == pytest.approx(list(off.values()))
    assert [row["jaccard"] for row in scores.detection()] == [1.0, 1.0]
    assert ratios(scores.isolated())["ratio_z"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("size", ["full", "tiny"])
def test_the_analysis_of_the_stacks_has_a_sound_config(tmp_path, size):
    config = analysis.write(tmp_path / "analysis", "../data", size)
    assert complete(config)[1] == []
    assert (tmp_path / "analysis" / "bead_stacks.tsv").read_text().count("\n") == 1 + len(analysis.STACKS[size])


def test_libraries_find_a_lone_bead(microscope):
    """Both methods see what is easy: a bright bead near focus, to a pixel."""
    from defocus3d.benchmark.baselines import Correlation, LookUp
    from defocus3d.beads import Stack
    from defocus3d.psf import PSF

    rng, camera, size = np.random.default_rng(0), Camera(), 65
    z = np.arange(-1.6, 1.61, 0.1)
    pupil = microscope.pupil
    psf = PSF(np.stack([pupil.image(h, 128)[32:97, 32:97] for h in z]), sets.PIXEL_UM, float(z[0]), 0.1)
    expected = np.stack([20 + microscope.expose([[[3.2, 3.2, h]]], [20000.0], (size, size)) for h in z])
    stacks = [Stack(f"folder/{name}.tif", camera.detect(expected, rng), z - z[0], camera) for name in "abcdefgh"]
    table = pd.DataFrame({"stack": [f"elsewhere/{name}.tif" for name in "abcdefgh"], "x_um": 3.2, "y_um": 3.2, "z_um": -z[0], "kept": True})
    image = camera.detect(20 + microscope.expose([[[2.93, 3.51, 0.4]]], [20000.0], (size, size)), rng)[None]
    for method in (Correlation.of(psf), LookUp.of(stacks, table, sets.PIXEL_UM)):
        best = method.locate(image).sort_values("score").iloc[-1]
        assert best["x_um"] == pytest.approx(2.93, abs=0.1) and best["y_um"] == pytest.approx(3.51, abs=0.1)
        assert best["z_um"] == pytest.approx(0.4, abs=0.3)


def test_uncertainties_over_something_that_too_few_beads_tell_of_leave_a_panel_empty():
    told = {f"within_{k}sigma_{axis}": 0.7 for k in (1, 2) for axis in "xyz"}
    rows = [{"method": method, "over": over, "value": value, "n": 9, **told}
            for method in ("thorough", "quick") for over, value in (("z_um", -0.5), ("z_um", 0.5), ("density_per_um2", 0.1))]  # fmt: skip
    figure = pictures.draw_coverage(pd.DataFrame([*rows, {"method": "thorough", "over": "photons", "value": 1000.0, "n": 9, **told}]))
    figure.canvas.draw()
    words = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert words == [[]] * 5 + [["too few beads\nwere found"]]
