"""CellProfiler's image table: where images are, how many objects they have, what was measured on them."""

from __future__ import annotations

import polars as pl

from phenoprint.exchange.cleaning.columns import ColumnOptions, clean, with_site
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import ROW_COMPARTMENTS
from phenoprint.exchange.sources.cellprofiler import RUN, Run, is_image_column, shared_keys
from phenoprint.tables import SITE_KEY

__all__ = ["count_losses", "image_places", "image_rows"]

_KEYS = {"ImageNumber": "Metadata_ImageNumber", "TableNumber": "Metadata_TableNumber"}


def image_places(run: Run, options: ColumnOptions) -> pl.DataFrame:
    """Return plate, well and site of each image as its cells have them, NULL where unknown."""
    key = [name for name in _KEYS if name in run.image.columns]
    described = [c for c in run.image.columns if c.startswith("Metadata_") and c not in (*_KEYS.values(), RUN)]
    place = run.image.select(*key, *described).rename({name: _KEYS[name] for name in key})
    place = with_site(clean(place, source=run.source, findings=Findings(), options=_of_places(options)), None)
    return place.select(
        (pl.col(name) if name in place.columns else pl.lit(None, pl.String)).alias(name) for name in SITE_KEY
    )


def image_rows(run: Run, places: pl.DataFrame) -> pl.DataFrame:
    """Return the measurements of images, one row per image that has plate, well and site.

    Columns are ``Image_*`` features as Float32, and file names and the like as ``Metadata_Image_*``.
    """
    names = [c for c in run.image.columns if not is_image_column(c) or c.startswith("Count_")]
    values = run.image.select(names).rename({c: f"Image_{c}" for c in names})
    rows = places.hstack(clean(values, source=run.source, findings=Findings()))
    return rows.drop_nulls(list(SITE_KEY)).with_columns(pl.col("^Metadata_.*$").cast(pl.String))


def count_losses(run: Run, places: pl.DataFrame) -> pl.DataFrame:
    """Count the objects of each image and those that are left out, one row per image and compartment.

    Columns are plate, well, site, ``step``, ``unit_of_count``, ``n_in``, ``n_lost``, ``reason``; `balanced_ledger`
    makes the ledger.
    """
    key = shared_keys(run.image, *run.objects.values())
    counted = [c for c in ROW_COMPARTMENTS if f"Count_{c}" in run.image.columns]
    here = run.image.select(*key, *(pl.col(f"Count_{c}").cast(pl.Int64) for c in counted))
    here = here.with_columns(pl.lit(None, pl.Int64).alias(f"Count_{c}") for c in ROW_COMPARTMENTS if c not in counted)
    for name in ROW_COMPARTMENTS:
        table = run.objects.get(name)
        found = here.select(key).head(0) if table is None else table.select(key)
        here = here.join(found.group_by(key).len(f"found_{name}"), on=key, how="left", maintain_order="left")
    here = places.hstack(here.select("^Count_.*$", pl.col("^found_.*$").fill_null(0).cast(pl.Int64)))
    base = next((name for name in ROW_COMPARTMENTS if name in run.objects), "Cells")
    expected = pl.max_horizontal(f"Count_{base}", f"found_{base}")
    absent = "not in the object tables" if run.objects else "the image has no object tables"
    rows = [
        here.select(
            *SITE_KEY,
            step=pl.lit("import"),
            unit_of_count=pl.lit("cells"),
            n_in=expected,
            n_lost=expected - pl.col(f"found_{base}"),
            reason=pl.lit(absent),
        )
    ]
    rows += [
        here.select(
            *SITE_KEY,
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


def _of_places(options: ColumnOptions) -> ColumnOptions:
    """Keep the options for plate, well and site; other columns are of cells."""
    columns = {name: names for name, names in options.columns.items() if name in SITE_KEY}
    return ColumnOptions(columns, {n: v for n, v in options.fixed.items() if n in SITE_KEY}, options.extract)
