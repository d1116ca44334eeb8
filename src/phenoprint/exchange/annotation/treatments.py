"""Tables of treatments, one row per compound or per compound and concentration, joined to the wells that hold them.

They hold mechanism, target and the like. The Broad's tables are joined by ``broad_sample``, JUMP's by
``Metadata_JCP2022``, others by the compound's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.annotation.plate_maps import read_map_file
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import MISSING
from phenoprint.plates import PlateFormat, match_columns, parse_plate_map, read_tables
from phenoprint.tables import COMPOUND, DOSE, DOSE_UNIT, PLATE, WELL, WELL_KEY

__all__ = ["Treatments", "as_wells", "join_treatments", "read_treatments"]

# Columns that a plate map has even where the file has none of them.
_ADDED: Final = {"batch": "Metadata_Batch", "pert_type": "Metadata_pert_type", "moa": "Metadata_moa"}


@dataclass(frozen=True, slots=True)
class Treatments:
    """A table of treatments.

    Parameters
    ----------
    source
        Its file.
    frame
        One row per treatment: ``Metadata_*`` columns, with the standard ones for compound, dose, unit and mechanism.
    has_dose
        Whether each dose of a compound has a row.
    """

    source: str
    frame: pl.DataFrame
    has_dose: bool


def as_wells(n: int) -> pl.DataFrame:
    """Assign a plate and well to each of `n` rows that have none, so that they can be read like a plate map."""
    grid = [str(well) for well in PlateFormat.of(1536).wells()]
    return pl.DataFrame(
        {PLATE: [f"rows {k // len(grid)}" for k in range(n)], WELL: [grid[k % len(grid)] for k in range(n)]}
    )


def read_treatments(given: str | Path | pl.DataFrame) -> Treatments:
    """Read a table of treatments: CSV or TSV, compressed or not, or a spreadsheet.

    Parameters
    ----------
    given
        The file or a frame. Columns are recognised by the names that plate maps use.

    Raises
    ------
    PlateMapError
        If the file cannot be read, a dose cannot be understood, or there is no column of compounds.
    """
    raw = given if isinstance(given, pl.DataFrame) else _read_file(Path(given).expanduser())
    source = "the frame of treatments" if isinstance(given, pl.DataFrame) else str(given)
    roles = match_columns(raw.columns)
    text = raw.select(pl.all().cast(pl.String)).drop(roles[r] for r in ("plate", "well", "row", "col") if r in roles)
    if "compound" not in roles or not text.height:
        raise PlateMapError(
            f"{source}: no column of compounds in it (compound, broad_sample, JCP2022, ...); expected one, "
            f"found {', '.join(raw.columns)}"
        )
    table = parse_plate_map(as_wells(text.height).hstack(text).write_csv(), source=source)
    added = [name for role, name in _ADDED.items() if role not in roles]
    return Treatments(source, table.drop(PLATE, WELL, "Metadata_Row", "Metadata_Col", *added), "concentration" in roles)


def _read_file(path: Path) -> pl.DataFrame:
    """Read a text file, or the one sheet of a spreadsheet that has a column of compounds."""
    tables = read_tables(read_map_file(path), source=str(path), role="compound")
    found = [table for table in tables if "compound" in match_columns(table.names)] if len(tables) > 1 else tables
    if len(found) != 1:
        raise PlateMapError(
            f"{path}: expected one sheet with a column of compounds (compound, broad_sample, JCP2022, ...), found "
            f"{len(found)} among {', '.join(table.source.rpartition(', sheet ')[2] for table in tables)}; keep one"
        )
    return found[0].cells.select(pl.when(~pl.col(found[0].names).is_in(MISSING)).then(pl.col(found[0].names)))


def join_treatments(
    wells: pl.DataFrame, treatments: Treatments, findings: Findings, *, source: str, of: pl.DataFrame | None = None
) -> pl.DataFrame:
    r"""Add the columns of a table of treatments to wells.

    Parameters
    ----------
    wells
        Annotated wells, as `phenoprint.plates.parse_plate_map` returns them.
    treatments
        As `read_treatments` returns them.
    findings
        Takes notes of the columns that are joined by and of treatments that are not in the table.
    source
        Name of the wells in notes.
    of
        Plates and wells that notes count; all by default.

    Returns
    -------
    polars.DataFrame
        The same wells in the same order; the table fills missing values only.

    Raises
    ------
    PlateMapError
        If the table has two different rows of one treatment.

    Examples
    --------
    >>> from phenoprint.plates import parse_plate_map
    >>> wells = parse_plate_map("well,compound\nA1,taxol\n", source="map")
    >>> known = read_treatments(pl.DataFrame({"compound": ["taxol"], "moa": ["tubulin"]}))
    >>> join_treatments(wells, known, Findings(), source="map")["Metadata_moa"].to_list()
    ['tubulin']
    """
    name = _shared_name(wells, treatments)
    keys = [pl.col(name).alias("__name")]
    by_dose = treatments.has_dose and wells[DOSE].null_count() < wells.height
    if by_dose:
        # Four digits, as in the names of treatments: 0.1 + 0.2 and 0.3 are one dose. No dose equals 0.
        keys.append(pl.when(pl.col(DOSE) != 0).then(pl.col(DOSE)).round_sig_figs(4).alias("__dose"))
    key = ["__name", "__dose"][: len(keys)]
    table = treatments.frame.with_columns(keys).filter(pl.col("__name").is_not_null())
    skipped = {*key, name, COMPOUND, DOSE, *(() if by_dose else (DOSE_UNIT,))}
    added = [c for c in table.columns if c not in skipped and table[c].null_count() < table.height]
    table = table.select(*key, *added).unique(maintain_order=True)
    if doubled := table.filter(table.select(key).is_duplicated()).rows(named=True):
        shown = doubled[0]["__name"] + (f" at {doubled[0]['__dose']}" if by_dose else "")
        raise PlateMapError(f"{treatments.source}: it has two different rows of {shown}; keep one")
    joined = wells.with_columns(keys).join(
        table.with_columns(__found=pl.lit(value=True)),
        on=key,
        how="left",
        nulls_equal=True,
        maintain_order="left",
        suffix=" of the table",
    )
    counted = joined if of is None else joined.join(of, on=WELL_KEY, how="semi")
    n_found, absent = counted["__found"].count(), counted.filter(pl.col("__found").is_null())["__name"].drop_nulls()
    by = f"by {name}{' and concentration' if by_dose else ''}"
    if n_found:
        detail = f"with {treatments.source} {by}: {', '.join(added) or 'no further column'}"
        findings.note("treatments_joined", name, n_found, source=source, detail=detail)
    if absent.len():
        detail = f"wells with treatments that {treatments.source} does not have {by}, such as {absent[0]!r}"
        findings.note("treatment_unknown", name, absent.len(), source=source, detail=detail)
    filled = [c for c in added if c in wells.columns]
    return joined.with_columns(pl.coalesce(c, f"{c} of the table").alias(c) for c in filled).drop(
        *key, "__found", *(f"{c} of the table" for c in filled)
    )


def _shared_name(wells: pl.DataFrame, treatments: Treatments) -> str:
    """Find the column of compounds that matches most wells."""
    table = treatments.frame
    names = [c for c in table.columns if c in wells.columns and "compound" in match_columns([c])]
    n_found = {c: int(wells[c].is_in(table[c].drop_nulls().unique().implode()).sum()) for c in names}
    return max(n_found, key=lambda c: n_found[c])
