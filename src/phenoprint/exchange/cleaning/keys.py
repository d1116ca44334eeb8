"""The keys of imported rows: every cell has plate, well, site and object, every profile plate and well."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from phenoprint.errors import SchemaError
from phenoprint.exchange.findings import Findings
from phenoprint.tables import get_table

__all__ = ["refuse_doubles", "with_site"]


def refuse_doubles(rows: pl.DataFrame, table: str, findings: Findings, *, sources: Collection[str]) -> None:
    """Refuse two rows of one key, and say which column might tell them apart.

    Parameters
    ----------
    rows
        Rows of a plate or well, all with their keys.
    table
        Table they are for.
    findings
        Knows what columns were called in their source.
    sources
        Where the rows are from.

    Raises
    ------
    SchemaError
        If two rows share the table's key.
    """
    key = list(get_table(table).key)
    doubled = rows.filter(rows.select(key).is_duplicated())
    if doubled.is_empty():
        return
    example = ", ".join(f"{name} {doubled[name][0]!r}" for name in key)
    others = [name for name in rows.columns if name.startswith("Metadata_") and name not in key]
    able = [name for name in others if not doubled.select(*key, name).is_duplicated().any()]
    # A number of its own for every row tells rows apart, too, but a replicate has few values.
    telling = min(able, key=lambda name: doubled[name].n_unique(), default=None)
    if telling is not None:
        plate, other = (findings.originals.get(name, name) for name in (key[0], telling))
        hint = f"{other} tells them apart: join it to the plate with --column Plate={plate}+{other} (columns=...)"
    elif len(sources) > 1:
        hint = "import one of these sources only, or give their plates names of their own (--set, --column)"
    else:
        hint = "each may occur once; take out what is doubled"
    raise SchemaError(
        f"{', '.join(sorted(sources)[:3])}: {doubled.height} of {rows.height} rows share a key "
        f"({', '.join(key)}), such as {example}; {hint}"
    )


def with_site(frame: pl.DataFrame, findings: Findings | None, *, source: str = "") -> pl.DataFrame:
    """Give rows without a site the number of their image as site, with a note.

    Parameters
    ----------
    frame
        Cells or images, cleaned.
    findings
        Takes the note; None for none.
    source
        What to call their source in the note.

    Returns
    -------
    polars.DataFrame
        The same rows; as they were if there is a site or no image number.

    Examples
    --------
    >>> with_site(pl.DataFrame({"Metadata_ImageNumber": ["3"]}), None)["Metadata_Site"].to_list()
    ['3']
    """
    if "Metadata_Site" in frame.columns and frame["Metadata_Site"].null_count() == 0:
        return frame
    parts = [name for name in ("Metadata_TableNumber", "Metadata_ImageNumber") if name in frame.columns]
    if "Metadata_ImageNumber" not in parts:
        return frame
    number = pl.concat_str(parts, separator="-")
    site = pl.coalesce("Metadata_Site", number) if "Metadata_Site" in frame.columns else number
    if findings is not None:
        detail = "no site in the source; its image number stands for it"
        findings.note("derived_column", "Metadata_Site", frame.height, source=source, detail=detail)
    described = [name for name in frame.columns if name.startswith("Metadata_")]
    return frame.with_columns(site.alias("Metadata_Site")).select(
        *dict.fromkeys([*described, "Metadata_Site"]), pl.exclude(*described, "Metadata_Site")
    )
