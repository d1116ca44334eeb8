"""Rows on their way into a screen: what is derived from them, and which have their keys."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoprint.errors import SchemaError, first_few
from phenoprint.exchange.cleaning.counts import counted
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.sources.levels import parse_gallery_name
from phenoprint.exchange.sources.source import Source
from phenoprint.exchange.writers.plates import NOT_A_KEY
from phenoprint.exchange.writers.tables import Import
from phenoprint.plates import match_columns
from phenoprint.tables import PLATE, WELL

__all__ = ["derived", "placed", "refuse_empty", "require_treatment"]

_OF_TREATMENTS: Final = frozenset(("pert_type", "compound", "concentration", "moa", "solvent"))
# Folders of the Gallery's layout that may stand where a batch does.
_NO_BATCH: Final = frozenset(("profiles", "backend", "analysis", "workspace", "data", "tmp", "home"))


def refuse_empty(job: Import, source: Source, n_sources: int) -> None:
    """Refuse a source without rows if it is the only one; note it otherwise."""
    message = f"{source.path} has column names but no rows; export it again, or leave it out"
    if n_sources == 1:
        raise SchemaError(message)
    job.findings.note("file_not_used", source.path.name, 1, source=str(source.path), detail=message)


def derived(frame: pl.DataFrame, findings: Findings, source: Source) -> pl.DataFrame:
    """Give profiles their number of cells and their batch, where they say it in other words."""
    name = str(source.path)
    known = [n for n in frame.columns if n.startswith("Metadata_")]
    made: list[pl.Series] = []
    if "Metadata_Object_Count" not in known:
        for other in ("Metadata_Count_Cells", "Metadata_number_of_singlecells", "Metadata_Count_Nuclei"):
            if other in known and (n := frame[other].cast(pl.Int64, strict=False)).null_count() < frame.height:
                made.append(n.alias("Metadata_Object_Count"))
                findings.note("derived_column", made[-1].name, frame.height, source=name, detail=f"from {other}")
                break
    plate_folder = source.path.parent
    if "Metadata_Batch" not in known and plate_folder.name == parse_gallery_name(source.path.name).stem:
        batch = plate_folder.parent.name
        if batch and batch not in _NO_BATCH:
            made.append(pl.Series("Metadata_Batch", [batch] * frame.height, dtype=pl.String))
            findings.note("derived_column", "Metadata_Batch", frame.height, source=name, detail=f"folder {batch}")
    return frame.select(known).hstack(made).hstack(frame.select(pl.exclude(known))) if made else frame


def require_treatment(frame: pl.DataFrame, source: Source) -> None:
    """Refuse a table that says neither which wells nor which treatments its rows are.

    Raises
    ------
    SchemaError
        If no column names a compound, gene, dose, mechanism or kind of control.
    """
    named = [n for n in frame.columns if n.startswith("Metadata_")]
    if "Metadata_perturbation" in named or set(match_columns(named)) & _OF_TREATMENTS:
        return
    raise SchemaError(
        f"{source.path}: its rows have neither plate and well nor a treatment, so nothing can be said of them; found "
        f"{', '.join(named) or 'no metadata'}. Say which column it is: --column Plate=... --column Well=... for wells, "
        "--column compound=... for treatments (columns={'Metadata_Well': ...})"
    )


def placed(frame: pl.DataFrame, table: str, job: Import, source: Source) -> pl.DataFrame:
    """Give the rows that have their keys and a real well; the others are an error, or counted as lost."""
    keys = [PLATE, WELL] if table != "cell" else [PLATE, WELL, "Metadata_Site", "Metadata_ObjectNumber"]
    absent = [key for key in keys if key not in frame.columns]
    if absent:
        names = [n for n in frame.columns if n.startswith("Metadata_")]
        named = first_few(names, 15)
        raise SchemaError(
            f"{source.path}: no {', '.join(absent)}; found {named or 'no metadata'}. Say which column it is "
            f"(columns={{{absent[0]!r}: '...'}}, --column {absent[0]}=...) or fix it (fixed=..., --set {absent[0]}=...)"
        )
    is_well = pl.col(WELL).str.contains(r"^(?:[A-Z]|A[A-F])\d{2}$").fill_null(value=False)
    has_keys = pl.all_horizontal(pl.col(keys).is_not_null()) & is_well
    lost = frame.filter(~has_keys)
    unit = "cells" if table == "cell" else "wells"
    # CellProfiler's own ledger counts its cells as read already; what is lost here is then a step of its own.
    is_counted = source.kind == "cellprofiler"
    ledger = job.ledgers.setdefault(table, [])
    step = "import" if table == "cell" else f"import {table}"
    if not lost.height:
        ledger.extend([] if is_counted else [counted(frame, unit, step=step)])
        return frame
    example = ", ".join(f"{key} {lost[key][0]!r}" for key in keys)
    if odd := job.findings.detail(NOT_A_KEY):
        example += f" ({odd})"
    if not job.partial:
        raise SchemaError(
            f"{source.path}: {lost.height} of {frame.height} rows have no {', '.join(keys[:-1])} or {keys[-1]} that "
            f"can be used, such as {example}; correct them, or leave them out with partial=True (--partial)"
        )
    detail = f"rows without a usable key, such as {example}; not imported"
    job.findings.note("rows_without_key", None, lost.height, source=str(source.path), detail=detail)
    kept = frame.filter(has_keys)
    places = lost.with_columns(pl.when(is_well).then(pl.col(WELL)).alias(WELL))
    lost_in = "import keys" if is_counted else step
    ledger.append(counted(places, unit, lost="no usable plate, well, site or object", step=lost_in))
    ledger.extend([] if is_counted else [counted(kept, unit, step=step)])
    return kept
