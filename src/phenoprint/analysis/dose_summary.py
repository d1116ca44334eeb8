"""One row per compound: where its phenotype starts, and how far below cytotoxicity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from phenoprint.analysis.dose_fit import HIT_CALL, LEAST_DOSES
from phenoprint.analysis.dose_response import dosed_wells
from phenoprint.tables import COMPOUND, DOSE, DOSE_UNIT, PLATE, frame_of

__all__ = ["dose_summary"]

_ENDS = ("bmd", "bmd_low", "bmd_high")


def dose_summary(curves: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Summarise the curves of each compound: lowest effective dose, cytotoxicity, and the window between them.

    Parameters
    ----------
    curves
        Table ``dose_response`` with ``kind``: ``distance``, ``feature_group`` and ``count`` are used.
    wells
        The well table.

    Returns
    -------
    polars.DataFrame
        Table ``dose_summary``: one row per compound (and unit, where its doses cannot be brought to one) with a dose.

    Notes
    -----
    Of many feature groups some pass a hit call of 0.9 by chance, so a group responds where its hit call reaches
    1 - 0.1 / groups. The lowest of several estimates is on average too low; its interval is that of the one group.
    """
    series = dosed_wells(wells).filter(pl.col(DOSE) > 0)
    facts = series.group_by(COMPOUND, DOSE_UNIT).agg(
        n_doses=pl.col(DOSE).n_unique(),
        n_wells=pl.len(),
        n_plates=pl.col(PLATE).n_unique(),
        lowest_dose=pl.col(DOSE).min(),
        highest_dose=pl.col(DOSE).max(),
    )
    by_compound = dict(curves.group_by(COMPOUND, DOSE_UNIT))
    rows = []
    for row in facts.sort(COMPOUND, DOSE_UNIT).iter_rows(named=True):
        own = by_compound.get((row[COMPOUND], row[DOSE_UNIT]))
        if row["n_doses"] < LEAST_DOSES or own is None:
            reason = f"{row['n_doses']} doses above 0; {LEAST_DOSES} are needed"
            rows.append(row | {"status": "too_few_doses", "reason": reason})
        else:
            rows.append(row | _of_compound(own, row))
    return frame_of("dose_summary", rows)


def _of_compound(curves: pl.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for curve in curves.filter(kind="distance").iter_rows(named=True):
        found |= {f"global_{end}": curve[end] for end in _ENDS}
        found |= {"global_hit_call": curve["hit_call"], "global_status": curve["bmd_status"]}
    found |= _lowest(curves.filter(kind="feature_group"), facts)
    found |= _count(curves.filter(kind="count"))
    return found | _window(found, facts, curves)


def _lowest(groups: pl.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lowest benchmark dose over the feature groups that respond."""
    fitted = groups.filter(pl.col("model").is_not_null())
    if fitted.is_empty():
        status = groups["bmd_status"].mode().sort()[0] if groups.height else "no_values"
        return {"n_groups": 0, "n_groups_active": 0, "lowest_status": status}
    enough = 1 - (1 - HIT_CALL) / fitted.height
    active = fitted.filter((pl.col("hit_call") >= enough) & pl.col("bmd_status").is_in(["ok", "below_lowest_dose"]))
    counts = {"n_groups": fitted.height, "n_groups_active": active.height}
    if active.is_empty():
        return counts | {"lowest_status": "no_response"}
    # Below the lowest dose there is only a bound: the smallest upper end.
    first = (
        active.with_columns(_low=pl.when(pl.col("bmd").is_null()).then(0.0).otherwise("bmd"))
        .sort("_low", pl.col("bmd_high").fill_null(float("inf")), "readout")
        .row(0, named=True)
    )
    ends = {f"lowest_{end}": first[end] for end in _ENDS}
    if first["bmd"] is None:
        ends["lowest_bmd"] = facts["lowest_dose"]
    return counts | ends | {"lowest_group": first["readout"], "lowest_status": first["bmd_status"]}


def _count(curves: pl.DataFrame) -> dict[str, Any]:
    """Return the benchmark dose of a falling count; a rise is no cytotoxicity."""
    if curves.is_empty():
        return {"count_status": "no_values"}
    curve = curves.row(0, named=True)
    status = curve["bmd_status"]
    if status in {"ok", "uncertain", "below_lowest_dose", "above_highest_dose"} and (
        curve["hit_call"] < HIT_CALL or curve["peak"] >= 0
    ):
        return {"count_status": "no_response"}
    return {f"count_{end}": curve[end] for end in _ENDS} | {"count_status": status}


def _window(found: Mapping[str, Any], facts: Mapping[str, Any], curves: pl.DataFrame) -> dict[str, Any]:
    """Return the window between phenotype and cytotoxicity, with the status of the compound."""
    lowest, count = found.get("lowest_bmd"), found.get("count_bmd")
    low, high = found.get("lowest_bmd_low"), found.get("lowest_bmd_high")
    toxic = found["count_status"] in {"ok", "below_lowest_dose"}
    if lowest is None:
        if toxic:
            return {"status": "only_cytotoxic", "reason": "the count falls, and no feature group responds"}
        if curves["model"].count():
            return {"status": "no_response"}
        usual = curves.filter(pl.col("bmd_status") == curves["bmd_status"].mode().sort()[0])
        return {"status": usual["bmd_status"][0], "reason": usual["reason"].drop_nulls().first()}
    if not toxic:
        at_least = facts["highest_dose"]
        bound = None if high is None else at_least / high
        reason = "the count does not fall within the doses: the window is at least this"
        return {"window": at_least / lowest, "window_low": bound, "status": "not_cytotoxic", "reason": reason}
    if count is None:
        count = facts["lowest_dose"]
    count_low, count_high = found.get("count_bmd_low"), found.get("count_bmd_high")
    window = {
        "window": count / lowest,
        "window_low": None if count_low is None or high is None else count_low / high,
        "window_high": None if count_high is None or low is None else count_high / low,
    }
    if count <= lowest:
        return window | {"status": "only_cytotoxic", "reason": "the count falls at or below the dose of any phenotype"}
    return window | {"status": "ok"}
