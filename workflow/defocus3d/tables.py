"""The result tables: their columns, and writing them whole or not at all."""

from contextlib import contextmanager
from enum import IntFlag
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from defocus3d.files import whole

ROWS_HELD = 50_000  # of a table that is written bit by bit

LOCALIZATION_COLUMNS = {
    "frame": np.int64,
    "x_um": np.float64,
    "y_um": np.float64,
    "z_um": np.float64,
    "sigma_x_um": np.float64,
    "sigma_y_um": np.float64,
    "sigma_z_um": np.float64,
    "probability": np.float64,
    "photons": np.float64,
    "background_e": np.float64,
    "flag": np.int64,
    "other_z_um": np.float64,
    "other_log_odds": np.float64,
}
TRACK_COLUMNS = {**LOCALIZATION_COLUMNS, "particle": np.int64}


def empty(columns: dict) -> pd.DataFrame:
    """A table without rows, with the given columns and types."""
    return pd.DataFrame({name: np.empty(0, dtype) for name, dtype in columns.items()})


class Flag(IntFlag):
    """Why a localization is not to be used; 0 is good."""

    OUT_OF_RANGE = 1  # beyond the axial range, or outside of the image
    UNCERTAIN = 2  # its uncertainty is too large to tell anything
    MISFIT = 4  # the image around it is not explained
    WEAK = 8  # too little light, or too improbable in the light of all beads of the movie
    DOUBLE = 16  # a second answer for one bead


def conform(table: pd.DataFrame, columns: dict) -> pd.DataFrame:
    """`table` with exactly the given columns, in their order and types. Raises KeyError where one is missing."""
    return table[list(columns)].astype(columns).reset_index(drop=True)


def write(table: pd.DataFrame, path) -> None:
    """Write `table` as parquet or CSV, by the ending of `path`: aside first, then renamed, so that no half table is ever seen."""
    path = Path(path)
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{path}: a table is written as .parquet or .csv")
    with whole(path) as aside:
        if path.suffix == ".parquet":
            table.to_parquet(aside, index=False)
        else:
            table.to_csv(aside, index=False)


@contextmanager
def writing(path, columns: dict):
    """A function that takes the parts of a table with `columns`; the file at `path`, parquet, has them all when the block ends.

    Few rows are held in memory at a time, so that it does not grow with the table. Written aside as `write` does.
    """
    schema, held = pa.Schema.from_pandas(empty(columns), preserve_index=False), []
    with whole(path) as aside, parquet.ParquetWriter(aside, schema) as file:

        def flush():
            file.write_table(pa.Table.from_pandas(pd.concat(held, ignore_index=True), schema, preserve_index=False))
            held.clear()

        def take(part: pd.DataFrame):
            held.append(conform(part, columns))
            if sum(map(len, held)) >= ROWS_HELD:
                flush()

        yield take
        if held:
            flush()
