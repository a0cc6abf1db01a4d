"""Every picture: drawn from small tables and from empty ones, with units on its axes and all rows in it."""

import re
import struct

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from defocus3d import tables
from defocus3d.figures import checks, evaluation, motion, networks, optics, scenes, style, tracks, training

PIXEL_UM = 0.1
D_UM2_S, FRAME_S, EXPOSURE_S, SD_UM = 1.0, 0.02, 0.01, 0.02
BROWNIAN = {
    "D_um2_s": {axis: {"value": D_UM2_S, "ci95": [0.95, 1.05]} for axis in ("x", "y", "z", "xyz")},
    "D_expected_um2_s": {"value": D_UM2_S, "sd": 0.03},
    "localization_sd_um": {"x": SD_UM, "y": SD_UM, "z": SD_UM},
    "verdict": "consistent",
}
NOTHING = {
    "D_um2_s": {axis: {"value": None, "ci95": None} for axis in ("x", "y", "z", "xyz")},
    "D_expected_um2_s": {"value": D_UM2_S, "sd": 0.03},
    "localization_sd_um": {"x": None, "y": None, "z": None},
    "verdict": "insufficient",
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def walks(rng):
    """Twenty tracks of 30 frames as in tracks.parquet, of which the frames' order is shuffled."""
    steps = rng.normal(0, np.sqrt(2 * D_UM2_S * FRAME_S), (20, 30, 3))
    where = np.cumsum(steps, axis=1) + rng.uniform(2, 8, (20, 1, 3))
    table = pd.DataFrame(where.reshape(-1, 3), columns=["x_um", "y_um", "z_um"])
    table["particle"], table["frame"] = np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20)
    for column in set(tables.TRACK_COLUMNS) - set(table):
        table[column] = 0
    return tables.conform(table.sample(frac=1, random_state=1), tables.TRACK_COLUMNS)


def msd_table(lags=8):
    """msd.csv as theory has it."""
    lag_s = FRAME_S * np.arange(1, lags + 1)
    table = pd.DataFrame({"lag_s": lag_s, "n": 100, "expected_um2": 2 * D_UM2_S * lag_s})
    value = 2 * D_UM2_S * lag_s + motion.offset_um2(D_UM2_S, SD_UM, EXPOSURE_S)
    for axis in "xyz":
        table[f"msd_{axis}_um2"], table[f"msd_{axis}_low"], table[f"msd_{axis}_high"] = value, 0.9 * value, 1.1 * value
    return table


def evaluation_table():
    """evaluation.csv of both stages and sources."""
    rows = []
    bins = {"z_um": [-1, 0, 1], "density_per_um2": [0.01, 0.1, 0.3], "photons": [1000, 5000, 20000], "all": [-1, 1]}
    for source in ("scenes", "held_out_beads"):
        for stage in ("networks", "quick", "thorough"):
            for axis, edges in bins.items():
                for low, high in zip(edges[:-1], edges[1:], strict=True):
                    row = {"source": source, "stage": stage, "axis": axis, "bin_low": low, "bin_high": high, "slope_z": 1.01}
                    row |= {"jaccard": 0.8, "recall": 0.9, "precision": 0.9, "bias_z_um": 0.001}
                    for name in "xyz":
                        row |= {f"rmse_{name}_um": 0.02, f"crlb_{name}_um": 0.01}
                        row |= {f"within_1sigma_{name}": 0.68, f"within_2sigma_{name}": 0.95}
                    rows.append(row)
    return pd.DataFrame(rows)


def limit_table():
    """precision_limit.csv of two brightnesses."""
    z, photons = (grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, 9), [1000.0, 10000.0]))
    bound = (0.2 + z**2) / np.sqrt(photons)
    return pd.DataFrame(
        {"z_um": z, "photons": photons, "background_e": 20.0, "crlb_x_um": bound, "crlb_y_um": bound, "crlb_z_um": 2 * bound}
    )


