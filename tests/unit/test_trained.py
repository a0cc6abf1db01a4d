"""A folder of trained networks from another analysis: used if sound and meant for these images, else refused in words."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from optics import gaussian_psf
from test_settings import STACK, Folder

from defocus3d import frames, models, settings, trained
from defocus3d.camera import Camera
from defocus3d.card import KEY, Card
from defocus3d.onnx_graph import to_onnx
from defocus3d.sigma_scale import METHOD, STAGES

CARD = Card(0.1, (-1.0, 1.0), Camera(), (1000.0, 20000.0), (5.0, 80.0), (0.005, 0.3), 0.06)
CALIBRATION = {
    "pixel_size_um": 0.1,
    "axial_range_um": [-1.0, 1.0],
    "refine": "mle",
    "method": METHOD,
    "acceptance": {"quick": [], "thorough": []},
    "other_weight": {"quick": 0.2, "thorough": 0.2},
    "sigma_scale": dict.fromkeys(STAGES, {"nodes": {}, "weights": []}),
}
ROW = {"path": None, "z_step_um": None, "trained": "elsewhere/water"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder as an analysis leaves it, its networks untrained."""
    folder = tmp_path_factory.mktemp("made")
    for name, network in (("fcn", models.build_fcn(1)), ("cnn", models.build_cnn(1))):
        network.save(folder / f"{name}.keras")
        onnx.save(to_onnx(network, {KEY: CARD.to_text()}), folder / f"{name}.onnx")
    gaussian_psf().save(folder / "psf.npz")
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION))
    for name, columns in trained.TABLES.items():
        (folder / name).write_text(",".join(columns) + ",more\n")
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Folder:
    """An analysis that has no stack, but these networks."""
    here = Folder(tmp_path)
    shutil.copytree(made, tmp_path / "elsewhere" / "water")
    (tmp_path / "data" / "stack.tif").unlink()
    here.stacks(ROW)
    return here


def networks(folder) -> Path:
    return folder.path / "elsewhere" / "water"


def refused(folder, *words):
    with pytest.raises(settings.InputErrors) as error:
        folder.check()
    (message,) = error.value.messages
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("path", ["elsewhere/water", "./elsewhere//water/"])
def test_networks_stand_in_for_stacks(folder, path):
    folder.stacks({**ROW, "trained": path})
    analysis = folder.check()
    assert len(analysis.stacks) == 0 and analysis.optics == ["water"]
    assert analysis.trained.at["water", "trained"] == "elsewhere/water"
    assert analysis.acquisitions.at["one", "pixel_size_um"] == 0.1
    assert trained.examine(networks(folder))[0].card == CARD


def test_the_data_folder_counts_for_them_too(folder):
    folder.config = {"data_folder": "data"}
    shutil.move(folder.path / "elsewhere", folder.path / "data")
    folder.movies({"path": "movie.tif"})
    assert folder.check().trained.at["water", "trained"] == "data/elsewhere/water"


def test_they_are_copied_whole(folder):
    to = folder.path / "results"
    to.mkdir()
    trained.bring(networks(folder), to)
    assert sorted(path.name for path in to.iterdir()) == sorted(trained.FILES)
    assert all((to / name).read_bytes() == (networks(folder) / name).read_bytes() for name in trained.FILES)


def test_a_damaged_copy_is_no_copy(folder):
    (networks(folder) / "cnn.onnx").write_bytes(b"")
    to = folder.path / "results"
    to.mkdir()
    with pytest.raises(frames.InputError, match="cnn.onnx"):
        trained.bring(networks(folder), to)


def test_a_missing_folder_is_told(folder):
    shutil.rmtree(networks(folder))
    refused(folder, "bead_stacks.tsv, line 2 (water), column trained: elsewhere/water: no such folder")


@pytest.mark.parametrize("name", trained.FILES)
def test_a_missing_file_is_named(folder, name):
    (networks(folder) / name).unlink()
    refused(folder, f"line 2 (water), column trained: elsewhere/water/{name}: no such file", "copy the whole folder")


@pytest.mark.parametrize("name", trained.FILES)
@pytest.mark.parametrize("content", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", lambda whole: b"\x93\xff" * 50])
def test_a_damaged_file_is_named(folder, name, content):
    file = networks(folder) / name
    # of a table, half of the first line; the rest is looked at when it is drawn
    file.write_bytes(content(file.read_bytes()))
    refused(folder, f"column trained: elsewhere/water/{name}: ")


@pytest.mark.parametrize("name", ["cnn.onnx", "psf.npz", "calibration.json"])
def test_files_of_another_training_are_told(folder, name):
    file = networks(folder) / name
    if name == "cnn.onnx":
        onnx.save(to_onnx(models.build_cnn(1), {KEY: replace(CARD, blur_um=0.01).to_text()}), file)
    elif name == "psf.npz":
        gaussian_psf((-0.8, 1.0)).save(file)
    else:
        file.write_text(json.dumps(CALIBRATION | {"pixel_size_um": 0.11}))
    refused(folder, f"elsewhere/water/{name}: does not belong to fcn.onnx")


def test_networks_of_another_version_are_told(folder):
    crop = keras.Input((48, 48, 2))
    depth = keras.layers.Dense(2)(keras.layers.Flatten()(crop))
    onnx.save(to_onnx(keras.Model(crop, depth), {KEY: CARD.to_text()}), networks(folder) / "cnn.onnx")
    refused(folder, "elsewhere/water/cnn.onnx: is a network of another version of defocus3d; train anew with this one")


def spoilt(folder, change):
    """The folder with a change made to its FCN."""
    file = networks(folder) / "fcn.onnx"
    model = onnx.load(file)
    change(model)
    file.write_bytes(model.SerializeToString())
    return folder


def with_weights_elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def with_a_constant_elsewhere(model):
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="secret")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["constant"], value=value))


