"""Rows on their way into a screen: derived columns, stable types, and keys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from phenoprint.errors import SchemaError, first_few
from phenoprint.exchange.cleaning.columns import NUMBERS
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.ledgers import counted
from phenoprint.exchange.levels import parse_gallery_name
from phenoprint.exchange.names import metadata_first
from phenoprint.exchange.sources.files import Source
from phenoprint.exchange.writers.job import ImportJob
from phenoprint.plates import match_columns, normalize_wells
from phenoprint.store import Screen
from phenoprint.tables import CELL_KEY, WELL, WELL_KEY, get_table, metadata_columns

__all__ = ["StableTypes", "derived", "placed", "refuse_doubles", "refuse_empty", "require_treatment"]

# Kind of the note on values of a key that cannot be a key.
_NOT_A_KEY: Final = "not_a_key"
_OF_TREATMENTS: Final = frozenset(("pert_type", "compound", "concentration", "moa", "solvent"))
# Folders of the Gallery's layout that may be found in the place of a batch.
_NO_BATCH: Final = frozenset(("profiles", "backend", "analysis", "workspace", "data", "tmp", "home"))


@dataclass(slots=True)
class StableTypes:
    """Keeps each metadata column of one type over all plates of a table, so that its files can be read together."""

    known: dict[str, pl.DataType]

    @classmethod
    def of_table(cls, screen: Screen, table: str) -> StableTypes:
        """Begin with the types that the table declares and holds."""
        known = {**NUMBERS, **screen.table(table).collect_schema(), **get_table(table).schema}
        return cls({name: dtype for name, dtype in known.items() if name.startswith("Metadata_")})

    def settle(self, frame: pl.DataFrame, findings: Findings, *, source: str) -> pl.DataFrame:
        """Cast metadata to their types; a column that cannot be cast is kept as ``<name>_text``, of a key as NULL."""
        changes: list[pl.Series] = []
        drop: list[str] = []
        for name in metadata_columns(frame):
            given = frame[name]
            wanted = self.known.setdefault(name, given.dtype)
            if given.dtype == wanted:
                continue
            if name in CELL_KEY and given.dtype == pl.String:
                given = given.str.replace(r"\.0+$", "")  # "2.0" beside "2.5" is object 2
            cast = given.cast(wanted, strict=False)
            if cast.null_count() == given.null_count():
                changes.append(cast)
            elif name in CELL_KEY:  # rows without a key are an error, or are counted as lost
                wrong = frame[name].filter(cast.is_null() & frame[name].is_not_null())
                detail = f"such as {wrong[0]!r}, which is no whole number of 32 bits"
                findings.note(_NOT_A_KEY, name, wrong.len(), source=source, detail=detail)
                changes.append(cast)
            else:
                drop.append(name)
                changes.append(frame[name].cast(pl.String).alias(f"{name}_text"))
                detail = f"not all values are {wanted}; kept as {name}_text"
                findings.note("text_column", name, frame.height, source=source, detail=detail)
        return frame.drop(drop).with_columns(changes) if changes else frame


def refuse_empty(job: ImportJob, source: Source, n_sources: int) -> None:
    """Refuse a source without rows if it is the only one; note it otherwise."""
    message = f"{source.path} has column names but no rows; export it again, or leave it out"
    if n_sources == 1:
        raise SchemaError(message)
    job.findings.not_used(source.path, source.path.name, message)


def derived(frame: pl.DataFrame, findings: Findings, source: Source) -> pl.DataFrame:
    """Give profiles their number of cells and their batch, where other columns or the folder have them."""
    name = str(source.path)
    known = metadata_columns(frame)
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
    return metadata_first(frame.hstack(made)) if made else frame


def require_treatment(frame: pl.DataFrame, source: Source) -> None:
    """Refuse a table that names neither wells nor treatments: no compound, gene, dose, mechanism or control."""
    named = metadata_columns(frame)
    if "Metadata_perturbation" in named or set(match_columns(named)) & _OF_TREATMENTS:
        return
    raise SchemaError(
        f"{source.path}: its rows have neither plate and well nor a treatment; found "
        f"{', '.join(named) or 'no metadata'}. Name the columns: --column Plate=... --column Well=... for wells, "
        "--column compound=... for treatments (columns={'Metadata_Well': ...})"
    )


def placed(frame: pl.DataFrame, table: str, job: ImportJob, source: Source) -> pl.DataFrame:
    """Return the rows that have their keys and a real well; the others are an error, or counted as lost."""
    keys = CELL_KEY if table == "cell" else WELL_KEY
    absent = [key for key in keys if key not in frame.columns]
    if absent:
        named = first_few(metadata_columns(frame), 15)
        raise SchemaError(
            f"{source.path}: no {', '.join(absent)}; found {named or 'no metadata'}. Name the column "
            f"(columns={{{absent[0]!r}: '...'}}, --column {absent[0]}=...) or fix it (fixed=..., --set {absent[0]}=...)"
        )
    # Cleaning spells every well as A01; what is spelled otherwise is no well.
    is_well = (normalize_wells(frame[WELL], strict=False) == frame[WELL]).fill_null(value=False)
    has_keys = frame.select(pl.all_horizontal(pl.col(keys).is_not_null()) & is_well).to_series()
    lost = frame.filter(~has_keys)
    unit = "cells" if table == "cell" else "wells"
    # CellProfiler's own ledger counts its cells already; what is lost here is then a step of its own.
    is_counted = source.kind == "cellprofiler"
    ledger = job.ledgers.setdefault(table, [])
    step = "import" if table == "cell" else f"import {table}"
    if not lost.height:
        ledger.extend([] if is_counted else [counted(frame, unit, step=step)])
        return frame
    example = ", ".join(f"{key} {lost[key][0]!r}" for key in keys)
    if odd := job.findings.detail(_NOT_A_KEY):
        example += f" ({odd})"
    if not job.partial:
        raise SchemaError(
            f"{source.path}: {lost.height} of {frame.height} rows have no {', '.join(keys[:-1])} or {keys[-1]} that "
            f"can be used, such as {example}; correct them, or leave them out with partial=True (--partial)"
        )
    detail = f"rows without a usable key, such as {example}; not imported"
    job.findings.note("rows_without_key", None, lost.height, source=str(source.path), detail=detail)
    kept = frame.filter(has_keys)
    places = lost.with_columns(pl.when(is_well.filter(~has_keys)).then(pl.col(WELL)).alias(WELL))
    lost_in = "import keys" if is_counted else step
    ledger.append(counted(places, unit, lost="no usable plate, well, site or object", step=lost_in))
    ledger.extend([] if is_counted else [counted(kept, unit, step=step)])
    return kept


def refuse_doubles(rows: pl.DataFrame, table: str, findings: Findings, *, sources: Collection[str]) -> None:
    """Refuse two rows with the key of a table, and name a column that distinguishes them."""
    key = list(get_table(table).key)
    doubled = rows.filter(rows.select(key).is_duplicated())
    if doubled.is_empty():
        return
    example = ", ".join(f"{name} {doubled[name][0]!r}" for name in key)
    others = [name for name in metadata_columns(rows) if name not in key]
    able = [name for name in others if not doubled.select(*key, name).is_duplicated().any()]
    # A running number of rows would do as well, but a replicate has few values.
    best = min(able, key=lambda name: doubled[name].n_unique(), default=None)
    if best is not None:
        plate, other = (findings.originals.get(name, name) for name in (key[0], best))
        hint = f"{other} distinguishes them: join it to the plate with --column Plate={plate}+{other} (columns=...)"
    elif len(sources) > 1:
        hint = "import one of these sources only, or give their plates names of their own (--set, --column)"
    else:
        hint = "each may occur once; remove the repeated rows"
    raise SchemaError(
        f"{', '.join(sorted(sources)[:3])}: {doubled.height} of {rows.height} rows share a key "
        f"({', '.join(key)}), such as {example}; {hint}"
    )
