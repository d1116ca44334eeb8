"""What is known of treatments apart from plates: a table of compounds joined to the wells that hold them.

The field calls it external metadata: one row per compound, or per compound and concentration, with mechanism,
target and the like. The Broad's tables are joined by ``broad_sample``, JUMP's by ``Metadata_JCP2022``, others by the
compound's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.compressed import compression
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import MISSING
from phenoprint.exchange.sources.text import read_columns_of_text
from phenoprint.plates import (
    COLUMNS,
    LINE,
    PlateFormat,
    as_sheet,
    column_key,
    is_workbook,
    match_columns,
    parse_plate_map,
    read_workbook,
)
from phenoprint.tables import WELL_KEY

__all__ = ["Treatments", "as_wells", "join_treatments", "read_treatments"]

COMPOUND, DOSE, UNIT = "Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit"
_PLACES = (*WELL_KEY, "Metadata_Row", "Metadata_Col")


@dataclass(frozen=True, slots=True)
class Treatments:
    """A table of treatments.

    Parameters
    ----------
    source
        Where it is from.
    frame
        One row per treatment: ``Metadata_*`` columns, with the field's own for compound, dose, unit and mechanism.
    has_dose
        Whether doses of a compound are rows of their own.
    """

    source: str
    frame: pl.DataFrame
    has_dose: bool


def as_wells(n: int) -> pl.DataFrame:
    """Give rows that stand in no well a place each, so that they can be read as a plate map is."""
    grid = [str(well) for well in PlateFormat.of(1536).wells()]
    return pl.DataFrame(
        {
            "Metadata_Plate": [f"rows {k // len(grid)}" for k in range(n)],
            "Metadata_Well": [grid[k % len(grid)] for k in range(n)],
        }
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
        If a dose cannot be understood, or nothing is said of any treatment.
    SchemaError
        If the file cannot be read.
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
    table = parse_plate_map(as_wells(text.height).hstack(text).write_csv(), source=source).drop(_PLACES)
    unsaid = [name for role, name in _UNSAID.items() if role not in roles]
    return Treatments(source, table.drop(unsaid), "concentration" in roles)


def _read_file(path: Path) -> pl.DataFrame:
    """Read the columns of a text file, or of the one sheet of a spreadsheet that names compounds."""
    if path.is_file() and compression(path) not in (None, "zip"):
        return read_columns_of_text(path)
    content = path.read_bytes() if path.is_file() else b""
    if not is_workbook(content):
        return read_columns_of_text(path)
    found = {}
    sheets = [sheet for sheet in read_workbook(content, source=str(path)) if not sheet.is_hidden]
    for sheet in sheets:
        heads = (i for i, (_, cells) in enumerate(sheet.rows[:60]) if "compound" in match_columns(filter(None, cells)))
        if (head := next(heads, None)) is not None:
            table = as_sheet(sheet.rows[head:], source=f"{path}, sheet {sheet.name!r}").cells.drop(LINE)
            found[sheet.name] = table.with_columns(pl.when(~pl.all().is_in(MISSING)).then(pl.all()))
    if len(found) != 1:
        raise PlateMapError(
            f"{path}: expected one sheet with a column of compounds (compound, broad_sample, JCP2022, ...), found "
            f"{len(found)} among {', '.join(repr(sheet.name) for sheet in sheets) or 'none that is shown'}; keep one"
        )
    return next(iter(found.values()))


# What a plate map has even if nothing was said of it.
_UNSAID = {"batch": "Metadata_Batch", "pert_type": "Metadata_pert_type", "moa": "Metadata_moa"}


def join_treatments(
    wells: pl.DataFrame, treatments: Treatments, findings: Findings, *, source: str, of: pl.DataFrame | None = None
) -> pl.DataFrame:
    r"""Give wells what is known of their treatments.

    Parameters
    ----------
    wells
        Annotated wells, as `phenoprint.plates.parse_plate_map` gives them.
    treatments
        As `read_treatments` gives them.
    findings
        Takes notes of what the join rests on and of treatments that are not in the table.
    source
        What to call the wells in notes.
    of
        Plates and wells that notes name; all by default.

    Returns
    -------
    polars.DataFrame
        The same wells in the same order; what the table says of a treatment fills what the wells do not say.

    Raises
    ------
    PlateMapError
        If the table says two things of one treatment.

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
        # Four digits, as in the names of treatments: 0.1 + 0.2 and 0.3 are one dose. No dose and 0 are one, too.
        keys.append(pl.when(pl.col(DOSE) != 0).then(pl.col(DOSE)).round_sig_figs(4).alias("__dose"))
    key = ["__name", "__dose"][: len(keys)]
    table = treatments.frame.with_columns(keys).filter(pl.col("__name").is_not_null())
    skipped = {*key, name, COMPOUND, DOSE, *(() if by_dose else (UNIT,))}
    added = [c for c in table.columns if c not in skipped and table[c].null_count() < table.height]
    table = table.select(*key, *added).unique(maintain_order=True)
    if doubled := table.filter(table.select(key).is_duplicated()).rows(named=True):
        shown = doubled[0]["__name"] + (f" at {doubled[0]['__dose']}" if by_dose else "")
        raise PlateMapError(f"{treatments.source}: it says two things of {shown}; keep one row of it")
    joined = wells.with_columns(keys).join(
        table.with_columns(__found=pl.lit(value=True)),
        on=key,
        how="left",
        nulls_equal=True,
        maintain_order="left",
        suffix=" of the table",
    )
    spoken = joined if of is None else joined.join(of, on=list(_PLACES[:2]), how="semi")
    n_found, absent = spoken["__found"].count(), spoken.filter(pl.col("__found").is_null())["__name"].drop_nulls()
    by = f"by {name}{' and concentration' if by_dose else ''}"
    if n_found:
        detail = f"with {treatments.source} {by}: {', '.join(added) or 'it says nothing more'}"
        findings.note("treatments_joined", name, n_found, source=source, detail=detail)
    if absent.len():
        detail = f"wells with treatments that {treatments.source} does not have {by}, such as {absent[0]!r}"
        findings.note("treatment_unknown", name, absent.len(), source=source, detail=detail)
    filled = [c for c in added if c in wells.columns]
    return joined.with_columns(pl.coalesce(c, f"{c} of the table").alias(c) for c in filled).drop(
        *key, "__found", *(f"{c} of the table" for c in filled)
    )


def _shared_name(wells: pl.DataFrame, treatments: Treatments) -> str:
    """Find the column that names treatments on both sides: the one that most wells are found by."""
    table = treatments.frame
    names = [c for c in table.columns if c in wells.columns and column_key(c) in COLUMNS["compound"]]
    n_found = {c: int(wells[c].is_in(table[c].drop_nulls().unique().implode()).sum()) for c in names}
    return max(n_found, key=lambda c: n_found[c])
