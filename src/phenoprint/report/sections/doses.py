"""Dose series of readouts with their fits, of the features that separate the controls best, and of the cell count."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.analysis import hill_response
from phenoprint.evaluation import best_readouts
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import dose_response
from phenoprint.report.html import Html, join, number, sql_hint, table, tag, term
from phenoprint.report.sections.terms import short_name
from phenoprint.report.source import AbsentError, feature_names
from phenoprint.report.summaries.doses import AXIS_DOSE, AXIS_UNIT, axis_units, with_axis_doses
from phenoprint.report.summaries.wells import feature_spreads
from phenoprint.tables import COMPOUND, DOSE, DOSE_UNIT, OBJECT_COUNT, WELL_KEY

__all__ = ["doses", "hill_points"]

LEAST_DOSES = 4
MOST_COMPOUNDS = 12
FIT = ["readout", COMPOUND, "ec50", "slope", "bottom", "top"]


def doses(page: Page) -> Section:
    """Draw each compound with at least four doses, and list the fitted curves."""
    name = "profile_normalized" if page.tables.height("profile_normalized") else "profile_well"
    about = [*WELL_KEY, "Metadata_pert_type", "Metadata_perturbation", DOSE_UNIT, OBJECT_COUNT]
    why = "It contains the profiles of wells with their doses."
    frame = page.tables.need(name, [COMPOUND, DOSE], why=why, beside=[*about, *_best_features(page, name)])
    fits = page.tables.find("dose_response")
    if fits is not None and not set(FIT) <= set(fits.columns):
        fits = None
    units = axis_units(_units(_treated(frame)) | (_units(fits) if fits is not None else set()))
    series = _series(with_axis_doses(_treated(frame), units))
    if series.is_empty():
        raise AbsentError(f"No compound has {LEAST_DOSES} doses or more, so there is no curve to draw.")
    chosen = _readouts(page, frame, name)
    if fits is not None:
        fits = with_axis_doses(
            fits, units, doses={n: n for n in ("ec50", "ec50_low", "ec50_high") if n in fits.columns}
        )
    panels: list[tuple[str, object]] = []
    for label, column, source, origin in chosen:
        treated = with_axis_doses(_treated(source), units).join(series, on=[COMPOUND, AXIS_UNIT], how="semi")
        # Molar and other units cannot share an axis.
        drawn = [
            _panel(
                page,
                treated.filter(pl.col(AXIS_UNIT) == unit),
                column,
                origin=origin,
                unit=unit,
                fits=fits,
                reference=_reference(source, column),
            )
            for unit in treated[AXIS_UNIT].unique().sort().to_list()
        ]
        panels.append((label, join(drawn)))
    body: list[Html] = [page.tabs("Readout", panels)]
    if fits is not None:
        body += [tag("h3", "Fitted curves"), _fits(fits)]
        body.append(
            sql_hint(
                "SELECT readout, Metadata_compound, Metadata_Concentration_Unit, ec50, ec50_low, ec50_high\n"
                "FROM dose_response ORDER BY Metadata_Concentration_Unit, ec50"
            )
        )
    n = series[COMPOUND].n_unique()
    more = f" Each panel shows the {MOST_COMPOUNDS} with the largest response." if n > MOST_COMPOUNDS else ""
    joined = sorted(unit for unit, (target, factor) in units.items() if factor != 1)
    to = units[joined[0]][0] if joined else ""
    scale = f" Doses given in {', '.join(joined)} are drawn in {to}." if joined else ""
    lead = f"{number(n)} compound{'s have' if n != 1 else ' has'} {LEAST_DOSES} doses or more.{more}{scale}"
    return Section(lead, join(body))


def _panel(
    page: Page,
    treated: pl.DataFrame,
    column: str,
    *,
    origin: str,
    unit: str,
    fits: pl.DataFrame | None,
    reference: float | None,
) -> Html:
    """Draw one readout against the doses of one unit."""
    curves = None
    if fits is not None:
        own = fits.filter((pl.col("readout") == column) & (pl.col(AXIS_UNIT) == unit))
        curves = hill_points(own, treated, column, dose=AXIS_DOSE)
    fitted = curves is not None and not curves.is_empty()
    name = "Cell count" if column == OBJECT_COUNT else column
    figure = dose_response(
        treated.filter(pl.col(COMPOUND).is_in(_strongest(treated, column))),
        column,
        dose=AXIS_DOSE,
        unit=unit or "no unit given",
        label="cells per well" if column == OBJECT_COUNT else short_name(column),
        reference=reference,
        curves=curves if fitted else None,
    )
    lines = "solid lines are fitted Hill curves, dotted lines connect medians" if fitted else "lines connect medians"
    caption = f"{name} in '{origin}'. Dots are wells, {lines}; the horizontal line is the negative controls' median."
    return page.figure(figure, f"{name} over dose in {unit or 'no unit'}", caption=caption)


def hill_points(
    fits: pl.DataFrame, treated: pl.DataFrame, column: str, *, dose: str = DOSE, n: int = 60
) -> pl.DataFrame:
    """Points along fitted Hill curves over the doses that were given.

    Parameters
    ----------
    fits
        Rows of ``dose_response`` of one readout: ``bottom`` and ``top`` are the levels at no and at endless dose,
        ``ec50`` the dose of half the effect, in the unit of `dose`, ``slope`` the steepness. Rows without an EC50 give
        no curve, nor do compounds with two fits, one for each unit their doses were written in.
    treated
        The wells, for the range of doses of each compound.
    column
        Name of the column of values to write.
    dose
        Column of the dose.
    n
        Points a curve.

    Returns
    -------
    pl.DataFrame
        Metadata_compound, `dose`, `column`.
    """
    ranges = treated.group_by(COMPOUND).agg(pl.col(dose).min().alias("low"), pl.col(dose).max().alias("high"))
    parts = [pl.DataFrame(schema={COMPOUND: pl.String, dose: pl.Float64, column: pl.Float64})]
    known = fits.select(FIT[1:]).drop_nulls().unique(COMPOUND, keep="none").join(ranges, on=COMPOUND)
    for compound, ec50, slope, bottom, top, low, high in known.sort(COMPOUND).iter_rows():
        x = np.geomspace(low, high, n)
        y = hill_response(x, bottom=bottom, top=top, ec50=ec50, slope=slope)
        parts.append(pl.DataFrame({COMPOUND: [compound] * n, dose: x, column: y}))
    return pl.concat(parts)


def _is_treatment(frame: pl.DataFrame) -> pl.Expr:
    if "Metadata_pert_type" not in frame.columns:
        return pl.lit(value=True)
    kind = pl.col("Metadata_pert_type")
    return kind.is_null() | (kind == "trt")


def _treated(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter((pl.col(DOSE) > 0) & pl.col(COMPOUND).is_not_null() & _is_treatment(frame))


def _units(frame: pl.DataFrame) -> set[str | None]:
    return set(frame[DOSE_UNIT].cast(pl.String).unique().to_list()) if DOSE_UNIT in frame.columns else set()


def _series(treated: pl.DataFrame) -> pl.DataFrame:
    """Return the compounds with enough doses, by the unit of their axis."""
    counts = treated.group_by(COMPOUND, AXIS_UNIT).agg(pl.col(AXIS_DOSE).n_unique().alias("n"))
    return counts.filter(pl.col("n") >= LEAST_DOSES)


def _best_features(page: Page, name: str) -> list[str]:
    """Return the three features that separate the controls best, or that vary most if there are no readouts."""
    there = page.tables.features(name)
    _, _, _, statistics = page.measured
    best = [column for column in best_readouts(statistics, n=3, each=1) if column in set(there)]
    if best or page.readouts is not None:
        return best
    spread = feature_spreads(page.tables, name, there)
    return sorted(spread, key=lambda column: (-(spread[column] or 0), column))[:3]


def _readouts(page: Page, frame: pl.DataFrame, name: str) -> list[tuple[str, str, pl.DataFrame, str]]:
    """Return tab, column, frame and table of each panel: readouts, up to three features, the cell count."""
    found: list[tuple[str, str, pl.DataFrame, str]] = []
    wide = page.readouts
    if wide is not None:
        named = sorted(set(wide.columns) - set(page.wells.columns))
        found += [(short_name(column), column, wide, "readout") for column in named[:6]]
    best = feature_names(frame)
    if not best and not found:
        raise AbsentError("The profiles have no features to draw against dose.")
    found += [(short_name(column), column, frame, name) for column in best]
    if OBJECT_COUNT in frame.columns and frame[OBJECT_COUNT].count():
        found.append(("Cell count", OBJECT_COUNT, frame, name))
    return found


def _strongest(treated: pl.DataFrame, column: str) -> list[str]:
    """Return the compounds whose median changes most between doses."""
    medians = treated.group_by(COMPOUND, AXIS_DOSE).agg(pl.col(column).median())
    span = medians.group_by(COMPOUND).agg((pl.col(column).max() - pl.col(column).min()).alias("span"))
    return (
        span.sort(["span", COMPOUND], descending=[True, False], nulls_last=True)[COMPOUND]
        .head(MOST_COMPOUNDS)
        .to_list()
    )


def _reference(frame: pl.DataFrame, column: str) -> float | None:
    if "Metadata_pert_type" not in frame.columns:
        return None
    median = frame.filter(pl.col("Metadata_pert_type") == "negcon")[column].median()
    return float(median) if isinstance(median, int | float) else None


def _fits(fits: pl.DataFrame) -> Html:
    rows = []
    for row in fits.sort("readout", COMPOUND).head(300).iter_rows(named=True):
        unit = row[AXIS_UNIT]
        ec50 = None if row["ec50"] is None else f"{number(row['ec50'])} {unit}".strip()
        low, high = row.get("ec50_low"), row.get("ec50_high")
        interval = f"{number(low)} to {number(high)}" if low is not None and high is not None else None
        note = None if row.get("status") in {None, "ok"} else row.get("reason") or row.get("status")
        rows.append(
            (
                row["readout"],
                row[COMPOUND],
                ec50,
                interval,
                row["slope"],
                row.get("r2"),
                row.get("n_wells"),
                note,
            )
        )
    header = (
        "Readout",
        "Compound",
        term("EC50", "Dose at which the response is half-way between its two plateaus."),
        "95 % interval",
        term("Slope", "Steepness of the curve; 1 is one molecule binding one site."),
        term("R²", "Share of the variation between wells that the curve explains."),
        "Wells",
        "Note",
    )
    return table(header, rows, numeric=(4, 5, 6), class_="sortable", caption="Fitted dose-response curves")