def with_foreign_operator(model):
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.node.append(helper.make_node("Run", ["input"], ["more"], domain="com.example"))


def with_a_function(model):
    model.functions.append(helper.make_function("", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], model.opset_import))


def with_a_graph_within(model):
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["input"], ["more"], then_branch=inner, else_branch=inner))


def without_card(model):
    del model.metadata_props[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_weights_elsewhere, "keeps its weights in another file"),
        (with_a_constant_elsewhere, "keeps its weights in another file"),
        (with_foreign_operator, "operators beyond the ONNX standard (com.example)"),
        (with_a_function, "operators beyond the ONNX standard"),
        (with_a_graph_within, "graphs within its graph"),
        (without_card, "does not say what it was trained for"),
        (lambda model: model.graph.node.pop(3), "graph does not hold together"),
    ],
)
def test_a_network_that_is_not_of_this_kind_is_refused(folder, change, words):
    refused(spoilt(folder, change), "elsewhere/water/fcn.onnx: ", words)


class Malicious:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_no_pickle_is_opened(folder):
    trace = folder.path / "opened"
    with np.load(networks(folder) / "psf.npz") as file:
        values = {name: file[name] for name in file.files}
    np.savez(networks(folder) / "psf.npz", **{**values, "values": np.array([Malicious(trace)], dtype=object)})
    refused(folder, "psf.npz: is damaged, or no PSF")
    assert not trace.exists()


def test_another_pixel_size_is_refused(folder):
    folder.stacks({**ROW, "pixel_size_um": "0.12"})
    refused(folder, "bead_stacks.tsv, line 2 (water), column pixel_size_um: 0.12 differs from 0.1", "elsewhere/water", "correct it, or use")


def test_a_movies_other_pixel_size_is_refused(folder):
    folder.movies({"pixel_size_um": "0.12"})
    refused(folder, "acquisitions.tsv, line 2 (one), column pixel_size_um: 0.12 differs from 0.1")


def test_another_axial_range_is_refused(folder):
    folder.config = {"axial_range_um": [-1.0, 1.0]}
    folder.check()
    folder.config = {"axial_range_um": [-1.5, 1.5]}
    refused(folder, "config, key axial_range_um: [-1.5, 1.5] differs from [-1.0, 1.0]", "line 2 (water)", "auto")


def test_a_camera_that_multiplies_is_refused(folder):
    folder.movies({}, {"acquisition": "two", "em_gain": "300"})
    refused(folder, "acquisitions.tsv, line 3 (two), column em_gain: 300 differs from 1", "elsewhere/water")


def test_another_read_noise_is_no_error(folder):
    folder.movies({"read_noise_e": "4"})
    folder.check()


def test_refinement_that_was_not_calibrated_is_refused(folder):
    file = networks(folder) / "calibration.json"
    file.write_text(json.dumps(CALIBRATION | {"refine": "none", "acceptance": {}, "other_weight": {}}))
    refused(folder, "config, key localization.refine: mle, but", "elsewhere/water", "set it to none")
    folder.config = {"localization": {"refine": "none"}}
    folder.check()


def test_networks_and_a_stack_in_one_row_are_refused(folder):
    folder.image("stack.tif", np.zeros((31, 16, 16), np.uint16))
    folder.stacks({"trained": "elsewhere/water"})
    refused(folder, "line 2 (water), column trained: the row has `path` and `z_step_um` too")


@pytest.mark.parametrize("other", [STACK, {**STACK, **ROW}], ids=["a stack", "networks"])
def test_networks_are_alone_in_their_optics(folder, other):
    folder.image("stack.tif", np.zeros((31, 16, 16), np.uint16))
    folder.stacks(ROW, other)
    with pytest.raises(settings.InputErrors, match="line 2 .water., column trained: line 3 has the same optics"):
        folder.check()


def test_a_row_of_neither_is_refused(folder):
    folder.stacks(ROW, {"optics": "air", "path": None, "z_step_um": "0.1"})
    refused(folder, "line 3 (air), column path: is empty")


def test_the_folder_that_they_go_to_is_refused(folder):
    (folder.path / "results" / "optics").mkdir(parents=True)
    shutil.move(networks(folder), folder.path / "results" / "optics" / "water")
    folder.stacks({**ROW, "trained": "results/optics/water"})
    refused(folder, "line 2 (water), column trained: results/optics/water is where the networks would be copied to")


def test_a_calibration_by_what_this_version_does_not_know_is_refused(folder):
    file = networks(folder) / "calibration.json"
    scales = {known: dict.fromkeys(STAGES, {"nodes": {known: [0.0, 1.0]}, "weights": []}) for known in ("motion", "blur")}
    file.write_text(json.dumps(CALIBRATION | {"sigma_scale": scales["motion"]}))
    folder.check()
    earlier = {"sigma_scale": {"networks": scales["motion"]["networks"], "refined": scales["motion"]["quick"]}}
    for other in ({"sigma_scale": scales["blur"]}, earlier, {"acceptance": [0.0, 1.0, 0.0, 0.0]}, {"other_weight": 0.2}, {"method": 1}, {"method": None}):
        file.write_text(json.dumps(CALIBRATION | other))
        refused(folder, "elsewhere/water/calibration.json: is a network of another version of defocus3d; train anew with this one")
