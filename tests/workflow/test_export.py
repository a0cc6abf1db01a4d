"""Exports are made where the config asks for them."""

import pandas as pd
import yaml
from tiny_analysis import CONFIG


def test_exports_of_all_movies(tiny):
    (tiny.folder / "config" / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "export": ["thunderstorm", "picasso", "napari", "trackmate"]}))
    assert tiny.planned()["export"] == 2
    tiny.run("results/acquisitions/swimming/exports/picasso.hdf5", "results/acquisitions/nobody/exports/trackmate.xml")
    for movie in ("swimming", "nobody"):
        folder = tiny.result(f"acquisitions/{movie}/exports")
        files = {"thunderstorm.csv", "picasso.hdf5", "picasso.yaml", "napari_tracks.csv", "trackmate.xml", "trackmate.csv"}
        assert {path.name for path in folder.iterdir()} == files
        found = pd.read_parquet(tiny.result(f"acquisitions/{movie}/localizations.parquet"))
        assert len(pd.read_csv(folder / "thunderstorm.csv")) == (found["flag"] == 0).sum()
