"""Put tables and pictures of the benchmark on one page."""

from defocus3d.logs import start

log = start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import files
from defocus3d.benchmark.pupil import Pupil
from defocus3d.benchmark.sets import NAMED
from defocus3d.camera import Camera
from defocus3d.figures import benchmark as pictures
from defocus3d.figures import style
from defocus3d.frames import open_frames

tables = {Path(path).stem: pd.read_csv(path) for path in snakemake.input.tables}
frames = {}
for name, movie, truth in zip(NAMED, snakemake.input.movies, snakemake.input.truth):
    with open_frames(movie, Camera()) as opened:
        frames[name] = opened.read(0, 1)[0], pd.read_parquet(truth).query("frame == 0")
drawn = {"movies": pictures.draw_movies(frames), "psf": pictures.draw_psf({z / 10: Pupil().image(z / 10, 76) for z in range(-15, 16, 5)})}
drawn |= {name: getattr(pictures, f"draw_{name}")(tables[name]) for name in ("errors", "detection", "coverage", "growth")}
figures = {Path(path).stem: path for path in snakemake.output.figures}
for name, path in figures.items():
    style.save(drawn[name], path)
shown = {name: (*pictures.CAPTIONS[name], Path(path).read_bytes()) for name, path in figures.items()}
seconds = json.loads(Path(snakemake.input.seconds).read_text())
files.write(snakemake.output.page, pictures.benchmark_page(tables, seconds, snakemake.params.size, shown))
log.info("written to %s\n%s", snakemake.output.page, pictures.summary(tables).to_string())
