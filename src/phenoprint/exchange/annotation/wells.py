"""Wells, plates and treatments of imported tables, with the names of a screen.

Published tables contain their plate map under various names (``Metadata_broad_sample``, ``Metadata_mmoles_per_liter``,
``Metadata_control_type``, ...). It is read like any plate map, so that kinds of wells, compounds and doses get the
standard names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.annotation.treatments import Treatments, as_wells, join_treatments
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import measured_columns
from phenoprint.plates import PlateFormat, expand_plate_map, match_columns, parse_plate_map, perturbation_id, well_table
from phenoprint.tables import WELL_KEY, metadata_columns

__all__ = [
    "annotate_rows",
    "annotate_treatments",
    "constant_metadata",
    "merge_wells",
    "metadata_of_wells",
    "plate_row",
    "well_rows",
]

CANONICAL = (
    "Metadata_Row",
    "Metadata_Col",
    "Metadata_Batch",
    "Metadata_pert_type",
    "Metadata_compound",
    "Metadata_Concentration",
    "Metadata_Concentration_Unit",
    "Metadata_moa",
)
# Roles that describe the contents of wells, with the columns that they are read into.
_CONTENTS = {
    "pert_type": "Metadata_pert_type",
    "compound": "Metadata_compound",
    "concentration": "Metadata_Concentration",
    "moa": "Metadata_moa",
}
_NOT_OF_WELL = (
    "Metadata_Site",
    "Metadata_ObjectNumber",
    "Metadata_ImageNumber",
    "Metadata_TableNumber",
    "Metadata_Object_Count",
    "Metadata_Site_Count",
    "Metadata_Row",
    "Metadata_Col",
    "Metadata_perturbation",
)


def well_rows(
    rows: pl.DataFrame,
    plate_map: pl.DataFrame | None,
    findings: Findings,
    *,
    source: str,
    treatments: Treatments | None = None,
) -> pl.DataFrame:
    """Make the rows of table ``well`` of one plate: every well of the rows and of the map.

    Parameters
    ----------
    rows
        Cells or profiles of the plate; their ``Metadata_*`` columns are used.
    plate_map
        As `parse_plate_map` returns it; None takes the annotation from the rows.
    findings
        Takes notes where map and rows disagree, or the annotation cannot be understood.
    source
        Name of the rows in notes.
    treatments
        A table of treatments, joined to the annotation.
    """
    wells = constant_metadata(rows)
    plate = str(wells["Metadata_Plate"][0])
    own = wells.select(*WELL_KEY, pl.exclude(*WELL_KEY))
    if plate_map is None:
        annotation = _own_annotation(own, findings, source)
    else:
        annotation = expand_plate_map(plate_map, [plate]).filter(pl.col("Metadata_Plate") == plate)
        _compare(own, annotation, findings, source)
    if treatments is not None and annotation is not None and annotation.height:
        annotation = join_treatments(annotation, treatments, findings, source=source, of=own.select(WELL_KEY))
    table = well_table(own.select(WELL_KEY), annotation)
    extra = [name for name in own.columns if name not in table.columns or table[name].null_count() == table.height]
    joined = table.drop([n for n in extra if n in table.columns]).join(
        own.select(*WELL_KEY, *extra), on=WELL_KEY, how="left"
    )
    known = joined["Metadata_Batch"].drop_nulls().unique() if "Metadata_Batch" in joined.columns else pl.Series([])
    if known.len() < 2:  # wells that only the map has are of the plate's batch
        joined = joined.with_columns(pl.lit(known[0] if known.len() else None, pl.String).alias("Metadata_Batch"))
    return joined.with_columns(pl.lit(None, pl.Boolean).alias("has_images")).sort(WELL_KEY)


def constant_metadata(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per well with the metadata that are equal in all its rows."""
    names = [
        name
        for name in rows.columns
        if name.startswith("Metadata_")
        and name not in (*WELL_KEY, *_NOT_OF_WELL)
        and not name.startswith(("Metadata_Count_", "Metadata_number_of"))
    ]
    described = rows.select(*WELL_KEY, *names)
    if described.select(WELL_KEY).is_duplicated().any():
        varied = described.group_by(WELL_KEY).agg(pl.col(names).drop_nulls().n_unique()).select(pl.col(names).max())
        names = [name for name in names if (varied[name][0] or 0) <= 1]
        described = described.group_by(WELL_KEY).agg(pl.col(names).drop_nulls().first())
    return described.select(*WELL_KEY, *names).sort(WELL_KEY)


