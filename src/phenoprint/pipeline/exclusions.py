"""Which rows the steps of a run leave out because of exclusions."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoprint.store import concat_ledgers, hash_key, ledger_rows, read_table
from phenoprint.tables import CELL_KEY, WELL_KEY

__all__ = ["exclusion_keys", "exclusion_reasons", "exclusions_of", "lost_by_reason", "well_ledger", "without_excluded"]

# The scopes of exclusions, the widest first: its exclusion is given as the reason.
_SCOPES = {"plate": ("plate", 1), "well": ("well", 2), "site": ("site", 3), "object": ("cell", 4)}


def exclusions_of(root: Path, plate: str | None = None, *, by_hand: bool = False) -> pl.DataFrame:
    """Return the exclusions of a screen, or of one of its plates: those made by hand, and plates that failed.

    Parameters
    ----------
    root
        The screen folder.
    plate
        The plate; None: all.
    by_hand
        Whether plates that plate acceptance excludes are left out. What plates are judged by must not depend on the
        verdict.
    """
    rows = read_table(root, "exclusion")
    if not by_hand:
        rows = pl.concat([rows, _failed_plates(root)], how="diagonal")
    return (rows if plate is None else rows.filter(pl.col("Metadata_Plate") == plate)).collect()


def _failed_plates(root: Path) -> pl.LazyFrame:
    """Return an exclusion for each plate that plate acceptance excludes, with the checks that failed."""
    failed = read_table(root, "plate_acceptance").filter(pl.col("is_excluded").fill_null(value=False))
    checks = pl.col("criterion").sort().str.join(", ")
    return failed.group_by("Metadata_Plate").agg(
        pl.lit("plate").alias("scope"), pl.format("plate acceptance failed ({})", checks).alias("reason")
    )


def exclusion_keys(root: Path) -> dict[str, str]:
    """Return a key for every plate with exclusions by hand; it changes with the rows left out and with the reasons."""
    rows = exclusions_of(root, by_hand=True).select("scope", *CELL_KEY, "reason").sort(pl.all(), nulls_last=True)
    return {str(plate): hash_key(group.rows()) for (plate,), group in rows.group_by("Metadata_Plate")}


def exclusion_reasons(frame: pl.DataFrame, exclusions: pl.DataFrame) -> pl.Series:
    """Return why each row is left out; NULL where it counts.

    Parameters
    ----------
    frame
        Rows of wells, sites or cells. The exclusion of a part of a row does not leave it out.
    exclusions
        Rows of the table ``exclusion``.

    Examples
    --------
    >>> wells = pl.DataFrame({"Metadata_Plate": ["P1", "P1"], "Metadata_Well": ["A01", "A02"]})
    >>> from phenoprint.tables import frame_of
    >>> row = {"scope": ["well"], "Metadata_Plate": ["P1"], "Metadata_Well": ["A02"], "reason": ["dust"]}
    >>> rows = pl.concat([frame_of("exclusion"), pl.DataFrame(row)], how="diagonal")
    >>> exclusion_reasons(wells, rows).to_list()
    [None, 'well excluded: dust']
    """
    keys = [name for name in CELL_KEY if name in frame.columns]
    found = frame.select(keys).with_columns(pl.lit(None, pl.String).alias("_reason"))
    for scope, (word, depth) in _SCOPES.items():
        rows = exclusions.filter(pl.col("scope") == scope)
        if rows.is_empty() or tuple(keys[:depth]) != CELL_KEY[:depth]:
            continue
        of_level = rows.group_by(CELL_KEY[:depth]).agg(
            pl.format("{} excluded: {}", pl.lit(word), pl.col("reason").sort().first()).alias("_excluded")
        )
        found = (
            found.join(of_level, on=CELL_KEY[:depth], how="left", maintain_order="left")
            .with_columns(pl.coalesce("_reason", "_excluded").alias("_reason"))
            .drop("_excluded")
        )
    return found["_reason"]


def without_excluded(frame: pl.DataFrame, exclusions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that count."""
    return frame if exclusions.is_empty() else frame.filter(exclusion_reasons(frame, exclusions).is_null())


def lost_by_reason(rows: pl.DataFrame) -> dict[str, int]:
    """Count the rows by the column ``_reason``, without those where it is NULL.

    Examples
    --------
    >>> lost_by_reason(pl.DataFrame({"_reason": ["well excluded: dust", None, "well excluded: dust"]}))
    {'well excluded: dust': 2}
    """
    return dict(rows.drop_nulls("_reason").group_by("_reason").len().sort("_reason").iter_rows())


def well_ledger(wells: pl.DataFrame, exclusions: pl.DataFrame) -> pl.DataFrame:
    """Return ledger rows for the wells of imported profiles, on the plates with exclusions.

    Profiles that a run makes lose excluded wells when their cells are aggregated. Imported profiles keep their rows,
    and the first step that reads them leaves out the excluded ones.
    """
    here = wells.filter(pl.col("Metadata_Plate").is_in(exclusions["Metadata_Plate"].unique().implode()))
    here = here.with_columns(exclusion_reasons(here, exclusions).alias("_reason")).sort(WELL_KEY)
    return concat_ledgers(
        [
            ledger_rows("exclusion", plate, well, unit_of_count="wells", n_in=1, lost={reason: 1} if reason else {})
            for plate, well, reason in here.select(*WELL_KEY, "_reason").iter_rows()
        ]
    )