def bead_table(stack="a.tif"):
    """beads.csv: one bead in the model, one held out, three rejected for two reasons."""
    return pd.DataFrame(
        {
            "stack": stack,
            "bead": range(5),
            "x_um": [1.0, 2, 3, 4, 5],
            "y_um": [1.0, 2, 3, 4, 5],
            "role": ["psf", "held_out", "rejected", "rejected", "rejected"],
            "reason": ["", np.nan, "pair: 0.5 µm apart", "pair: 0.7 µm apart", "border"],
        }
    )


def summary_table():
    """summary.csv with all verdicts, one D far off the picture and one not measured."""
    expected = [1.0, 1.0, 1.0, np.nan]
    table = pd.DataFrame({"acquisition": ["a", "b", "c", "d"], "D_expected_um2_s": expected, "D_expected_sd": 0.03})
    table["verdict"] = ["consistent", "inconsistent", "insufficient", "failed"]
    for axis in ("x", "y", "z", "xyz"):
        table[f"D_{axis}_um2_s"] = [1.0, 9.0, np.nan, np.nan]
        table[f"D_{axis}_low"], table[f"D_{axis}_high"] = 0.9 * table[f"D_{axis}_um2_s"], 1.1 * table[f"D_{axis}_um2_s"]
    return table


def training_table():
    """training.csv of both networks, validated at every other step."""
    steps = np.arange(1, 21)
    loss = pd.DataFrame({"step": steps, "loss": 1 / steps, "elapsed_s": 1.0 * steps, "learning_rate": 1e-3})
    loss["validation_loss"] = np.where(steps % 2, np.nan, 1.1 / steps)
    return pd.concat([loss.assign(network=name) for name in ("fcn", "cnn")])


def written_size(figure: Figure, folder) -> tuple:
    """Width and height in pixels of the PNG that `figure` is written as; nothing else is left in the folder."""
    style.save(figure, folder / "figure.png")
    assert [file.name for file in folder.iterdir()] == ["figure.png"]
    content = (folder / "figure.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    return struct.unpack(">II", content[16:24])


def words(figure: Figure) -> str:
    """All that is written in the figure."""
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


# rows of images, numbers without dimension, and counts
WITHOUT_UNIT = {
    "",
    "expected, no noise",
    "with camera noise",
    "√(brightness / maximum)",
    "correlation",
    "loss",
    "step",
    "steps of the track",
    "frames between steps",
    "correlation of steps",
    "Jaccard, recall, precision",
    "share of the errors",
    "photoelectrons of a bead",
    "measured D / Stokes-Einstein D",
}
FULL = {
    "psf": lambda rng, walks: optics.draw_psf(rng.random((9, 21, 21)), np.linspace(-1, 1, 9), PIXEL_UM),
    "beads": lambda rng, walks: optics.draw_beads({"a.tif": rng.random((64, 64))}, bead_table(), PIXEL_UM),
    "limit": lambda rng, walks: optics.draw_precision_limit(limit_table()),
    "scenes": lambda rng, walks: scenes.draw_scenes(
        rng.random((2, 32, 32)),
        rng.random((2, 32, 32)),
        pd.DataFrame({"scene": [0, 0, 1], "x_um": 1.0, "y_um": 2.0, "z_um": [0.0, 1, 3], "in_range": [True, True, False]}),
        PIXEL_UM,
    ),
    "training": lambda rng, walks: training.draw_training(training_table()),
    "evaluation": lambda rng, walks: evaluation.draw_evaluation(evaluation_table(), limit_table(), "quick"),
    "scenes only": lambda rng, walks: evaluation.draw_evaluation(evaluation_table().query("source == 'scenes'"), None, "thorough"),
    "frame": lambda rng, walks: tracks.draw_frame(rng.random((96, 128)), walks, PIXEL_UM, 3),
    "localizations": lambda rng, walks: tracks.draw_localizations(walks, n_frames=30),
    "by time": lambda rng, walks: tracks.draw_localizations(walks, "time", FRAME_S),
    "tracks": lambda rng, walks: tracks.draw_tracks(walks, FRAME_S),
    "msd": lambda rng, walks: motion.draw_msd(msd_table(), BROWNIAN, EXPOSURE_S),
    "msd without fit": lambda rng, walks: motion.draw_msd(msd_table(2), NOTHING, EXPOSURE_S),
    "displacements": lambda rng, walks: motion.draw_displacements(walks, BROWNIAN, FRAME_S, EXPOSURE_S),
    "checks": lambda rng, walks: checks.draw_checks(pd.DataFrame({"n": [5, 20], "D_um2_s": [0.8, 1.1]}), BROWNIAN, 0.02),
    "summary": lambda rng, walks: motion.draw_summary(summary_table()),
}


@pytest.mark.parametrize("name", FULL)
def test_picture_is_of_sensible_size_with_units(name, rng, walks, tmp_path):
    figure = FULL[name](rng, walks)
    width, height = written_size(figure, tmp_path)
    assert 800 <= width <= 2500 and 200 <= height <= 2500
    labels = {label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())} - WITHOUT_UNIT
    assert all(re.search(r"\(.*(nm|µm|s\b|min\b)|per µm²", label) for label in labels), labels
    if name in ("psf", "beads", "scenes", "frame"):
        assert any(re.fullmatch(r"[\d.]+ µm", line) for line in words(figure).splitlines()), "no scale bar"


