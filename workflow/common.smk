# Reads and checks config and sheets once; what several rules need of them.

import csv
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path

from snakemake.exceptions import WorkflowError

from defocus3d import files, metadata, nested, settings, trained
from defocus3d.failures import unfinished
from defocus3d.provenance import checksum, code_of, code_of_all, listing
from defocus3d.water import motion_blur_um, stokes_einstein

STARTED = time.time()

# the demo's files: rules make them, so they may be absent when the sheets are checked
DEMO_STACKS = ["a", "b"]
DEMO_MOVIES = ["sparse", "dense", "dim"]
DEMO_FILES = {
    *expand("resources/demo/beads_{stack}.tif", stack=DEMO_STACKS),
    *expand("resources/demo/{movie}.tif", movie=DEMO_MOVIES),
}

# what is written for which program, of each movie
EXPORTS = {
    "thunderstorm": ["thunderstorm.csv"],
    "picasso": ["picasso.hdf5", "picasso.yaml"],
    "napari": ["napari_tracks.csv"],
    "trackmate": ["trackmate.xml", "trackmate.csv"],
}

# what some rules can do without
FOR_SCENES = ["scenes", "scene_size_px", "held_out_scenes", "density_per_um2"]
FOR_FCN = ["fcn_steps", "fcn_batch"]
FOR_CNN = ["cnn_steps", "cnn_batch"]
FOR_FITTING = [*FOR_FCN, *FOR_CNN, "learning_rate"]
PHYSICS = [
    "frame_interval_s",
    "exposure_s",
    "bead_diameter_um",
    "bead_diameter_cv",
    "temperature_c",
    "temperature_sd_c",
    "viscosity_pa_s",
]

# what the sheets leave open and the files say, for jobs, which need not open every file again
FROM_FILES = Path(".snakemake", "from_files.json")

try:
    if workflow.is_main_process and not config.get("failed"):
        analysis = settings.check(config, Path(), DEMO_FILES.__contains__)
        FROM_FILES.parent.mkdir(exist_ok=True)
        files.write(FROM_FILES, json.dumps(analysis.from_files))
        for line in metadata.in_words(analysis.from_files):
            print(
                f"Taken from the file, since the sheet has it empty: {line}",
                file=sys.stderr,
            )
    else:  # a job, or what follows a failure
        known = json.loads(FROM_FILES.read_text()) if FROM_FILES.exists() else {}
        analysis = settings.load_analysis(config, Path(), known)
except settings.InputErrors as error:
    raise WorkflowError(str(error)) from None

STACKS = analysis.stacks.to_dict("records")
TRAINED = {
    row["optics"]: row for row in analysis.trained.reset_index().to_dict("records")
}
MOVIES = {
    row["acquisition"]: row
    for row in analysis.acquisitions.reset_index().to_dict("records")
}

# the results of an optics and of an acquisition that the report rests on
OF_OPTICS = [
    "psf.npz",
    "beads.csv",
    "precision_limit.csv",
    "scenes/training.npz",
    "scenes/held_out.npz",
    "fcn.keras",
    "fcn.onnx",
    "fcn_training.csv",
    "cnn.keras",
    "cnn.onnx",
    "training.csv",
    "evaluation.csv",
    "calibration.json",
    "figures/psf.png",
    "figures/fcn.png",
    "figures/training.png",
]
# of one whose networks were trained elsewhere, there is neither a stack nor a scene
OF_TRAINED_OPTICS = [
    *trained.FILES,
    *(file for file in OF_OPTICS if file.startswith("figures/")),
]
# not all: what one job makes is whole or not there, and lists of a thousand movies are long
OF_ACQUISITION = [
    "localizations.parquet",
    "tracks.parquet",
    "msd.csv",
    "brownian.json",
    "figures/tracks.html",
]
SUMMARIES = ["results/report.html", "results/summary.csv", "results/manifest.json"]
MEASURED = sorted(set(analysis.stacks["optics"]))  # optics that are trained here
UNFINISHED = analysis.config["failed"]  # folders, filled by the run that failed
FAILED = {
    name: UNFINISHED[f"acquisitions/{name}"]
    for name in MOVIES
    if f"acquisitions/{name}" in UNFINISHED
}
FINISHING = [name for name in MOVIES if name not in FAILED]
OPTICS = [name for name in analysis.optics if f"optics/{name}" not in UNFINISHED]


