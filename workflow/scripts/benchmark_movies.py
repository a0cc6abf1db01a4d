"""Simulate the movies of the benchmark, with their truth beside."""

from defocus3d.logs import start

log = start(snakemake)

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile

from defocus3d import tables
from defocus3d.benchmark.images import Microscope, movie
from defocus3d.benchmark.sets import data_sets
from defocus3d.camera import Camera
from defocus3d.files import whole

movies, microscope = data_sets(snakemake.params.size), Microscope()
microscope.near.coefficients, microscope.far.coefficients  # computed once, before the threads ask for them


def make(name, path, truth_path):
    images, truth = movie(movies[name], microscope, Camera(), np.random.default_rng([snakemake.params.seed, list(movies).index(name)]))
    with whole(path) as aside:
        tifffile.imwrite(aside, images, photometric="minisblack")
    tables.write(truth, truth_path)
    log.info("%s: %d frames", Path(path).stem, len(images))


with ThreadPoolExecutor(snakemake.threads) as pool:
    list(pool.map(make, movies, snakemake.output.movies, snakemake.output.truth))
