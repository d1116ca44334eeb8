"""Well profiles that were fitted without the negative controls that they are compared with."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, LONG, TEXT, required
from phenoprint.tables.records import Column, Table

_FOLD: Final = required(keys.FOLD, INT, "Fold of the negative controls, from 0")

TABLES: Final = (
    Table(
        "profile_cross_fitted",
        "One row per well and fold: profiles of a fit without the negative controls of the fold; compare within a fold",
        (c.PLATE, c.WELL, _FOLD, c.CELLS, c.SITES),
        key=(*keys.WELL_KEY, keys.FOLD),
        holds_features=True,
    ),
    Table(
        "profile_gap",
        "One row per well that lacks features: whether missing values are imputed where profiles are compared",
        (
            c.PLATE,
            c.WELL,
            Column("n_missing", LONG, "Selected features that the well lacks; NULL where it has no profile"),
            Column("n_features", LONG, "Selected features that are compared"),
            required("status", TEXT, "imputed, damaged (not compared), no_profile (not compared)"),
            c.REASON,
        ),
        key=keys.WELL_KEY,
        per_plate=False,
    ),
    Table(
        "cross_fit",
        "One row per fold and plate: how many negative controls the fold was fitted on and how many it holds out",
        (
            _FOLD,
            c.PLATE,
            Column("n_fitted", LONG, "Negative controls that the fold was fitted on"),
            Column("n_held_out", LONG, "Negative controls that the fold holds out, or that no step uses"),
            Column("cross_fitted", FLAG, "Whether the controls in the profiles were treated like treatments"),
            c.STATUS,
            c.REASON,
        ),
        key=(keys.FOLD, keys.PLATE),
        per_plate=False,
    ),
)
