"""Positive against negative controls, readout by readout."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Context, Section
from phenoprint.report.figures import control_separation, separation_matrix
from phenoprint.report.figures.theme import plain
from phenoprint.report.html import Html, join, number, sql_hint, table, term
from phenoprint.report.sections.terms import ROBUST_Z_PRIME, Z_PRIME
from phenoprint.report.source import AbsentError
from phenoprint.report.summaries.controls import best_readouts, control_statistics

__all__ = ["controls"]


def controls(context: Context) -> Section:
    """Draw the readouts that separate the controls best, and how well on each plate."""
    _, _, _, statistics = context.measured
    if statistics.is_empty():
        roles = set(context.wells["Metadata_pert_type"].drop_nulls().to_list()) if context.wells.height else set()
        missing = [word for kind, word in (("negcon", "negative"), ("poscon", "positive")) if kind not in roles]
        if missing:
            raise AbsentError(
                f"No {' and no '.join(missing)} controls are named: this needs wells with Metadata_pert_type "
                "'negcon' and 'poscon' in the plate map."
            )
        raise AbsentError("No profiles with both kinds of control on one plate are in this screen yet.")
    best = best_readouts(statistics, n=12)
    if not best:
        raise AbsentError(
            "No readout has two wells of each control and a spread on any plate, so no Z' can be computed."
        )
    n_features = statistics["feature"].n_unique()
    profile = context.tables.find("profile_well")
    if profile is None or not set(best) <= set(profile.columns):
        profile = context.tables.need("profile_normalized", why="It holds the wells after normalization.")
    sources = dict.fromkeys(best, profile)
    readouts = context.readouts
    if readouts is not None:
        named = sorted(set(readouts.columns) - set(context.wells.columns))
        statistics = pl.concat([control_statistics(readouts, named), statistics])
        sources = dict.fromkeys(named, readouts) | sources
    chosen_names = list(sources)
    chosen = statistics.filter(pl.col("feature").is_in(chosen_names))
    rank = {name: i for i, name in enumerate(chosen_names)}
    chosen = chosen.with_columns(pl.col("feature").replace_strict(rank, return_dtype=pl.Int64).alias("rank")).sort(
        "rank", "Metadata_Plate"
    )
    matrix = context.figure(
        separation_matrix(chosen),
        "Robust Z' of the best readouts on each plate",
        caption="Robust Z' by readout and plate.",
    )
    panels: list[tuple[str, object]] = [
        (
            _short(name),
            _readout(context, frame, name),
        )
        for name, frame in list(sources.items())[:5]
    ]
    panels.append(("Table", _table(chosen)))
    top = chosen.filter(pl.col("feature") == best[0])
    typical = top["robust_z_prime"].median()
    shown = number(float(typical) if isinstance(typical, int | float) else None)
    caution = (
        f" of {shown} on the typical plate. It is the best of {number(n_features)} features on these same wells, "
        "so take it as the most the assay can do, not as what to expect."
    )
    lead = join([f"The best single feature, {best[0]}, reaches a ", term("robust Z'", ROBUST_Z_PRIME), caution])
    body: list[Html] = [matrix, context.tabs("Readouts", panels)]
    body.append(
        sql_hint(
            f'SELECT Metadata_Plate, Metadata_pert_type, median("{best[0]}")\n'
            "FROM profile_well GROUP BY ALL ORDER BY ALL"
        )
    )
    return Section("controls", "Do the controls stand apart?", lead, join(body), nav="Controls")


def _readout(context: Context, frame: pl.DataFrame, name: str) -> Html:
    figure = control_separation(frame, name).update_yaxes(title_text=plain(_short(name)))
    return context.figure(figure, f"Controls by plate: {name}", caption=name)


def _short(name: str) -> str:
    """Name of a readout for a tab or an axis, cut in the middle where it is long."""
    return name if len(name) <= 34 else f"{name[:16]}…{name[-16:]}"


def _table(chosen: pl.DataFrame) -> Html:
    rows = chosen.select(
        "feature", "Metadata_Plate", "z_prime", "robust_z_prime", "difference", "n_negcon", "n_poscon"
    ).rows()
    header = (
        "Readout",
        "Plate",
        term("Z'", Z_PRIME),
        term("robust Z'", ROBUST_Z_PRIME),
        term(
            "Distance",
            "Distance of the medians of the controls in robust standard deviations of the negative ones.",
        ),
        "negcon wells",
        "poscon wells",
    )
    return table(header, rows, numeric=(2, 3, 4, 5, 6), class_="sortable", caption="Separation of controls")