wildcard_constraints:
    optics="[^/]+",
    acquisition="[^/]+",


def setting(section, without=()):
    """A section of the config, less the keys without influence: a change of theirs need not run a job again.

    The preset is never among them, since the numbers that it stands for are.
    """
    return without_keys(analysis.config[section], ["preset", *without])


def without_keys(values, unused):
    return {key: value for key, value in values.items() if key not in unused}


def stacks(wildcards):
    """The sheet's rows of the optics, each with the stack's `files`."""
    return [
        {**row, "files": analysis.files_of(row["path"]), **inside(row["path"])}
        for row in STACKS
        if row["optics"] == wildcards.optics
    ]


def one_of(names):
    """A wildcard's constraint: to be one of the names; of none, nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def results_of_optics(name):
    return OF_TRAINED_OPTICS if name in TRAINED else OF_OPTICS


def of_every_optics(wildcards):
    return [
        f"results/optics/{name}/{file}"
        for name in OPTICS
        for file in results_of_optics(name)
    ]


def of_every_movie(*files):
    """These files of each movie that can be finished. Not listed before a job needs them: of a thousand movies, lists are large."""
    return lambda wildcards: [
        f"results/acquisitions/{name}/{file}" for name in FINISHING for file in files
    ]


def figures_of_optics(name):
    """One figure of each job that draws for an optics; the report takes the job's others along."""
    figures = ["psf", "fcn", "training"] + ["scenes"] * (name not in TRAINED)
    return [f"results/optics/{name}/figures/{figure}.png" for figure in figures]


def trained_files(wildcards):
    """The networks of an optics that were trained elsewhere, and what belongs to them."""
    return [f"{TRAINED[wildcards.optics]['trained']}/{file}" for file in trained.FILES]


def inside(path):
    """Checksum of what is in a folder that is one input (OME-Zarr), since its own time tells no change inside; nothing for files."""
    folders = [file for file in analysis.files_of(path) if Path(file).is_dir()]
    return {"inside": [listing(folder) for folder in folders]} if folders else {}


def stack_files(wildcards):
    return [file for stack in stacks(wildcards) for file in stack["files"]]


def acquisition(wildcards):
    """The sheet's row of the acquisition, its camera included."""
    return MOVIES[wildcards.acquisition]


def imaging(wildcards):
    """What localizing needs of that row: a corrected temperature need not localize again."""
    row = MOVIES[wildcards.acquisition]
    return {**without_keys(row, PHYSICS), **inside(row["path"])}


