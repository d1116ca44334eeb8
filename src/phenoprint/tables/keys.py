"""Names of the columns that identify a row, and the keys made of them."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BATCH",
    "CELL_KEY",
    "CHANNEL",
    "COMPOUND",
    "DOSE",
    "DOSE_UNIT",
    "FOLD",
    "METADATA_PREFIX",
    "MOA",
    "OBJECT",
    "OBJECT_COUNT",
    "PERTURBATION",
    "PERT_TYPE",
    "PLATE",
    "REPLICATE_COUNT",
    "SITE",
    "SITE_COUNT",
    "SITE_KEY",
    "WELL",
    "WELL_KEY",
]

METADATA_PREFIX: Final = "Metadata_"
"""Starts the name of every column that describes the sample; all other columns of a profile are features."""

PLATE: Final = "Metadata_Plate"
WELL: Final = "Metadata_Well"
SITE: Final = "Metadata_Site"
OBJECT: Final = "Metadata_ObjectNumber"
CHANNEL: Final = "Metadata_Channel"
BATCH: Final = "Metadata_Batch"
COMPOUND: Final = "Metadata_compound"
MOA: Final = "Metadata_moa"
PERTURBATION: Final = "Metadata_perturbation"
PERT_TYPE: Final = "Metadata_pert_type"
DOSE: Final = "Metadata_Concentration"
DOSE_UNIT: Final = "Metadata_Concentration_Unit"
OBJECT_COUNT: Final = "Metadata_Object_Count"
FOLD: Final = "Metadata_fold"
SITE_COUNT: Final = "Metadata_Site_Count"
REPLICATE_COUNT: Final = "Metadata_Replicate_Count"

WELL_KEY: Final = (PLATE, WELL)
"""Identifies a well of a screen."""

SITE_KEY: Final = (*WELL_KEY, SITE)
"""Identifies a site (field of view) of a screen."""

CELL_KEY: Final = (*SITE_KEY, OBJECT)
"""Identifies a cell of a screen."""
