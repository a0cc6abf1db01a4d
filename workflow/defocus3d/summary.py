"""One row an acquisition: what was found, how it moves, and the verdict."""

import pandas as pd

AXES = ("x", "y", "z", "xyz")


def summary_row(acquisition: str, optics: str, info: dict, flags, brownian: dict) -> dict:
    """The acquisition's row of summary.csv, by column.

    Parameters
    ----------
    acquisition, optics : str
        Names.
    info : dict
        From localization.json: `n_frames`, `warnings`.
    flags : array of int
        Flags of the localizations; 0 is good.
    brownian : dict
        From brownian.json. What is null there is empty here.
    """
    row = {
        "acquisition": acquisition,
        "optics": optics,
        "n_frames": info["n_frames"],
        "n_localizations": len(flags),
        "n_flagged": int((flags != 0).sum()),
        "n_tracks": brownian["n_tracks"],
        "n_displacements": brownian["n_displacements"],
    }
    for axis in AXES:
        measured = brownian["D_um2_s"][axis]
        row[f"D_{axis}_um2_s"] = measured["value"]
        row[f"D_{axis}_low"], row[f"D_{axis}_high"] = measured["ci95"] or (None, None)
    row["D_expected_um2_s"] = brownian["D_expected_um2_s"]["value"]
    row["D_expected_sd"] = brownian["D_expected_um2_s"]["sd"]
    for axis in ("x", "y", "z"):
        row[f"sd_{axis}_um"] = brownian["localization_sd_um"][axis]
    row["alpha"] = brownian["alpha"]["value"]
    row["alpha_low"], row["alpha_high"] = brownian["alpha"]["ci95"] or (None, None)
    row["isotropy"] = brownian["isotropy"]["value"]
    stretch = brownian["axial_stretch"]
    row["axial_stretch"] = stretch["value"]
    row["axial_stretch_low"], row["axial_stretch_high"] = stretch["ci95"] or (None, None)
    row["proposed_axial_scale"] = stretch["proposed_axial_scale"]
    row["verdict"] = brownian["verdict"]
    row["reasons"] = "; ".join(brownian["reasons"])
    row["warnings"] = "; ".join(info["warnings"])  # in what the movie differs from what the networks were trained for
    return row


def failed_row(acquisition: str, optics: str, reason: str) -> dict:
    """The row of an acquisition that could not be finished: no figures, the verdict `failed`, and why."""
    return {"acquisition": acquisition, "optics": optics, "verdict": "failed", "reasons": reason}


def summarize(rows: list[dict]) -> pd.DataFrame:
    """The table summary.csv from its rows, in their order; with its columns also where there is no row."""
    nothing = dict.fromkeys(AXES, {"value": None, "ci95": None})
    empty = {
        "n_tracks": 0,
        "n_displacements": 0,
        "D_um2_s": nothing,
        "D_expected_um2_s": {"value": None, "sd": None},
        "localization_sd_um": dict.fromkeys("xyz"),
        "alpha": {"value": None, "ci95": None},
        "isotropy": {"value": None},
        "axial_stretch": {"value": None, "ci95": None, "proposed_axial_scale": None},
        "verdict": "",
        "reasons": [],
    }
    columns = list(summary_row("", "", {"n_frames": 0, "warnings": []}, pd.Series(dtype=int), empty))
    # a failed acquisition has no counts, and those of the others stay whole numbers
    return pd.DataFrame(rows, columns=columns).astype({column: "Int64" for column in columns if column.startswith("n_")})
