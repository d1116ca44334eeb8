"""Types and columns that several tables share."""

from __future__ import annotations

from functools import partial
from typing import Final

import polars as pl

from phenoprint.tables import keys
from phenoprint.tables.records import Column, Reference

TEXT, FLAG, BYTES = pl.String(), pl.Boolean(), pl.Binary()
INT, LONG = pl.Int32(), pl.Int64()
SINGLE, REAL = pl.Float32(), pl.Float64()

required = partial(Column, nullable=False)

PLATE: Final = required(keys.PLATE, TEXT, "Plate barcode, as text")
WELL: Final = required(keys.WELL, TEXT, "Well, row letter and two-digit column: A01")
SITE: Final = required(keys.SITE, TEXT, "Site (field of view) within the well")
OBJECT: Final = required(keys.OBJECT, INT, "Number of the cell in its site, as in the masks")
CHANNEL: Final = required(keys.CHANNEL, TEXT, "Channel")

BATCH: Final = Column(keys.BATCH, TEXT, "Batch the plate was made in")
PERT_TYPE: Final = Column(keys.PERT_TYPE, TEXT, "trt, negcon, poscon or empty; NULL where not annotated")
COMPOUND: Final = Column(keys.COMPOUND, TEXT, "Compound or other perturbation, by name")
DOSE: Final = Column(keys.DOSE, REAL, "Concentration, in Metadata_Concentration_Unit")
DOSE_UNIT: Final = Column(keys.DOSE_UNIT, TEXT, "Unit of Metadata_Concentration, such as uM")
MOA: Final = Column(keys.MOA, TEXT, "Mechanism of action; NULL where it is not known")
PERTURBATION: Final = Column(keys.PERTURBATION, TEXT, "Perturbation id: compound@dose unit")
TREATMENT: Final = required(PERTURBATION.name, TEXT, PERTURBATION.comment)
ABOUT_TREATMENT: Final = (COMPOUND, DOSE, DOSE_UNIT, MOA)

CELLS: Final = Column(keys.OBJECT_COUNT, LONG, "Cells aggregated into the row")
SITES: Final = Column(keys.SITE_COUNT, LONG, "Sites aggregated into the row")
STATUS: Final = required("status", TEXT, "ok, or what is wrong")
REASON: Final = Column("reason", TEXT, "Why, in a sentence; NULL where nothing is wrong")

FEATURE: Final = required("feature", TEXT, "Feature, as in table feature")
ABOUT_FEATURE: Final = (
    Column("compartment", TEXT, "Compartment of the feature: Nuclei, Cells or Cytoplasm; NULL where not known"),
    Column("family", TEXT, "Family of the feature: AreaShape, Intensity, Texture, ...; NULL where not known"),
    Column("channel", TEXT, "Channel of the feature, or two joined by a comma; NULL for shape"),
)

PIXELS: Final = (
    Column("height", INT, "Image height", "px"),
    Column("width", INT, "Image width", "px"),
    Column("dtype", TEXT, "Type of the pixels: uint8, uint16, ..."),
)
IMAGE_METRICS: Final = (
    Column("focus_slope", SINGLE, "Slope of log power over log frequency: the lower, the blurrier"),
    Column("saturated_percent", SINGLE, "Pixels at the largest value", "%"),
    Column("minimum_percent", SINGLE, "Pixels at the smallest value", "%"),
    Column("background", SINGLE, "Background intensity, 0 to 1"),
    Column("noise", SINGLE, "Noise of the background, in intensity"),
    Column("local_focus", SINGLE, "Contrast of fine detail over the image, without unit"),
    Column("mean", SINGLE, "Mean intensity, 0 to 1"),
    Column("sd", SINGLE, "Standard deviation of intensity, 0 to 1"),
    *(Column(f"p{q:02d}", SINGLE, f"Percentile {q} of intensity, 0 to 1") for q in (1, 5, 25, 50, 75, 95, 99)),
)

TO_PLATE: Final = Reference((keys.PLATE,), "plate")
TO_WELL: Final = Reference(keys.WELL_KEY, "well")
TO_SITE: Final = Reference(keys.SITE_KEY, "site")
TO_PERTURBATION: Final = Reference((keys.PERTURBATION,), "perturbation")
TO_FEATURE: Final = Reference(("feature",), "feature")


def anywhere(column: Column, comment: str) -> Column:
    """Return a key column that may be NULL, with a comment on the meaning of NULL."""
    return Column(column.name, column.dtype, comment, column.unit)
