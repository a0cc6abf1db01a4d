"""A page of what a pair of networks was trained for, what it reached, and where z is not to be relied on."""

import html

import pandas as pd

from defocus3d.figures import pages

CONFUSED = 3.0  # times the Cramér-Rao bound: an error of z beyond it is that of a bead taken for one at another height
STAGES = {"networks": "networks alone", "quick": "fit, quick search", "thorough": "fit, thorough search"}
STYLE = """body{font:14px "DejaVu Sans",Arial,sans-serif;color:#222;margin:16px}table{border-collapse:collapse;margin:8px 0 18px}
td,th{padding:4px 14px 4px 0;text-align:left;border-bottom:1px solid #ddd}h1{font-size:17px}h2{font-size:15px}"""


def optics_page(name: str, calibration: dict, evaluation: pd.DataFrame, used: str) -> str:
    """The page (HTML) of optics `name`, from calibration.json and the table evaluation.csv; the movies get the stage that is `used`."""
    ranges = {
        "axial range (µm)": calibration["axial_range_um"],
        "photoelectrons of a bead": calibration["photons"],
        "background (photoelectrons a pixel)": calibration["background_e"],
        "beads in range per µm²": calibration["density_per_um2"],
    }
    trained = [[what, f"{low:g} to {high:g}".replace("-", "−")] for what, (low, high) in ranges.items()]
    trained.append(["pixel size (µm)", f"{calibration['pixel_size_um']:g}"])
    head = ["", "RMS error of x, y, z (nm)", "best possible, x, y, z (nm)", "found of all", "within 1 σ, x, y, z"]
    reached = [_reached(row) for _, row in evaluation[evaluation["axis"] == "all"].iterrows()]
    body = (
        f"<h1>{html.escape(name)} in numbers</h1><h2>Trained for</h2>{_table([], trained)}"
        f"<h2>Reached on data that the networks have not seen</h2>{_table(head, reached)}"
        f"<h2>Where z is ambiguous</h2><p>{ambiguous(evaluation, used)}</p>"
    )
    return pages.page(name, STYLE, body)


def _reached(row: pd.Series) -> list[str]:
    """Cells of one row of evaluation.csv."""
    source = {"scenes": "simulated scenes", "held_out_beads": "held-out beads of the stacks"}.get(row["source"], row["source"])
    bound = [row[f"crlb_{axis}_um"] for axis in "xyz"]
    return [
        f"{source}, {STAGES.get(row['stage'], row['stage'])}",
        _several([1000 * row[f"rmse_{axis}_um"] for axis in "xyz"], ".0f"),
        _several([1000 * value for value in bound], ".0f"),
        "" if pd.isna(row["recall"]) else f"{row['recall']:.0%}",
        _several([row[f"within_1sigma_{axis}"] for axis in "xyz"], ".0%"),
    ]


def _several(values: list, how: str) -> str:
    return ", ".join("–" if pd.isna(value) else format(value, how) for value in values) if not all(map(pd.isna, values)) else ""


def ambiguous(evaluation: pd.DataFrame, used: str) -> str:
    """A sentence that names the heights at which the error of z of the stage `used` on held-out scenes is far above its bound."""
    scenes = evaluation[(evaluation["source"] == "scenes") & (evaluation["axis"] == "z_um")]
    mine = scenes[scenes["stage"] == used]
    judged = mine[mine["rmse_z_um"].notna() & mine["crlb_z_um"].notna()].sort_values("bin_low")
    if judged.empty:
        return "Not known: no held-out bead was found in the scenes."
    far = judged[judged["rmse_z_um"] > CONFUSED * judged["crlb_z_um"]]
    if far.empty:
        return f"Nowhere in the axial range: on held-out scenes the error of z stays below {CONFUSED:g} times the Cramér-Rao bound."
    places = "; ".join(
        f"{row.bin_low:+.2f} to {row.bin_high:+.2f} µm: {1000 * row.rmse_z_um:.0f} nm where {1000 * row.crlb_z_um:.0f} nm would be best"
        for row in far.itertuples()
    ).replace("-", "−")
    return f"On held-out scenes the error of z is more than {CONFUSED:g} times the Cramér-Rao bound at {places}."


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>" if head else ""
    return "<table>" + top + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"
