"""The first page of the report: one line an acquisition, with its verdict, its D and a picture; and which ones are shown in full."""

import html
from pathlib import Path

import pandas as pd

from defocus3d.figures import pages, style

# the report's size in bytes, of which Snakemake's own part and the tables take what is set aside
MOST_BYTES, SET_ASIDE = 14_500_000, 4_000_000
ENCODED = 4 / 3  # of binary data in a text file
REACH = 0.25  # D over its expectation is drawn from 1 - REACH to 1 + REACH

HEAD = """<style>
.prose:has(.verdicts){max-width:none}
.grow.items-center.h-screen:has(.verdicts){align-items:flex-start}
.verdicts{font-size:13px;line-height:1.35;border-collapse:collapse;width:auto}
.verdicts td,.verdicts th{padding:3px 9px;vertical-align:middle;text-align:left}
.verdicts tr{border-bottom:1px solid #ddd}
.verdicts img{margin:0;width:90px;max-width:none}
.verdicts .number{white-space:nowrap}
.verdicts .why{min-width:16em;max-width:30em}
</style>"""
COLUMNS = ("verdict", "acquisition", "tracks on a frame", "D of x, y, z over the expected", "D (µm²/s)", "tracks", "why")


def verdicts(summary: pd.DataFrame, thumbnails: dict[str, bytes]) -> str:
    """A table (HTML) with one row an acquisition of summary.csv, in its order, with its picture (WebP) where `thumbnails` has one."""
    counts = summary["verdict"].value_counts()
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in style.VERDICTS if verdict in counts) or "no acquisition"
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    rows = "\n".join(_row(row, thumbnails.get(str(row["acquisition"]))) for _, row in summary.iterrows())
    return (
        f'{HEAD}<h2>Brownian motion? {words}</h2>\n<table class="verdicts"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>\n'
        "<p>The bars are 95 % intervals (x circle, y square, z triangle); the grey band is the expected value, give or take two of its "
        "standard deviations. Colour in the pictures is z. <b>Look for</b> bars that reach the band. The menu leads "
        "to the pictures behind a verdict; the i beside each says what to look for.</p>\n"
    )


def _row(row: pd.Series, thumbnail: bytes | None) -> str:
    """One acquisition as a row of the table."""
    sign, colour = style.VERDICTS.get(row["verdict"], ("", style.INK))
    cells = [
        f'<b style="color:{colour}">{sign} {html.escape(str(row["verdict"]))}</b>',
        f"<b>{html.escape(str(row['acquisition']))}</b><br>{html.escape(str(row['optics']))}",
        pages.picture(thumbnail, "webp", "a frame with tracks") if thumbnail else "",
        _intervals(row),
        _in_numbers(row),
        "" if pd.isna(row["n_tracks"]) else f"{row['n_tracks']:,}",
        html.escape("; ".join(str(row[column]) for column in ("reasons", "warnings") if not pd.isna(row[column]) and row[column] != "")),
    ]
    classes = {COLUMNS.index("D (µm²/s)"): "number", COLUMNS.index("why"): "why"}
    return "<tr>" + "".join(f'<td class="{classes.get(k, "")}">{cell}</td>' for k, cell in enumerate(cells)) + "</tr>"


def _in_numbers(row: pd.Series) -> str:
    """D of all axes with its 95 % interval, and the expected one."""
    lines = [_plain(row["D_xyz_um2_s"])]
    if not pd.isna(row["D_xyz_low"]):
        lines.append(f"{_plain(row['D_xyz_low'])} to {_plain(row['D_xyz_high'])}")
    if not pd.isna(row["D_expected_um2_s"]):
        lines.append(f"expected {_plain(row['D_expected_um2_s'])}")
    return "<br>".join(lines)


def _plain(value) -> str:
    """Three digits, zeros at their end included: 1.00 is known better than 1."""
    return "not measured" if pd.isna(value) else f"{value:#.3g}".rstrip(".")


def _intervals(row: pd.Series, width: int = 190, height: int = 58) -> str:
    """D of the three axes by the expected D, as a small drawing (SVG); what lies beyond is cut off at its edge."""
    expected, sd = style.number(row["D_expected_um2_s"]), style.number(row["D_expected_sd"])
    if not expected > 0:
        return ""

    def across(ratio: float) -> float:
        return width * min(1.0, max(0.0, (ratio - 1 + REACH) / (2 * REACH)))

    band = 2 * (sd / expected if sd > 0 else 0.0)
    parts = [f'<rect x="{across(1 - band):.1f}" width="{across(1 + band) - across(1 - band):.1f}" height="44" fill="#ddd"/>']
    parts += [f'<line x1="{across(1)}" x2="{across(1)}" y2="44" stroke="#555"/>']
    for number, axis in enumerate(style.AXES):
        value, low, high = (style.number(row[f"D_{axis}_{end}"]) / expected for end in ("um2_s", "low", "high"))
        if value != value:
            continue
        x, y, colour = across(value), 8 + 14 * number, style.AXIS_COLOURS[axis]
        if low == low and high == high:
            parts.append(f'<line x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        shapes = {"x": f'<circle cx="{x:.1f}" cy="{y}" r="4"', "y": f'<rect x="{x - 3.5:.1f}" y="{y - 3.5}" width="7" height="7"'}
        parts.append(shapes.get(axis, f'<path d="M{x - 4:.1f} {y + 4}h8l-4 -8z"') + f' fill="{colour}"/>')
    for ratio in (1 - 0.8 * REACH, 1, 1 + 0.8 * REACH):
        parts.append(f'<text x="{across(ratio):.1f}" y="56" font-size="10" text-anchor="middle">{ratio:g}</text>')
    return f'<svg width="{width}" height="{height}" role="img" aria-label="D of x, y, z over the expected">{"".join(parts)}</svg>'


def in_full(summary: pd.DataFrame, results: Path) -> list[str]:
    """Names of the acquisitions whose pictures the report has room for, those with something to look into first.

    `results` is the folder with `optics` and `acquisitions`; the pictures' sizes are read from there.
    """
    room = MOST_BYTES - SET_ASIDE - ENCODED * sum(_size(folder) for folder in (results / "optics").glob("*/figures"))
    room -= 1.5 * sum(file.stat().st_size for file in (results / "figures").iterdir())  # the first page, and the picture of all
    order = summary.assign(rank=summary["verdict"].map(list(style.VERDICTS).index)).sort_values("rank", kind="stable")
    shown = []
    for name in order.loc[order["verdict"] != "failed", "acquisition"]:
        room -= ENCODED * _size(results / "acquisitions" / str(name) / "figures")
        if room < 0:
            break
        shown.append(str(name))
    return shown


def _size(folder: Path) -> int:
    """Bytes of the pictures and pages of a folder that a report shows."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in (".png", ".html"))