EMPTY = {
    "psf": lambda: optics.draw_psf(np.empty((0, 5, 5)), [], PIXEL_UM),
    "no stack": lambda: optics.draw_beads({}, bead_table()[:0], PIXEL_UM),
    "no bead in a stack": lambda: optics.draw_beads({"a.tif": np.ones((64, 64))}, bead_table()[:0], PIXEL_UM),
    "limit": lambda: optics.draw_precision_limit(limit_table()[:0]),
    "scenes": lambda: scenes.draw_scenes(np.empty((0, 8, 8)), np.empty((0, 8, 8)), pd.DataFrame(), PIXEL_UM),
    "training": lambda: training.draw_training(training_table()[:0]),
    "evaluation": lambda: evaluation.draw_evaluation(evaluation_table()[:0], limit_table()[:0], "quick"),
    "frame": lambda: tracks.draw_frame(np.zeros((64, 64)), tables.empty(tables.LOCALIZATION_COLUMNS), PIXEL_UM, 0),
    "localizations": lambda: tracks.draw_localizations(tables.empty(tables.LOCALIZATION_COLUMNS)),
    "tracks": lambda: tracks.draw_tracks(tables.empty(tables.TRACK_COLUMNS), FRAME_S),
    "msd": lambda: motion.draw_msd(msd_table()[:0], NOTHING, EXPOSURE_S),
    "displacements": lambda: motion.draw_displacements(tables.empty(tables.TRACK_COLUMNS), NOTHING, FRAME_S, EXPOSURE_S),
    "checks": lambda: checks.draw_checks(pd.DataFrame({"n": [], "D_um2_s": []}), NOTHING, 0.02),
    "summary": lambda: motion.draw_summary(summary_table()[:0]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_table_is_a_picture_that_says_so(name, tmp_path):
    figure = EMPTY[name]()
    width, height = written_size(figure, tmp_path)
    assert width >= 700 and height >= 150
    assert any(f"{word} " in words(figure) for word in ("no", "not", "few"))


def test_each_bead_is_drawn_under_its_reason(rng):
    figure = optics.draw_beads({"a.tif": rng.random((64, 64))}, bead_table(), PIXEL_UM)
    drawn = {points.get_label(): len(points.get_offsets()) for points in figure.axes[0].collections}
    assert drawn == {"psf": 1, "held_out": 1, "pair": 2, "border": 1}
    assert "rejected: pair (2)" in words(figure)


def test_many_reasons_are_pooled(rng):
    beads = pd.concat([bead_table().assign(role="rejected", reason=reason) for reason in "abcdefghijkl"])
    figure = optics.draw_beads({"a.tif": rng.random((64, 64))}, beads, PIXEL_UM)
    assert sum(len(points.get_offsets()) for points in figure.axes[0].collections) == len(beads)
    assert optics.OTHER in words(figure)


def test_in_range_beads_are_marked_and_others_are_not(rng, walks):
    figure = FULL["scenes"](rng, walks)
    rings = [points for axes in figure.axes[:2] for points in axes.collections if points.get_sizes().max() > 0]
    assert sorted(len(ring.get_offsets()) for ring in rings) == [0, 2]
    assert "1 beyond" in words(figure)


def test_good_and_flagged_localizations_are_told_apart(walks):
    walks.loc[walks["particle"] < 3, "flag"] = 1
    figure = tracks.draw_frame(np.zeros((96, 96)), walks, PIXEL_UM, 5)
    drawn = {points.get_label(): len(points.get_offsets()) for points in figure.axes[1].collections}
    assert drawn == {"localized": 17, "flagged": 3}


def test_typical_frame_has_as_many_beads_as_most():
    frames = np.repeat([0, 1, 2, 3], [1, 5, 9, 0])
    assert tracks.typical_frame(pd.DataFrame({"frame": frames, "flag": 0})) == 1
    assert tracks.typical_frame(pd.DataFrame({"frame": frames, "flag": 1})) == 0


def test_every_localization_and_every_step_is_drawn(walks):
    (points,) = tracks.draw_localizations(walks).axes[0].collections
    assert len(points.get_array()) == len(walks)
    (lines,) = tracks.draw_tracks(walks, FRAME_S).axes[0].collections
    assert len(lines.get_array()) == len(walks) - walks["particle"].nunique()


def test_unknown_colour_is_refused(walks):
    with pytest.raises(ValueError, match="'z' or 'time'"):
        tracks.draw_localizations(walks, "mood")


def test_displacements_skip_gaps_and_other_tracks(walks):
    assert len(motion.lag_one_displacements(walks)) == 20 * 29
    assert len(motion.lag_one_displacements(walks[walks["frame"] != 10])) == 20 * 27


def test_d_from_each_lag_is_flat_where_theory_holds():
    """The lower panels take localization error and motion blur out, so that a Brownian MSD gives D at each lag."""
    figure = motion.draw_msd(msd_table(), BROWNIAN, EXPOSURE_S)
    for panel in figure.axes[3:6]:
        (points,) = (line for line in panel.lines if line.get_marker() in style.AXIS_MARKERS.values())
        assert np.allclose(points.get_ydata(), D_UM2_S)
        assert "µm²/s" in figure.axes[3].get_ylabel() and panel.get_xlabel() == "lag (s)"


def test_expected_gaussian_is_normalized_and_as_wide_as_theory_says(walks):
    figure = motion.draw_displacements(walks, BROWNIAN, FRAME_S, EXPOSURE_S)
    variance = 2 * D_UM2_S * (FRAME_S - EXPOSURE_S / 3) + 2 * SD_UM**2
    for panel in figure.axes:
        (gaussian,) = (line for line in panel.lines if line.get_linestyle() == "--")
        assert gaussian.get_ydata().max() == pytest.approx(1 / np.sqrt(2 * np.pi * variance), rel=1e-3)


def test_summary_tells_verdicts_by_symbol_and_word():
    written = words(motion.draw_summary(summary_table()))
    for verdict, (symbol, _) in style.VERDICTS.items():
        assert verdict in written and symbol in written


def test_likeness_finds_a_psf_that_is_the_same_on_both_sides():
    z, x = np.linspace(-1, 1, 5), np.linspace(-1, 1, 15)
    images = np.exp(-(x[:, None] ** 2 + x**2) / (0.1 + z[:, None, None] ** 2))
    alike = optics.likeness(images)
    assert np.allclose(np.diag(alike), 1) and np.allclose(np.diag(alike[::-1]), 1)
    assert alike[0, 2] < 0.9


@pytest.mark.parametrize(("view", "length"), [(19.2, 5.0), (10.0, 2.0), (0.4, 0.1), (40.0, 10.0)])
def test_scale_bar_is_a_round_length_and_as_long_as_it_says(view, length):
    figure = style.new_figure(3)
    axes = figure.add_subplot()
    style.show_image(axes, np.zeros((10, 10)), view / 10, scale=False)
    assert style.scale_bar(axes) == pytest.approx(length)
    (bar,) = axes.lines
    assert np.ptp(bar.get_xdata()) * view == pytest.approx(length)
    assert words(figure).count(f"{length:g} µm") == 1


def test_pixels_lie_where_the_coordinates_say():
    """The centre of the first pixel is (0, 0), and y grows downwards."""
    axes = style.new_figure(3).add_subplot()
    drawn = style.show_image(axes, np.zeros((4, 8)), 0.5)
    assert drawn.get_extent() == [-0.25, 3.75, 1.75, -0.25]
    assert axes.get_ylim() == (1.75, -0.25)


def test_house_style_leaves_the_style_of_others_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    training.draw_training(training_table())
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def small_fcn(keras):
    """A U-Net of two levels for images of any size, whose five output channels are put together from slices of one map."""
    layers = keras.layers
    image = keras.Input((None, None, 1), name="image")
    first = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    first = layers.Activation("relu")(layers.BatchNormalization()(first))
    deep = layers.Conv2D(16, 3, strides=2, padding="same")(first)
    deep = layers.Conv2D(16, 3, padding="same")(layers.Conv2D(16, 3, padding="same")(deep))
    joined = layers.Concatenate()([layers.UpSampling2D()(deep), first])
    maps = layers.Conv2D(5, 1)(joined)
    parts = [keras.ops.sigmoid(maps[..., :1]), keras.ops.tanh(maps[..., 1:3]), keras.ops.softplus(maps[..., 3:])]
    return keras.Model(image, layers.Concatenate()(parts))


def small_cnn(keras):
    """Crop and context in, two numbers out, with one residual step."""
    layers = keras.layers
    crop, context = keras.Input((16, 16, 1), name="crop"), keras.Input((16, 16, 1), name="context")
    first = layers.Conv2D(8, 3, padding="same")(layers.Concatenate()([crop, context]))
    second = layers.Add()([first, layers.Conv2D(8, 3, padding="same")(first)])
    vector = layers.Dense(32)(layers.Flatten()(layers.MaxPooling2D()(second)))
    return keras.Model([crop, context], [layers.Dense(1, name="z")(vector), layers.Dense(1, name="sigma_z")(vector)])


def test_architecture_of_a_u_net(keras):
    boxes = networks.read_architecture(small_fcn(keras), columns_by_level=True)
    kinds = ["input", "convolution", "downsampling", "convolution", "upsampling", "concatenation", "convolution"]
    assert [box.kind for box in boxes] == kinds
    assert [box.channels for box in boxes] == [1, 8, 16, 16, 16, 24, 5]
    assert [box.level for box in boxes] == [0, 0, 1, 1, 0, 0, 0]
    assert boxes[3].repeats == 2
    assert boxes[5].sources == [4, 1]  # from below, and over the skip connection
    assert [box.output for box in boxes] == [False] * 6 + [True]


def test_architecture_of_two_inputs_and_outputs(keras):
    boxes = networks.read_architecture(small_cnn(keras), columns_by_level=False)
    assert sorted(box.name for box in boxes if box.output) == ["sigma_z", "z"]
    assert [box.size for box in boxes if box.kind == "input"] == [(16, 16)] * 2
    (addition,) = (box for box in boxes if box.kind == "addition")
    assert len(addition.sources) == 2
    places = [(round(box.x, 3), round(box.y, 3)) for box in boxes]
    assert len(set(places)) == len(places)


def test_networks_are_drawn_with_examples(keras, rng, tmp_path):
    image = rng.random((32, 32))
    figures = {
        "fcn": networks.draw_fcn(small_fcn(keras), image, {"probability": image, "offset x (µm)": image}, PIXEL_UM),
        "cnn": networks.draw_cnn(small_cnn(keras), {"crop": image, "context": image}, PIXEL_UM),
        "alone": networks.draw_cnn(small_cnn(keras)),
    }
    for name, figure in figures.items():
        folder = tmp_path / name
        folder.mkdir()
        width, height = written_size(figure, folder)
        assert 1000 <= width <= 3000 and 300 <= height <= 1500
    assert "skip connection" in words(figures["fcn"]) and "probability" in words(figures["fcn"])
    assert "context" in words(figures["alone"])