def metadata_of_wells(wells: Mapping[str, pl.DataFrame], sites: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Join the metadata that are constant in every well of a plate of cells (`constant_metadata`).

    Where no well has two sites, metadata of sites cannot be distinguished from those of wells; then only columns of
    the annotation are taken.
    """
    shared = set.intersection(*(set(frame.columns) for frame in wells.values()))
    whole = pl.concat(wells.values(), how="diagonal_relaxed")
    if max(len(names) for names in sites.values()) < 2:
        shared &= {*WELL_KEY, *CANONICAL, *match_columns(whole.columns).values()}
    return whole.select(name for name in whole.columns if name in shared)


def _own_annotation(wells: pl.DataFrame, findings: Findings, source: str) -> pl.DataFrame | None:
    """Read the metadata of wells as a plate map; return None if they do not describe contents or cannot be read."""
    roles = match_columns(wells.columns)
    contents = [roles[role] for role in (*_CONTENTS, "solvent") if role in roles]
    # A blank cell of a plate map is an empty well; in profiles it is a well without annotation.
    annotated = wells.filter(pl.any_horizontal(pl.col(contents).is_not_null())) if contents else wells.clear()
    if annotated.is_empty():
        return None
    plain = annotated.select(pl.all().cast(pl.String))
    without = plain.drop(roles["pert_type"]) if "pert_type" in roles else None
    for attempt in (plain, without):
        if attempt is None:
            continue
        try:
            found = parse_plate_map(attempt.write_csv(), source=f"annotation in {source}")
        except PlateMapError as error:
            findings.note("annotation", None, wells.height, source=source, detail=str(error))
        else:
            _note_roles(attempt, found, findings, source)
            return found
    return None


def _note_roles(given: pl.DataFrame, found: pl.DataFrame, findings: Findings, source: str) -> None:
    """Note the column that each standard column was read from, and how words were read."""
    roles = match_columns(given.columns)
    for role, name in _CONTENTS.items():
        column, filled = roles.get(role), found[name].drop_nulls()
        if not filled.len() or column == name:
            continue
        if column is None and role != "pert_type":
            continue
        detail = f"from {column}" if column else "from the compound"
        if role == "pert_type":
            counts = filled.value_counts(sort=True, name="n")
            words = given.select(WELL_KEY[1], word=pl.lit(None, pl.String) if column is None else pl.col(column)).join(
                found.select(WELL_KEY[1], role=pl.col(name)), on=WELL_KEY[1]
            )
            pairs = words.filter(pl.col("word").is_not_null() & (pl.col("word") != pl.col("role")))
            read = [f"{word} is {kind}" for word, kind in pairs.select("word", "role").unique().sort("word").rows()]
            blank = column is not None and words["word"].null_count()
            detail += f" ({', '.join(read[:8])})" if read else ""
            detail += ", from the compound where it is blank" if blank else ""
            detail += f": {', '.join(f'{n} {kind}' for kind, n in counts.sort('n', name).rows())}"
        findings.note("derived_column", name, filled.len(), source=source, detail=detail)


def _compare(own: pl.DataFrame, annotation: pl.DataFrame, findings: Findings, source: str) -> None:
    """Note wells that are on one side only and values that differ between the two."""
    for kind, left, right in (("profiled_not_mapped", own, annotation), ("mapped_not_profiled", annotation, own)):
        alone = left.join(right, on=WELL_KEY, how="anti")
        if alone.height:
            wells = ", ".join(alone["Metadata_Well"].sort().head(5))
            findings.note(kind, "Metadata_Well", alone.height, source=source, detail=f"such as {wells}")
    shared = [name for name in own.columns if name in annotation.columns and name not in WELL_KEY]
    both = own.join(annotation, on=WELL_KEY, how="inner", suffix=" of the map")
    for name in shared:
        one, other = both[name].cast(pl.String), both[f"{name} of the map"].cast(pl.String)
        differ = (one != other).fill_null(value=False)
        if differ.any():
            detail = (
                f"{one.filter(differ)[0]!r} in the table, {other.filter(differ)[0]!r} in the plate map, which is taken"
            )
            findings.note("conflict", name, int(differ.sum()), source=source, detail=detail)


def annotate_rows(rows: pl.DataFrame, wells: pl.DataFrame) -> pl.DataFrame:
    """Add the annotation of wells and ``Metadata_perturbation`` to the profiles of one plate."""
    added = [name for name in metadata_columns(wells) if name not in WELL_KEY]
    table = wells.select(*WELL_KEY, *added).with_columns(perturbation_id(wells))
    bare = rows.drop([name for name in (*added, "Metadata_perturbation") if name in rows.columns])
    joined = bare.join(table, on=WELL_KEY, how="left", maintain_order="left")
    described = [name for name in metadata_columns(joined) if name not in WELL_KEY]
    return joined[[*WELL_KEY, *described, *measured_columns(joined)]]


def annotate_treatments(
    rows: pl.DataFrame, findings: Findings, *, source: str, treatments: Treatments | None = None
) -> pl.DataFrame:
    """Add ``Metadata_perturbation`` and the columns of its parts to profiles of treatments (level 5).

    `treatments` is a table that is joined to them; notes name the rows as `source`.
    """
    described = metadata_columns(rows)
    # A plate map is read by wells, so each treatment gets one while it is read.
    places = as_wells(rows.height)
    skipped = {*WELL_KEY, *_NOT_OF_WELL, "Metadata_Replicate_Count"}
    kept = [n for n in described if n not in skipped and not n.startswith("Metadata_Count_")]
    annotation = _own_annotation(places.hstack(rows.select(kept)), findings, source)
    if annotation is None:
        return rows
    added: list[str] = []
    if treatments is not None:
        before = set(annotation.columns)
        annotation = join_treatments(annotation, treatments, findings, source=source)
        added = [name for name in annotation.columns if name not in before and name not in described]
    table = annotation.with_columns(perturbation_id(annotation))
    table = table.select("Metadata_perturbation", *CANONICAL[3:], *added, *WELL_KEY)
    found = places.join(table, on=WELL_KEY, how="left", maintain_order="left").drop(WELL_KEY)
    named = rows.drop([name for name in found.columns if name in described]).hstack(found)
    order = [name for name in metadata_columns(named) if name != "Metadata_perturbation"]
    return named.select("Metadata_perturbation", *order, *measured_columns(named))


def plate_row(wells: pl.DataFrame, n_sites: int | None) -> pl.DataFrame:
    """Make the row of table ``plate`` of one plate; columns of images stay NULL."""
    batches = wells["Metadata_Batch"].drop_nulls().unique()
    return pl.DataFrame(
        {
            "Metadata_Plate": wells["Metadata_Plate"][:1],
            "Metadata_Batch": pl.Series([batches[0] if batches.len() == 1 else None], dtype=pl.String),
            "plate_format": pl.Series([PlateFormat.infer(wells["Metadata_Well"].to_list()).n_wells], dtype=pl.Int32),
            "n_wells_annotated": pl.Series([int(wells["is_annotated"].sum())], dtype=pl.Int32),
            "n_sites": pl.Series([n_sites], dtype=pl.Int32),
        }
    )


def merge_wells(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Merge rows of table ``well`` that a screen has with those of an import, whose values have priority."""
    if held.is_empty():
        return fresh
    names: Sequence[str] = [n for n in fresh.columns if n in held.columns and n not in WELL_KEY]
    both = fresh.join(held, on=WELL_KEY, how="full", coalesce=True, suffix=" held")
    merged = [pl.coalesce(n, f"{n} held").alias(n) for n in names if n != "is_annotated"]
    either = pl.col("is_annotated").fill_null(value=False) | pl.col("is_annotated held").fill_null(value=False)
    return both.with_columns(*merged, either.alias("is_annotated")).drop([f"{n} held" for n in names]).sort(WELL_KEY)
