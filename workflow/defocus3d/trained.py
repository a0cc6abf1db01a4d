"""Networks that another analysis trained: what a folder of them holds, whether it is sound, and copying it.

Such a folder may come from anybody. Nothing in it is executed: no pickled object is read, and a network file may neither point to
other files nor ask for operators beyond the standard's.
"""

import csv
import json
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defocus3d.card import KEY, Card, CardError
from defocus3d.files import whole
from defocus3d.errors import InputError

TABLES = {  # with columns that show that it is this table
    "beads.csv": ("stack", "bead", "kept"),
    "precision_limit.csv": ("z_um", "photons", "crlb_z_um"),
    "training.csv": ("network", "step", "loss"),
    "evaluation.csv": ("source", "stage", "axis"),
}
IN_KERAS = {"config.json", "metadata.json", "model.weights.h5"}
IN_PSF = {"values", "pixel_size_um", "z_first_um", "z_step_um", "axial_range_um"}
OUTPUTS = {"fcn.onnx": 5, "cnn.onnx": 6}  # numbers that they give for a cell and for a crop
STANDARD = ("", "ai.onnx")  # domains of operators


class OtherVersionError(InputError):
    """A sound network that gives other numbers than this version reads, or a calibration by what it does not know."""


@dataclass(frozen=True)
class Trained:
    """What a folder of trained networks says of them: their card, and the setting `refine` that they are calibrated for."""

    card: Card
    refine: str


def examine(folder: Path, shown: str = "") -> tuple[Trained | None, list[str]]:
    """What is in the folder, or None where it is not sound, and what is wrong with it; `shown` is its name in messages."""
    shown = shown or str(folder)
    if not folder.is_dir():
        return None, [f"{shown}: no such folder; name the folder results/optics/NAME of the analysis that trained the networks"]
    found, wrong = {}, []
    for name, read in READERS.items():
        try:
            found[name] = read(folder / name)
        except FileNotFoundError:
            wrong.append(f"{shown}/{name}: no such file; copy the whole folder from the analysis that trained the networks")
        except OtherVersionError:
            wrong.append(f"{shown}/{name}: is a network of another version of defocus3d; train anew with this one")
        except (OSError, InputError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            wrong.append(f"{shown}/{name}: {what}; copy the folder again from the analysis that trained the networks")
    if wrong:
        return None, wrong
    card = found["fcn.onnx"]
    wrong = [
        f"{shown}/{name}: does not belong to fcn.onnx, which was trained for other conditions; "
        "copy the whole folder from the analysis that trained the networks"
        for name in ("cnn.onnx", "psf.npz", "calibration.json")
        if not _belongs(found[name], card)
    ]
    return (None, wrong) if wrong else (Trained(card, found["calibration.json"]["refine"]), [])


def bring(folder: Path, to: Path) -> None:
    """Copy the files of the folder, and examine the copies. Raises InputError with all that is wrong with them."""
    for name in FILES:
        with whole(to / name) as aside:
            shutil.copyfile(folder / name, aside)
    _, wrong = examine(to)
    if wrong:
        raise InputError("; ".join(wrong))


def _belongs(other: Card | dict, card: Card) -> bool:
    """Whether another card, or pixel size and axial range in a mapping, are those of the card."""
    if isinstance(other, Card):
        return other == card
    return card.has_pixels_of(other["pixel_size_um"]) and card.has_range(other["axial_range_um"])


def _card(path: Path) -> Card:
    """The card of a network file. Raises InputError for anything but a network that stands alone, of standard operators."""
    import onnx  # here, since every job that reads the sheets imports this module

    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # of the package that onnx reads files by, which is onnx's affair
        raise InputError("is damaged, or no ONNX file") from None
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise InputError("holds graphs within its graph, as no network of defocus3d does")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in _tensors(model.graph)):
        raise InputError("keeps its weights in another file, which is not accepted")
    domains = {item.domain for item in (*model.opset_import, *model.graph.node)}
    if domains - set(STANDARD) or model.functions:
        raise InputError(f"asks for operators beyond the ONNX standard ({', '.join(sorted(domains - set(STANDARD))) or 'functions'})")
    try:
        onnx.checker.check_model(model)
        shapes = [output.type.tensor_type.shape.dim for output in model.graph.output]
        if [shape[-1].dim_value for shape in shapes if shape] != [OUTPUTS[path.name]]:
            raise OtherVersionError
        return Card.from_text({prop.key: prop.value for prop in model.metadata_props}.get(KEY, ""))
    except onnx.checker.ValidationError:
        raise InputError("is damaged: its graph does not hold together") from None
    except CardError as error:
        raise InputError(f"does not say what it was trained for: {error}") from None


def _tensors(graph):
    """All weights and constants of a graph that has no graphs within."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def _keras(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            complete = IN_KERAS <= set(file.namelist()) and file.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        complete = False
    if not complete:
        raise InputError("is damaged, or no Keras file")


def _psf(path: Path) -> dict:
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in IN_PSF}
        shapes = {name: value.shape for name, value in values.items()}
        sound = values["values"].ndim == 3 and shapes["pixel_size_um"] == () and shapes["axial_range_um"] == (2,)
        sound = sound and all(np.isfinite(value).all() for value in values.values())
    except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error):
        sound = False
    if not sound:
        raise InputError("is damaged, or no PSF of defocus3d")
    return {name: values[name].tolist() for name in ("pixel_size_um", "axial_range_um")}


def _calibration(path: Path) -> dict:
    from defocus3d.sigma_scale import METHOD, NODES, NODES_OF_A_FIT, STAGES  # here, since every job that reads the sheets imports this module

    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        scales = told["sigma_scale"]
        known, of_searches = {name for scale in scales.values() for name in scale["nodes"]}, (told["acceptance"], told["other_weight"])
        method = told.get("method")
        told = {"pixel_size_um": float(told["pixel_size_um"]), "axial_range_um": [float(z) for z in told["axial_range_um"]],
                "refine": {"mle": "mle", "none": "none"}[told["refine"]]}  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError("is damaged, or no calibration of defocus3d") from None
    searches = set(STAGES[1:] if told["refine"] == "mle" else ())
    by_search = all(isinstance(what, dict) and set(what) == searches for what in of_searches)
    if not (method == METHOD and known <= {*NODES, *NODES_OF_A_FIT} and set(scales) == set(STAGES) and by_search):
        raise OtherVersionError
    if len(told["axial_range_um"]) != 2:
        raise InputError("is damaged: its axial_range_um is no range")
    return told


def _columns(path: Path) -> None:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error):
        header = []
    if not set(TABLES[path.name]) <= set(header):
        raise InputError(f"is damaged, or not the table that it should be: it lacks {', '.join(TABLES[path.name])}")


READERS = {
    "fcn.onnx": _card,
    "cnn.onnx": _card,
    "fcn.keras": _keras,
    "cnn.keras": _keras,
    "psf.npz": _psf,
    "calibration.json": _calibration,
    **dict.fromkeys(TABLES, _columns),
}
FILES = tuple(READERS)
