"""Whether the p values of activity hold: controls taken as treatments, statuses, and scores beside baselines."""

from __future__ import annotations

import polars as pl

from phenoprint.evaluation import ACTIVITY_STATUSES, CALIBRATION_VARIANTS
from phenoprint.report.context import Page, Section
from phenoprint.report.figures import score_dots
from phenoprint.report.html import Html, join, notice, number, sql_hint, table, tag

__all__ = ["calibration"]

WHY = "It is written when profiles are compared with negative controls."
NEEDED = ["variant", "n", "below_05", "below_05_low", "below_05_high", "below_20", "status", "reason"]
SCORES = {"active": "active treatments", "replicates_reproducible": "replicating treatments"}
BASELINES = {
    "none": "profiles",
    "cell_count": "cell count alone",
    "well_position": "well position alone",
    "plate": "plate alone",
    "shuffled_labels": "shuffled treatments",
}
FEW = 20


def calibration(page: Page) -> Section:
    """Show how often controls taken as treatments have small p values, and what activity is without morphology."""
    frame = page.tables.need("calibration", NEEDED, why=WHY)
    body = [
        _warning(frame),
        _position(frame),
        _variants(frame),
        _statuses(page),
        _beside_baselines(page),
        sql_hint("SELECT variant, n, below_05, below_05_low, below_05_high, status, reason FROM calibration"),
    ]
    return Section(_lead(frame), join(body))


def _lead(frame: pl.DataFrame) -> str:
    tested = frame.filter((pl.col("variant") != "in sample") & (pl.col("n") > 0)).sort("variant")
    if tested.is_empty():
        reason = frame["reason"].drop_nulls()
        return f"Whether p values hold is not known: {reason[0] if len(reason) else 'no controls could be tested.'}"
    row = tested.row(0, named=True)
    return (
        f"Of {row['n']} groups of negative controls that took the way of treatments, {_percent(row['below_05'])} have "
        f"p < 0.05 (95 % interval {_percent(row['below_05_low'])} to {_percent(row['below_05_high'])}); where p values "
        "hold it is 5 %."
    )


def _warning(frame: pl.DataFrame) -> Html | None:
    off = frame.filter((pl.col("status") == "off") & (pl.col("variant") != "in sample"))
    if len(off):
        found = "; ".join(f"{variant}: {reason}" for variant, reason in off.select("variant", "reason").iter_rows())
        return notice(f"P values of this screen do not hold ({found}). Take activity as a ranking.")
    most = int(frame["n"].max() or 0)  # type: ignore[arg-type]
    if 0 < most < FEW:
        return notice(f"Only {most} groups of controls could be tested: the interval is wide. More controls narrow it.")
    return None


def _position(frame: pl.DataFrame) -> Html | None:
    p = None if "position_p_value" not in frame.columns else frame["position_p_value"].drop_nulls().min()
    if not isinstance(p, float) or p >= 0.1:
        return None
    return notice(
        f"Controls in the same well position of different plates are more alike than others (p = {number(p)}), so "
        "treatments whose replicates share a position are judged against such controls."
    )


def _variants(frame: pl.DataFrame) -> Html:
    rows = [
        (
            row["variant"],
            CALIBRATION_VARIANTS.get(row["variant"]),
            row["n"],
            _percent(row["below_05"]),
            _between(row["below_05_low"], row["below_05_high"]),
            _percent(row["below_20"]),
            row["status"],
        )
        for row in frame.sort("cross_fitted", "variant", descending=[True, False]).iter_rows(named=True)
    ]
    header = ("Controls", "How they are grouped", "groups", "p < 0.05", "95 % interval", "p < 0.2", "status")
    return table(header, rows, numeric=(2, 3, 4, 5), caption="Negative controls taken as treatments")


def _statuses(page: Page) -> Html | None:
    found = page.tables.find("activity")
    if found is None or "status" not in found.columns or not found["status"].count():
        return None
    counted = found.drop_nulls("status").group_by("status").len().sort("len", "status", descending=[True, False])
    rows = [(status, n, ACTIVITY_STATUSES.get(status)) for status, n in counted.iter_rows()]
    return table(("Status", "treatments", "Meaning"), rows, numeric=(1,), caption="How treatments were judged")


def _beside_baselines(page: Page) -> Html | None:
    found = page.tables.find("score")
    if found is None or not {"score", "baseline", "value"} <= set(found.columns):
        return None
    shown = found.filter(pl.col("score").is_in(list(SCORES))).drop_nulls("value")
    shown = shown.filter(pl.col("baseline").is_in(list(BASELINES)))
    if shown.is_empty():
        return None
    named = shown.with_columns(
        pl.col("score").replace_strict(SCORES).alias("name"), pl.col("baseline").replace_strict(BASELINES)
    ).sort("name")
    figure = page.figure(
        score_dots(named, list(BASELINES.values())),
        "Share of active and of replicating treatments beside baselines",
        caption="Lines are 95 % intervals over compounds. Baselines go through the same test without morphology.",
    )
    return tag("div", figure, class_="wide")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.0f} %"


def _between(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f} %"
