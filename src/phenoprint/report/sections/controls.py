"""Separation of positive and negative controls, readout by readout."""

from __future__ import annotations

import polars as pl

from phenoprint.evaluation import best_readouts, control_statistics, ranked_readouts
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import control_separation, separation_matrix
from phenoprint.report.figures.theme import plain
from phenoprint.report.html import Html, join, number, sql_hint, table, term
from phenoprint.report.sections.terms import ROBUST_Z_PRIME, Z_PRIME, short_name
from phenoprint.report.source import AbsentError
from phenoprint.report.summaries.wells import source_of_controls
from phenoprint.tables import WELL_KEY

__all__ = ["controls"]

MOST_COMPOUNDS = 8


def controls(page: Page) -> Section:
    """Draw the readouts that separate the controls best, and their Z' on each plate."""
    _, _, _, statistics = page.measured
    if statistics.is_empty():
        roles = set(page.wells["Metadata_pert_type"].drop_nulls().to_list()) if page.wells.height else set()
        missing = [word for kind, word in (("negcon", "negative"), ("poscon", "positive")) if kind not in roles]
        if missing:
            raise AbsentError(
                f"The plate map has no {' and no '.join(missing)} controls: wells with Metadata_pert_type 'negcon' and "
                "'poscon' are needed."
            )
        raise AbsentError("No profiles with both kinds of control on one plate are in this screen yet.")
    ranked = ranked_readouts(statistics)
    if ranked.is_empty():
        raise AbsentError(
            "No readout has two wells of each control and a spread on any plate, so no Z' can be computed. "
            "Each compound among the positive controls is judged separately."
        )
    n_features = statistics["feature"].n_unique()
    best = best_readouts(statistics, n=12)
    about = [*WELL_KEY, "Metadata_pert_type", "Metadata_compound"]
    profile = page.tables.columns(source_of_controls(page.tables) or "", [*about, *best])
    sources = {} if profile is None else dict.fromkeys(best, profile)
    readouts = page.readouts
    if readouts is not None:
        named = sorted(set(readouts.columns) - set(page.wells.columns))
        statistics = pl.concat([control_statistics(readouts, named), statistics])
        sources = dict.fromkeys(named, readouts) | sources
    compounds = ranked["poscon"].unique(maintain_order=True).to_list()
    chosen_names = list(sources)
    rank = {name: i for i, name in enumerate(chosen_names)}
    place = pl.col("Metadata_Plate")
    if len(compounds) > 1:  # the name of a single plate is left out
        place = pl.format("{} · {}", "Metadata_Plate", "poscon") if len(page.plates) > 1 else pl.col("poscon")
    chosen = (
        statistics.filter(pl.col("feature").is_in(chosen_names))
        .with_columns(
            pl.col("feature").replace_strict(rank, return_dtype=pl.Int64).alias("rank"),
            place.alias("place"),
        )
        .sort("rank", "Metadata_Plate", "poscon")
    )
    shown = chosen.filter(pl.col("poscon").is_in(compounds[:MOST_COMPOUNDS]))
    matrix = page.figure(
        separation_matrix(shown, plate="place"),
        "Robust Z' of the best readouts on each plate",
        caption="Robust Z' by readout and plate."
        if len(compounds) == 1
        else "Robust Z' by readout, plate and positive control, each against the negative controls of its plate.",
    )
    panels: list[tuple[str, object]] = [
        (short_name(name), _readout(page, frame, name, compounds)) for name, frame in list(sources.items())[:5]
    ]
    panels.append(("Table", _table(chosen)))
    body: list[Html | None] = [
        _by_compound(ranked) if len(compounds) > 1 else None,
        matrix,
        page.tabs("Readouts", panels),
        sql_hint(
            f'SELECT Metadata_Plate, Metadata_pert_type, Metadata_compound, median("{best[0]}")\n'
            "FROM profile_well WHERE Metadata_pert_type IN ('negcon', 'poscon') GROUP BY ALL ORDER BY ALL"
        ),
    ]
    return Section(_lead(ranked, n_features), join(body))


def _lead(ranked: pl.DataFrame, n_features: int) -> Html:
    """Name the positive control with the best separation and its readout, with a caution about the best of many."""
    tops = ranked.filter(pl.col("place") == 1)
    top = tops.row(0, named=True)
    form, meaning = ("robust Z'", ROBUST_Z_PRIME) if top["robust_z_prime"] is not None else ("Z'", Z_PRIME)
    value = top["robust_z_prime"] if top["robust_z_prime"] is not None else top["z_prime"]
    several = tops.height > 1
    start = (
        f"{tops.height} compounds are positive controls, each judged separately. {top['poscon']} is separated best: "
        if several
        else f"{top['poscon'][:1].upper()}{top['poscon'][1:]} against the negative controls: "
    )
    caution = (
        f" of {number(value)} on the typical plate, from {number(top['n_poscon'])} wells per plate. "
        f"It is the best of {number(n_features)} features on these same wells, "
        "so it is an upper bound of what the assay can do, not what to expect."
    )
    return join(
        [
            f"{start}the best single feature, {top['feature']}, reaches a ",
            term(form, meaning),
            caution,
        ]
    )


def _by_compound(ranked: pl.DataFrame) -> Html:
    """List the best readout of each positive control."""
    tops = ranked.filter(pl.col("place") == 1)
    header = (
        "Positive control",
        "Best readout",
        term("Z'", Z_PRIME),
        term("robust Z'", ROBUST_Z_PRIME),
        "wells per plate",
    )
    rows = tops.select("poscon", "feature", "z_prime", "robust_z_prime", "n_poscon").rows()
    caption = "Best readout of each positive control, medians over plates"
    return table(header, rows, numeric=(2, 3, 4), class_="sortable", caption=caption)


def _readout(page: Page, frame: pl.DataFrame, name: str, compounds: list[str]) -> Html:
    split = "Metadata_compound" if len(compounds) > 1 and "Metadata_compound" in frame.columns else None
    if split is not None:
        shown = pl.col(split).is_in(compounds[:MOST_COMPOUNDS])
        frame = frame.filter((pl.col("Metadata_pert_type") != "poscon") | shown)
    figure = control_separation(frame, name, split=split).update_yaxes(title_text=plain(short_name(name)))
    return page.figure(figure, f"Controls by plate: {name}", caption=name)


def _table(chosen: pl.DataFrame) -> Html:
    rows = chosen.select(
        "feature", "poscon", "Metadata_Plate", "z_prime", "robust_z_prime", "difference", "n_negcon", "n_poscon"
    ).rows()
    header = (
        "Readout",
        "Positive control",
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
    return table(header, rows, numeric=(3, 4, 5, 6, 7), class_="sortable", caption="Separation of controls")
