"""The state of a screen: which steps are done, what failed, what was lost, and its main numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from phenoprint.errors import DamagedTableError
from phenoprint.pipeline.exclusions import exclusions_of, without_excluded
from phenoprint.pipeline.imported import imported_tables
from phenoprint.pipeline.notes import extreme_notes, recipe_notes, reference_note
from phenoprint.pipeline.plan import look_ahead, parsed_run, step_order
from phenoprint.store import Screen, Scrutiny, load_receipts, read_run
from phenoprint.tables import SITE_KEY, frame_of

# Tables of well profiles; the number of wells is that of the first that exists.
_PROFILES = ("profile_selected", "profile_normalized", "profile_well")

__all__ = ["ScreenState", "screen_notes", "screen_state", "screen_summary"]


@dataclass(frozen=True)
class ScreenState:
    """The state of a screen.

    Attributes
    ----------
    path
        The screen folder.
    held_by
        The run that holds the screen now, if any.
    incomplete
        Why its tables may be inconsistent: a run or an import that has not ended. None if they are consistent.
    steps
        One row per step, in order: units that are done and valid, that failed, that a run would do again
        (``stale``) or for the first time (``missing``), CPU seconds of its units, peak memory of a process in MB.
    to_run
        One row per unit that a run would do: ``step``, ``Metadata_Plate``, ``unit``, ``state`` (stale, damaged,
        missing) and ``reason``.
    changed
        What the user has changed since the last run, so that units would run again.
    wrong
        The units that would run again although nothing was changed; columns as of ``to_run``.
    failures
        One row per failed unit with its error.
    lost
        What was lost, by step and reason.
    problems
        Differences between images and plate map.
    damaged
        One row per file of a table that cannot be read: ``table``, ``path``, ``reason``.
    notes
        Notes on how the profiles were made, such as skipped steps and references other than configured.
    is_partial
        Whether something of the screen could not be used in the last run.
    has_run
        Whether any run has begun; False after an import without a run.
    """

    path: Path
    held_by: str | None
    incomplete: str | None
    steps: pl.DataFrame
    to_run: pl.DataFrame
    changed: list[str]
    wrong: pl.DataFrame
    failures: pl.DataFrame
    lost: pl.DataFrame
    problems: pl.DataFrame
    damaged: pl.DataFrame
    notes: list[str]
    is_partial: bool
    has_run: bool

    @property
    def is_whole(self) -> bool:
        """Whether the last run ended, no unit failed, and all results are in place and can be read."""
        found = (self.wrong, self.failures, self.damaged)
        return self.incomplete is None and all(frame.is_empty() for frame in found)


def screen_state(screen: Screen) -> ScreenState:
    """Read the state of a screen from its receipts, the sizes of its files and its ledger; nothing is written."""
    status = screen.status()
    record = read_run(screen.path)
    outlook = look_ahead(screen, record, scrutiny=Scrutiny.SIZE)
    return ScreenState(
        path=screen.path,
        held_by=None if status.held_by is None else str(status.held_by),
        incomplete=status.incomplete,
        steps=_steps(screen, outlook.plan.units),
        to_run=outlook.plan.to_run,
        changed=outlook.changed,
        wrong=outlook.wrong,
        failures=status.failures,
        lost=_lost(screen),
        problems=_table(screen, "problem").collect(),
        damaged=status.damaged,
        notes=screen_notes(screen),
        is_partial=bool(status.failures.height) or (record is not None and record.is_partial),
        has_run=outlook.has_run,
    )


def _table(screen: Screen, name: str) -> pl.LazyFrame:
    """Return a table, without rows if it is damaged; the state lists damaged tables."""
    try:
        return screen.table(name)
    except DamagedTableError:
        return frame_of(name).lazy()


def screen_notes(screen: Screen) -> list[str]:
    """Return notes on the profiles: skipped steps, unusual references, extreme features and exclusions."""
    is_note = (pl.col("feature") == "") | pl.col("status").is_in(["outlier", "extreme"])
    status = _table(screen, "feature_status").filter(is_note).collect()
    notes = [*recipe_notes(status), *extreme_notes(status)]
    if (config := parsed_run(read_run(screen.path))) is not None:  # of the run that made the profiles
        wells = _table(screen, "well").select("Metadata_Plate", "Metadata_pert_type").collect()
        notes += [note for note in [reference_note(config.profiles, wells)] if note is not None]
    if "profile_consensus" in imported_tables(screen) and not exclusions_of(screen.path).is_empty():
        notes.append(
            "profile_consensus was imported: its treatments include the excluded wells, and no run removes them; "
            "import wells (levels 3 to 4b) alone to have the consensus made here"
        )
    return notes


def _steps(screen: Screen, units: pl.DataFrame) -> pl.DataFrame:
    """Count the units of each step by state, with their time and memory."""
    counts = {(step, state): n for step, state, n in units.group_by("step", "state").len().iter_rows()}
    rows = []
    for step in step_order():
        receipts = load_receipts(screen.path, step).values()
        done, failed, missing = (counts.get((step, state), 0) for state in ("fresh", "failed", "missing"))
        stale = counts.get((step, "stale"), 0) + counts.get((step, "damaged"), 0)
        seconds = round(sum(receipt.seconds for receipt in receipts), 2)
        peak = max((receipt.peak_rss_mb for receipt in receipts), default=0.0)
        rows.append((step, done, failed, stale, missing, seconds, peak))
    schema = {"step": pl.String} | dict.fromkeys(("done", "failed", "stale", "missing"), pl.Int64)
    return pl.DataFrame(rows, schema=schema | {"seconds": pl.Float64, "peak_rss_mb": pl.Float64}, orient="row")


def _lost(screen: Screen) -> pl.DataFrame:
    """Sum what was lost by step and reason, the largest loss first."""
    return (
        _table(screen, "ledger")
        .filter(pl.col("n_lost") > 0)
        .group_by("step", "unit_of_count", "reason")
        .agg(pl.col("n_lost").sum(), pl.col("Metadata_Well").drop_nulls().n_unique().alias("wells"))
        .sort("n_lost", "step", "reason", descending=[True, False, False])
        .collect()
    )


def _count(screen: Screen, table: str, *columns: str) -> int | None:
    """Count the distinct values of some columns, or the rows; None where the table is absent."""
    if table not in screen.tables():
        return None
    frame = screen.table(table)
    if columns:
        frame = frame.select(columns).unique()
    return int(frame.select(pl.len()).collect().item())


def _wells(screen: Screen) -> dict[str, int | None]:
    """Count the wells on the plate map, with images, with profiles, and excluded; None where it is not known."""
    wells = screen.table("well").collect()
    profile = next((name for name in _PROFILES if name in screen.tables()), None)
    with_profile = None
    if profile is not None:
        rows = screen.table(profile).select(pl.col("^Metadata_(Plate|Well|Object_Count)$")).collect()
        counts = rows.get_column("Metadata_Object_Count", default=pl.Series([None] * rows.height, dtype=pl.Int64))
        kept = rows.filter(counts.fill_null(1) > 0)
        with_profile = without_excluded(kept, exclusions_of(screen.path)).height
    excluded = wells.height - without_excluded(wells, exclusions_of(screen.path)).height
    imaged = wells["has_images"]
    return {
        "wells_on_plate_map": int(wells["is_annotated"].sum()),
        "wells_with_images": None if imaged.null_count() == len(imaged) else int(imaged.sum()),
        "wells_with_profiles": with_profile,
        "wells_excluded": excluded or None,
    }


def _measured(screen: Screen) -> int | None:
    """Count the features of the single cells; None if there is no table of cells."""
    if "cell" not in screen.tables():
        return None
    return sum(not name.startswith("Metadata_") for name in screen.table("cell").collect_schema().names())


def screen_summary(screen: Screen) -> dict[str, Any]:
    """Return the main numbers of a screen.

    ``scores`` holds the rows of the table ``score``: each score with its interval and the number of treatments that it
    is computed from, and beside it those without morphology.
    """
    tables = set(screen.tables())
    summary: dict[str, Any] = {
        "plates": _count(screen, "plate"),
        **_wells(screen),
        "fields": _count(screen, "site"),
        "images": _count(screen, "image"),
        "cells": _count(screen, "cell"),
        "features_measured": _measured(screen),
        "treatments": _count(screen, "profile_consensus"),
    }
    if "image_quality" in tables:
        flagged = screen.table("image_quality").filter("is_flagged")
        summary["flagged_fields"] = int(flagged.select(SITE_KEY).unique().select(pl.len()).collect().item())
    if "activity" in tables:
        active = (
            screen.table("activity")
            .select(pl.col("below_corrected_p").sum(), pl.col("p_value").count().alias("n"))
            .collect()
        )
        summary["active_treatments"] = int(active["below_corrected_p"][0] or 0)
        summary["tested_treatments"] = int(active["n"][0])
    if "score" in tables:
        summary["scores"] = screen.table("score").sort("score", "baseline").collect().to_dicts()
    return summary