def threads_of_a_movie(wildcards):
    """Movies side by side use cores best; few of them share what is there. A cluster's profile sets its own number."""
    return max(1, min(4, workflow.cores // len(MOVIES)))


def movie_files(wildcards):
    return analysis.files_of(MOVIES[wildcards.acquisition]["path"])


def of_optics(file):
    """The file that an acquisition uses of its optics."""
    return lambda wildcards: "results/optics/{optics}/{file}".format(
        optics=MOVIES[wildcards.acquisition]["optics"], file=file
    )


def training_camera(wildcards):
    """The camera whose noise the networks learn: of the optics' first movie, or of its first stack if it has no movie."""
    movies = [row for row in MOVIES.values() if row["optics"] == wildcards.optics]
    row = (movies or stacks(wildcards))[0]
    camera = ["offset_adu", "gain_e_per_adu", "read_noise_e", "em_gain"]
    return {key: row[key] for key in camera}


def blur_of(row):
    """Motion blur of an acquisition in µm, rms; rounded, so that a slightly corrected temperature trains nothing again."""
    size = row["bead_diameter_um"], row["temperature_c"], row["viscosity_pa_s"]
    return round(motion_blur_um(stokes_einstein(*size)[0], row["exposure_s"]), 2)


def movie_blur(wildcards):
    return blur_of(MOVIES[wildcards.acquisition])


def optics_blur(wildcards):
    """The largest motion blur of the acquisitions of an optics; 0 if it has none."""
    movies = [row for row in MOVIES.values() if row["optics"] == wildcards.optics]
    return max(map(blur_of, movies), default=0.0)


def all_inputs(wildcards):
    """Every bead stack and movie, in the sheets' order, and networks that were trained elsewhere."""
    paths = [row["path"] for row in [*STACKS, *MOVIES.values()]]
    recorded = [
        file for path in dict.fromkeys(paths) for file in analysis.files_of(path)
    ]
    return recorded + [
        f"{row['trained']}/{file}" for row in TRAINED.values() for file in trained.FILES
    ]


def demo_seed(name):
    """A seed of its own for each file of the demo, from the config's seed."""
    names = [*DEMO_STACKS, *DEMO_MOVIES]
    return 100 * analysis.config["training"]["seed"] + names.index(name)


def captions():
    """Checksums of the report's texts, so that a changed text makes the report again."""
    texts = Path(workflow.basedir, "workflow", "report").glob("*.*")
    return {text.name: checksum(text) for text in sorted(texts)}


def deployment_options():
    """What a run of Snakemake within this one is told, so that its jobs find the same conda environments."""
    chosen = workflow.deployment_settings
    options = [
        part for method in chosen.deployment_method for part in ("--sdm", str(method))
    ]
    prefix = Path(chosen.conda_prefix or ".snakemake/conda").resolve()
    return [*options, "--conda-prefix", str(prefix)] if options else []


def report_what_is_finished():
    """After a failure: the summary and the report of what is finished; they name what is not, and why.

    Not within itself, or a report that fails would be tried for ever; nor where neither was asked for.
    """
    wanted = {str(target) for target in workflow.dag_settings.targets}
    if UNFINISHED or (wanted and not wanted & {"all", *SUMMARIES}):
        return
    results = Path("results")
    optics = {f"optics/{name}": results_of_optics(name) for name in analysis.optics}
    failed = unfinished(results, optics)
    for name, row in MOVIES.items():
        folder = f"acquisitions/{name}"
        reason = failed.get(f"optics/{row['optics']}")
        failed |= (
            {folder: reason}
            if reason
            else unfinished(results, {folder: OF_ACQUISITION})
        )
    if not failed or all(f"acquisitions/{name}" in failed for name in MOVIES):
        return
    arguments = [*SUMMARIES, "--quiet", "all"]
    arguments += ["--allowed-rules", "summarize", "manifest", "report"]
    arguments += deployment_options()
    code = nested.snakemake(arguments, {**config, "failed": failed})
    names = ", ".join(
        name.removeprefix("acquisitions/")
        for name in failed
        if name.startswith("acquisitions/")
    )
    what = (
        "results/summary.csv and results/report.html have all else"
        if code == 0
        else "the report could not be made"
    )
    print(f"Not finished: {names}; {what}.", file=sys.stderr)


def export_files(programs):
    return [file for program in programs for file in EXPORTS[program]]


def exports():
    """The exports of all movies that the config asks for."""
    path = "results/acquisitions/{acquisition}/exports/{file}"
    return expand(
        path, acquisition=MOVIES, file=export_files(analysis.config["export"])
    )


def tell_what_was_made():
    """Say where the results are, and each verdict; nothing where the report was not among what was asked for or made."""
    made = Path("results/report.html")
    if not made.exists() or made.stat().st_mtime < STARTED:
        return
    with open("results/summary.csv", newline="") as file:
        verdicts = Counter(row["verdict"] for row in csv.DictReader(file))
    found = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    movies = f"{len(MOVIES)} movie{'' if len(MOVIES) == 1 else 's'}"
    print(
        f"{movies}: {found or 'no verdict'}. Look at {made.resolve()}; tables are in {made.resolve().parent}",
        file=sys.stderr,
    )
