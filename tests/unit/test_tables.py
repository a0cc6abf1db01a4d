"""Tables that are written bit by bit are the same as those written at once, and appear whole or not at all."""

import numpy as np
import pandas as pd
import pytest

from defocus3d import tables

COLUMNS = {"frame": np.int64, "x_um": np.float64}


def part(first, rows):
    return pd.DataFrame({"x_um": np.arange(rows) / 7, "left_out": 0, "frame": np.arange(first, first + rows, dtype=np.int32)})


@pytest.mark.parametrize("rows", [[3, 0, 5], [], [0], [40_000, 30_000, 1]])
def test_parts_are_one_table(tmp_path, rows):
    parts = [part(100 * k, count) for k, count in enumerate(rows)]
    with tables.writing(tmp_path / "bits.parquet", COLUMNS) as take:
        for table in parts:
            take(table)
    whole = tables.conform(pd.concat(parts), COLUMNS) if parts else tables.empty(COLUMNS)
    tables.write(whole, tmp_path / "whole.parquet")
    bits, whole = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("bits", "whole"))
    pd.testing.assert_frame_equal(bits, whole, check_exact=True)


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(KeyError), tables.writing(tmp_path / "bits.parquet", COLUMNS) as take:
        take(part(0, 3))
        take(pd.DataFrame({"frame": [1]}))
    assert not list(tmp_path.iterdir())


def test_no_more_rows_are_held_than_meant(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_HELD", 10)
    written = []
    monkeypatch.setattr(tables.parquet.ParquetWriter, "write_table", lambda self, table: written.append(len(table)))
    with tables.writing(tmp_path / "bits.parquet", COLUMNS) as take:
        for k in range(5):
            take(part(k, 4))
    assert written == [12, 8]
