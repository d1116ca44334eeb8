"""What CellProfiler's image table says: where images are, how many objects they had, what was measured on them."""

from __future__ import annotations

import polars as pl

from phenoprint.exchange.cleaning.columns import Reading, clean
from phenoprint.exchange.cleaning.keys import with_site
from phenoprint.exchange.cleaning.names import COMPARTMENTS
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.sources.cellprofiler_tables import RUN, Run, is_image_column, shared_keys
from phenoprint.store import concat_ledgers, ledger_rows

__all__ = ["balanced_ledger", "count_losses", "image_rows"]

_PLACE = ("Metadata_Plate", "Metadata_Well")
_IN_SITE = (*_PLACE, "Metadata_Site")
_KEYS = {"ImageNumber": "Metadata_ImageNumber", "TableNumber": "Metadata_TableNumber"}


def image_places(run: Run, reading: Reading | None) -> pl.DataFrame:
    """Say where each image of a run is: plate, well and site as its cells have them, NULL where unknown."""
    key = [name for name in _KEYS if name in run.image.columns]
    described = [c for c in run.image.columns if c.startswith("Metadata_") and c not in (*_KEYS.values(), RUN)]
    place = run.image.select(*key, *described).rename({name: _KEYS[name] for name in key})
    place = with_site(clean(place, source=run.source, findings=Findings(), reading=_place_of(reading)), None)
    return place.select(
        (pl.col(name) if name in place.columns else pl.lit(None, pl.String)).alias(name) for name in _IN_SITE
    )


def image_rows(run: Run, reading: Reading | None) -> pl.DataFrame:
    """Give what was measured on the images of a run, one row per image that has a place.

    Returns
    -------
    polars.DataFrame
        Plate, well, site, then ``Image_*`` features as Float32, and file names and the like as ``Metadata_Image_*``.
    """
    names = [c for c in run.image.columns if not is_image_column(c) or c.startswith("Count_")]
    values = run.image.select(names).rename({c: f"Image_{c}" for c in names})
    rows = image_places(run, reading).hstack(clean(values, source=run.source, findings=Findings()))
    return rows.drop_nulls(list(_IN_SITE)).with_columns(pl.col("^Metadata_.*$").cast(pl.String))


def count_losses(run: Run, reading: Reading | None) -> pl.DataFrame:
    """Count what came in of each image and what was lost of it.

    Returns
    -------
    polars.DataFrame
        One row per image and kind of object: plate, well, site, ``step``, ``unit_of_count``, ``n_in``, ``n_lost``,
        ``reason``; `balanced_ledger` makes a ledger of them.
    """
    key = shared_keys(run.image, *run.objects.values())
    counted = [c for c in COMPARTMENTS if f"Count_{c}" in run.image.columns]
    here = run.image.select(*key, *(pl.col(f"Count_{c}").cast(pl.Int64) for c in counted))
    here = here.with_columns(pl.lit(None, pl.Int64).alias(f"Count_{c}") for c in COMPARTMENTS if c not in counted)
    for name in COMPARTMENTS:
        table = run.objects.get(name)
        found = here.select(key).head(0) if table is None else table.select(key)
        here = here.join(found.group_by(key).len(f"found_{name}"), on=key, how="left", maintain_order="left")
    here = image_places(run, reading).hstack(
        here.select("^Count_.*$", pl.col("^found_.*$").fill_null(0).cast(pl.Int64))
    )
    base = next((name for name in COMPARTMENTS if name in run.objects), "Cells")
    expected = pl.max_horizontal(f"Count_{base}", f"found_{base}")
    absent = "not in the object tables" if run.objects else "the image has no object tables"
    rows = [
        here.select(
            *_IN_SITE,
            step=pl.lit("import"),
            unit_of_count=pl.lit("cells"),
            n_in=expected,
            n_lost=expected - pl.col(f"found_{base}"),
            reason=pl.lit(absent),
        )
    ]
    rows += [
        here.select(
            *_IN_SITE,
            step=pl.lit(f"import {name}"),
            unit_of_count=pl.lit("objects"),
            n_in=pl.col(f"found_{name}"),
            n_lost=pl.col(f"found_{name}") - pl.col(f"found_{base}"),
            reason=pl.lit(f"{name} that belong to no cell"),
        )
        for name in run.objects
        if name != base
    ]
    return pl.concat(rows)


def _place_of(reading: Reading | None) -> Reading | None:
    """Take what the user says of plate, well and site: other columns are of cells."""
    if reading is None:
        return None
    kept = {name: names for name, names in reading.columns.items() if name in _IN_SITE}
    return Reading(kept, {name: value for name, value in reading.fixed.items() if name in _IN_SITE}, reading.extract)


def balanced_ledger(losses: pl.DataFrame) -> pl.DataFrame:
    """Make the ledger of all images: those of a well summed, one row per reason.

    Raises
    ------
    LostRowsError
        If counts do not balance.
    """
    entry = [*_PLACE, "step", "unit_of_count"]
    total = losses.group_by(entry).agg(n_in=pl.col("n_in").sum())
    by_reason = losses.filter(pl.col("n_lost") > 0).group_by(*entry, "reason").agg(pl.col("n_lost").sum())
    lost: dict[tuple[str | None, ...], dict[str, int]] = {row[:4]: {} for row in total.select(entry).iter_rows()}
    for *place, reason, n in by_reason.select(*entry, "reason", "n_lost").iter_rows():
        lost[tuple(place)][reason] = n
    return concat_ledgers(
        [
            ledger_rows(step, plate, well, unit_of_count=unit, n_in=n, lost=lost[plate, well, step, unit])
            for plate, well, step, unit, n in total.iter_rows()
        ]
    )
