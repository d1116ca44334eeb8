"""Plates, wells and treatments."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "plate",
        "One row per plate",
        (
            c.PLATE,
            c.BATCH,
            Column("plate_format", INT, "Number of wells of the plate: 96, 384, ..."),
            Column("n_wells_imaged", INT, "Wells with at least one image"),
            Column("n_wells_annotated", INT, "Wells that the plate map names"),
            Column("n_sites", INT, "Sites over all wells"),
            Column("n_images", INT, "Image files over all wells"),
        ),
        key=(keys.PLATE,),
        per_plate=False,
    ),
    Table(
        "well",
        "One row per well that has images, an annotation, or both",
        (
            c.PLATE,
            c.WELL,
            Column("Metadata_Row", INT, "Row, from 1"),
            Column("Metadata_Col", INT, "Column, from 1"),
            c.BATCH,
            c.PERT_TYPE,
            *c.ABOUT_TREATMENT,
            c.PERTURBATION,
            Column("has_images", FLAG, "Whether any image of the well was found"),
            Column("is_annotated", FLAG, "Whether the plate map names the well"),
        ),
        key=keys.WELL_KEY,
        references=(c.TO_PLATE,),
    ),
    Table(
        "perturbation",
        "One row per treatment: compound and dose",
        (
            c.TREATMENT,
            *c.ABOUT_TREATMENT,
            c.PERT_TYPE,
            Column("n_wells", INT, "Wells that hold it, over all plates"),
        ),
        key=(keys.PERTURBATION,),
        per_plate=False,
    ),
)
