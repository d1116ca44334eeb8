"""Dose-response curves of the distance to the controls, the cell count, readouts and feature groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from phenoprint.analysis import BENCHMARK, HIT_CALL, curve_band
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import dose_response
from phenoprint.report.html import Html, details, join, number, sql_hint, table, tag, term
from phenoprint.report.sections.terms import short_name
from phenoprint.report.source import AbsentError
from phenoprint.report.summaries.doses import AXIS_DOSE, AXIS_UNIT, axis_units, with_axis_doses
from phenoprint.tables import COMPOUND, DOSE_UNIT

__all__ = ["curve_points", "doses"]

MOST_COMPOUNDS = 12
MOST_GROUPS = 3
MOST_ROWS = 300
# Doses of a fit or a summary, which change with the unit of the axis.
_FIT_DOSES = ("ec50", "ec50_low", "ec50_high", "bmd", "bmd_low", "bmd_high", "gain_dose", "loss_dose")
_ENDS = ("lowest_dose", "highest_dose")
_SUMMARY_DOSES = tuple(f"{of}_bmd{end}" for of in ("global", "lowest", "count") for end in ("", "_low", "_high"))
_KINDS = {"distance": "Distance to controls", "count": "Cell count"}
_WHY = "It is written when a compound has four doses or more beside negative controls."
BMD = (
    f"Benchmark dose: where the fitted curve leaves the negative controls by {BENCHMARK} of their standard deviations. "
    "The interval is by profile likelihood."
)
WINDOW = (
    "How many times the dose that lowers the cell count lies above the lowest dose that changes a feature group. "
    "Above 1, the phenotype comes before cytotoxicity."
)


def doses(page: Page) -> Section:
    """Draw the curves of the compounds that respond most, and list all compounds and curves."""
    fits = page.tables.need("dose_response", ["kind", "model", "gain_dose", "hit_call"], why=_WHY)
    points = page.tables.need("dose_point", ["response"], why=_WHY)
    summary = page.tables.find("dose_summary")
    units = axis_units(set(fits[DOSE_UNIT].to_list()) | set(points[DOSE_UNIT].to_list()))
    fits = with_axis_doses(fits, units, doses={name: name for name in (*_FIT_DOSES, *_ENDS)})
    points = with_axis_doses(points, units).drop_nulls("response")
    if points.is_empty():
        raise AbsentError("No compound has four doses or more, so there is no curve to draw.")
    panels: list[tuple[str, object]] = []
    for label, readout in _readouts(fits):
        own, wells = fits.filter(readout=readout), points.filter(readout=readout)
        # Molar and other units cannot share an axis.
        of_units = [
            _panel(page, own.filter(pl.col(AXIS_UNIT) == unit), wells.filter(pl.col(AXIS_UNIT) == unit), readout, unit)
            for unit in wells[AXIS_UNIT].unique().sort().to_list()
        ]
        panels.append((label, join(of_units)))
    body: list[Html] = []
    if summary is not None:
        summary = with_axis_doses(summary, units, doses={name: name for name in (*_SUMMARY_DOSES, *_ENDS)})
        body.append(_summary(summary))
    body.append(page.tabs("Readout", panels))
    body.append(details("All fitted curves", _fits(fits)))
    body.append(
        sql_hint(
            "SELECT Metadata_compound, lowest_group, lowest_bmd, count_bmd, window, status\n"
            "FROM dose_summary ORDER BY lowest_bmd NULLS LAST"
        )
    )
    return Section(_lead(fits, summary, units), join(body))


def _lead(fits: pl.DataFrame, summary: pl.DataFrame | None, units: dict[str, tuple[str, float]]) -> str:
    n = fits.filter(pl.col("n_doses") >= 4)[COMPOUND].n_unique()
    text = f"{number(n)} compound{'s have' if n != 1 else ' has'} four doses or more."
    if summary is not None:
        status = summary["status"]
        active, safe = int(status.is_in(["ok", "not_cytotoxic"]).sum()), int((status == "ok").sum())
        text += (
            f" {number(active)} change{'s' if active == 1 else ''} the cells' appearance below any dose that lowers "
            f"their number; {number(safe)} of these become{'s' if safe == 1 else ''} cytotoxic within the doses."
        )
    joined = sorted(unit for unit, (_, factor) in units.items() if factor != 1)
    return text + (f" Doses given in {', '.join(joined)} are drawn in {units[joined[0]][0]}." if joined else "")


def _readouts(fits: pl.DataFrame) -> list[tuple[str, str]]:
    """Return the tabs: distance, count, readouts, features by name, and the groups that respond most often."""
    by_kind = fits.select("kind", "readout").unique().sort("readout")
    found = [(_KINDS[kind], name) for kind in _KINDS for name in by_kind.filter(kind=kind)["readout"]]
    named = by_kind.filter(pl.col("kind").is_in(["readout", "feature"]))["readout"].to_list()
    found += [(short_name(name), name) for name in named[:6]]
    groups = (
        fits.filter(kind="feature_group")
        .group_by("readout")
        .agg(n=(pl.col("hit_call") >= HIT_CALL).sum(), peak=pl.col("peak").abs().median())
        .sort(["n", "peak", "readout"], descending=[True, True, False], nulls_last=True)
    )
    return found + [(short_name(name), name) for name in groups["readout"].head(MOST_GROUPS)]


def _panel(page: Page, fits: pl.DataFrame, points: pl.DataFrame, readout: str, unit: str) -> Html:
    """Draw one readout against the doses of one unit."""
    ranked = fits.sort(
        [pl.col("hit_call").fill_null(0).round(2), pl.col("peak").abs(), COMPOUND],
        descending=[True, True, False],
        nulls_last=True,
    )
    shown = ranked.head(MOST_COMPOUNDS)
    wells = points.filter(pl.col(COMPOUND).is_in(shown[COMPOUND].to_list()))
    curves, marks = curve_points(shown, wells)
    figure = dose_response(
        wells,
        "response",
        dose=AXIS_DOSE,
        unit=unit or "no unit given",
        label=f"{short_name(readout)}, in spreads of the controls",
        reference=0.0,
        curves=curves,
        marks=marks,
    )
    more = f" The {MOST_COMPOUNDS} with the strongest response are shown." if fits.height > MOST_COMPOUNDS else ""
    caption = (
        f"{readout}, relative to the negative controls of each plate (dotted line). Dots are wells, lines fitted "
        "curves with approximate bands. Diamonds mark the EC50, triangles the benchmark dose, with their "
        f"intervals.{more}"
    )
    return page.figure(figure, f"{readout} over dose in {unit or 'no unit'}", caption=caption)


def curve_points(fits: pl.DataFrame, wells: pl.DataFrame, *, n: int = 60) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points along fitted curves with their bands, and the doses to mark on them.

    Parameters
    ----------
    fits
        Rows of ``dose_response`` of one readout, doses in the unit of the axis. Rows without a model give no curve.
    wells
        Rows of ``dose_point`` of the readout, with `AXIS_DOSE`.
    n
        Points of a curve.

    Returns
    -------
    tuple
        Curves (compound, dose, ``response``, ``low``, ``high``), and marks as `figures.dose_response` takes them.
    """
    numbers = pl.Schema({COMPOUND: pl.String(), **dict.fromkeys((AXIS_DOSE, "response", "low", "high"), pl.Float64())})
    curves, marks = [pl.DataFrame(schema=numbers)], []
    for fit in fits.drop_nulls("model").unique(COMPOUND, keep="none").sort(COMPOUND).iter_rows(named=True):
        own = wells.filter(pl.col(COMPOUND) == fit[COMPOUND])
        if own.is_empty():
            continue
        given, response = own[AXIS_DOSE].to_numpy(), own["response"].to_numpy()
        x = np.geomspace(fit["lowest_dose"], fit["highest_dose"], n)
        middle, low, high = curve_band(x, fit, given, response)
        columns = {AXIS_DOSE: x, "response": middle, "low": low, "high": high}
        curves.append(pl.DataFrame({COMPOUND: [fit[COMPOUND]] * n, **columns}))
        for name, symbol in (("ec50", "diamond"), ("bmd", "triangle-up")):
            if fit[name] is not None:
                at = float(curve_band([fit[name]], fit, given, response)[0][0])
                ends = (fit[f"{name}_low"], fit[f"{name}_high"])
                marks.append((fit[COMPOUND], fit[name], at, *ends, name.upper(), symbol))
    schema = pl.Schema({**numbers, "mark": pl.String(), "symbol": pl.String()})
    return pl.concat(curves), pl.DataFrame(marks, schema=schema, orient="row")


