"""`snakemake benchmark` from stacks to page, in its tiny size: whether it works, not how good anything is."""

import re

import pandas as pd

METHODS = {"networks", "quick", "thorough", "trackpy", "correlation"}


def test_the_tiny_benchmark(untouched):
    untouched.run("benchmark", "--config", "benchmark={size: tiny}")
    tables = {name: pd.read_csv(untouched.result(f"benchmark/{name}.csv")) for name in ("accuracy", "detection", "speed", "growth")}
    assert all(set(table["method"]) == METHODS for table in tables.values())
    detection = tables["detection"].set_index(["method", "set"])
    assert (detection.loc["thorough", "n_truth"].loc[["isolated", "crowded", "sparse", "dense", "dim"]] > 0).all()
    # lone bright beads are seen by the fit and by a correlation with the measured PSF, whatever a training of seconds does
    for method in ("thorough", "correlation"):
        lone = detection.loc[(method, "isolated")]
        assert lone["n_matched"] > 0.7 * lone["n_truth"]
    assert (tables["speed"]["peak_mb"] > 50).all() and (tables["growth"]["seconds"] > 0).all()
    page = untouched.result("benchmark/report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page) and page.count("<img") == 6
    assert not untouched.result("optics").exists()  # nothing of the user's own analysis is run
    assert untouched.planned("benchmark", "--config", "benchmark={size: tiny}") == {}
