"""Wells, plates and treatments of what is imported, in the words of a screen.

Published tables carry their plate map along under the names of whoever made them (``Metadata_broad_sample``,
``Metadata_mmoles_per_liter``, ``Metadata_control_type``, ...). It is read as any plate map is, so that roles of wells,
compounds and doses are found under the names that the rest of Phenoprint uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from phenoprint.errors import PlateMapError
from phenoprint.exchange.annotation.treatments import Treatments, as_wells, join_treatments
from phenoprint.exchange.findings import Findings
from phenoprint.plates import PlateFormat, expand_plate_map, match_columns, parse_plate_map, perturbation_id, well_table
from phenoprint.tables import WELL_KEY

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
# Roles without which a table says nothing of what is in its wells.
_TELLING = ("pert_type", "compound", "concentration", "moa")
# The note about it where it stood under another name.
_READ_AS = {
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
    """Make the rows of table ``well`` of one plate.

    Parameters
    ----------
    rows
        Cells or profiles of the plate; their ``Metadata_*`` columns are used.
    plate_map
        As `parse_plate_map` returns it; None takes what the rows say themselves.
    findings
        Takes notes where map and rows disagree, or the annotation cannot be understood.
    source
        What to call the rows in notes.
    treatments
        What is known of treatments apart from plates.

    Returns
    -------
    polars.DataFrame
        Every well of the rows and of the map, with all metadata that are constant in a well; ``has_images`` is NULL,
        because nothing is known of images.
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
    if known.len() < 2:  # a plate is of one batch: wells that only the map names are of it, too
        joined = joined.with_columns(pl.lit(known[0] if known.len() else None, pl.String).alias("Metadata_Batch"))
    return joined.with_columns(pl.lit(None, pl.Boolean).alias("has_images")).sort(WELL_KEY)


def constant_metadata(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per well with the metadata that are the same in all its rows."""
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
    """Put together what is constant in the wells of a plate of cells.

    Parameters
    ----------
    wells
        What `constant_metadata` says of each well.
    sites
        The sites of each well.

    Returns
    -------
    polars.DataFrame
        One row per well with the metadata that are constant in every well. Where no well has two sites, what belongs
        to a site cannot be distinguished from what belongs to a well: then only annotation is taken.
    """
    shared = set.intersection(*(set(frame.columns) for frame in wells.values()))
    whole = pl.concat(wells.values(), how="diagonal_relaxed")
    if max(len(names) for names in sites.values()) < 2:
        shared &= {*WELL_KEY, *CANONICAL, *match_columns(whole.columns).values()}
    return whole.select(name for name in whole.columns if name in shared)


def _own_annotation(wells: pl.DataFrame, findings: Findings, source: str) -> pl.DataFrame | None:
    """Read what a table says of its wells as a plate map; None if it says nothing that can be understood."""
    roles = match_columns(wells.columns)
    telling = [roles[role] for role in (*_TELLING, "solvent") if role in roles]
    # A blank cell of a plate map is an empty well; of profiles, a well that nobody annotated.
    said = wells.filter(pl.any_horizontal(pl.col(telling).is_not_null())) if telling else wells.clear()
    if said.is_empty():
        return None
    plain = said.select(pl.all().cast(pl.String))
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


def _note_roles(said: pl.DataFrame, found: pl.DataFrame, findings: Findings, source: str) -> None:
    """Say which column of a table was taken for what, and how words were read."""
    roles = match_columns(said.columns)
    for role, name in _READ_AS.items():
        column, filled = roles.get(role), found[name].drop_nulls()
        if not filled.len() or column == name:
            continue
        if column is None and role != "pert_type":
            continue
        detail = f"from {column}" if column else "from the compound"
        if role == "pert_type":
            counts = filled.value_counts(sort=True, name="n")
            words = said.select(WELL_KEY[1], word=pl.lit(None, pl.String) if column is None else pl.col(column)).join(
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
    """Note wells that only one side has and values that the two give differently."""
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
    """Give profiles the annotation of their wells, and the name of their treatment.

    Parameters
    ----------
    rows
        Profiles of one plate.
    wells
        As `well_rows` made it.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order; what the well table says stands in place of columns of the same name.
    """
    added = [name for name in wells.columns if name.startswith("Metadata_") and name not in WELL_KEY]
    table = wells.select(*WELL_KEY, *added).with_columns(perturbation_id(wells))
    bare = rows.drop([name for name in (*added, "Metadata_perturbation") if name in rows.columns])
    joined = bare.join(table, on=WELL_KEY, how="left", maintain_order="left")
    described = [name for name in joined.columns if name.startswith("Metadata_")]
    others = [name for name in joined.columns if name not in set(described)]
    return joined[[*WELL_KEY, *(n for n in described if n not in WELL_KEY), *others]]


def annotate_treatments(
    rows: pl.DataFrame, findings: Findings, *, source: str, treatments: Treatments | None = None
) -> pl.DataFrame:
    """Give profiles of treatments (level 5) the columns and names of a screen.

    Parameters
    ----------
    rows
        One row per treatment.
    findings
        Takes a note if the treatments are not known.
    source
        What to call the rows in it.
    treatments
        What is known of treatments besides.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order with ``Metadata_perturbation`` and the columns it is made of.
    """
    described = [name for name in rows.columns if name.startswith("Metadata_")]
    # A plate map is read by wells; treatments have none, so each stands in a well of its own while it is read.
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
    order = [n for n in named.columns if n.startswith("Metadata_")]
    return named.select("Metadata_perturbation", *(n for n in order if n != "Metadata_perturbation"), pl.exclude(order))


def plate_row(wells: pl.DataFrame, n_sites: int | None) -> pl.DataFrame:
    """Make the row of table ``plate`` of one plate; images are unknown."""
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
    """Put what an import says of wells over what a screen knew of them already.

    Parameters
    ----------
    held
        Rows of table ``well`` that the screen has.
    fresh
        Those of the import.

    Returns
    -------
    polars.DataFrame
        Every well of both, a row each; where both have a value the import's is taken.
    """
    if held.is_empty():
        return fresh
    names: Sequence[str] = [n for n in fresh.columns if n in held.columns and n not in WELL_KEY]
    both = fresh.join(held, on=WELL_KEY, how="full", coalesce=True, suffix=" held")
    merged = [pl.coalesce(n, f"{n} held").alias(n) for n in names if n != "is_annotated"]
    either = pl.col("is_annotated").fill_null(value=False) | pl.col("is_annotated held").fill_null(value=False)
    return both.with_columns(*merged, either.alias("is_annotated")).drop([f"{n} held" for n in names]).sort(WELL_KEY)
