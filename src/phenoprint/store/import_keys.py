"""The keys of imported rows: every cell has plate, well, site and object, every profile plate and well."""

from __future__ import annotations

import polars as pl

from phenoprint.store.import_findings import Findings

__all__ = ["with_site"]


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