def _dose(row: Mapping[str, Any], name: str, status_name: str) -> str:
    """Write a dose with its interval; bounds where there is no number."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    lowest, highest, status = row["lowest_dose"], row["highest_dose"], row[status_name]
    if status == "above_highest_dose":
        return f"> {number(low if low is not None else highest)}"
    if status == "below_lowest_dose":
        return f"< {number(high if high is not None else lowest)}"
    if value is None:
        return "–"
    return f"{number(value)} ({number(low) if low else '<'} to {number(high) if high else '>'})"


def _summary(summary: pl.DataFrame) -> Html:
    rows = []
    shown = summary.filter(pl.col("status") != "too_few_doses")
    for row in shown.sort("lowest_bmd", COMPOUND, nulls_last=True).head(MOST_ROWS).iter_rows(named=True):
        found = [_dose(row, f"{of}_bmd", f"{of}_status") for of in ("lowest", "global", "count")]
        at_least = "≥ " if row["status"] == "not_cytotoxic" else ""
        window = None if row["window"] is None else f"{at_least}{number(row['window'], digits=2)}"
        note = row["reason"] or row["status"].replace("_", " ")
        rows.append((row[COMPOUND], row[AXIS_UNIT], found[0], row["lowest_group"], *found[1:], window, note))
    header = (
        "Compound",
        "Unit",
        term("Lowest BMD", f"{BMD} The lowest over the feature groups that respond."),
        "Feature group",
        term("Global BMD", "The same of the distance to the controls over all features."),
        term("Cytotoxic BMD", "The same of a falling cell count."),
        term("Window", WINDOW),
        "Note",
    )
    return table(header, rows, numeric=(), class_="sortable", caption="Where phenotype and cytotoxicity start")


def _fits(fits: pl.DataFrame) -> Html:
    rows = []
    listed = fits.filter(pl.col("kind").is_null() | (pl.col("kind") != "feature_group"))
    for row in listed.sort("readout", COMPOUND).head(MOST_ROWS).iter_rows(named=True):
        found = [_dose(row, "ec50", "status"), _dose(row, "bmd", "bmd_status")]
        note = None if row["status"] == "ok" else row["status"].replace("_", " ")
        rows.append(
            (row["readout"], row[COMPOUND], row[AXIS_UNIT], row["model"], *found, row["hit_call"], row["r2"], note)
        )
    header = (
        "Readout",
        "Compound",
        "Unit",
        "Model",
        term("EC50", "Dose of half the largest response, with its 95 % interval by profile likelihood."),
        term("BMD", BMD),
        term("Hit call", "0 to 1: how sure it is that there is a response above the benchmark; 0.9 counts as one."),
        term("R²", "Share of the variation between wells that the curve explains."),
        "Note",
    )
    quiet = tag("p", "Curves of feature groups are in the table dose_response.", class_="quiet")
    return join([table(header, rows, numeric=(6, 7), class_="sortable", caption="Fitted dose-response curves"), quiet])
