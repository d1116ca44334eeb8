"""Answers: which treatments act, how, and which resemble each other."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import INT, LONG, REAL, SINGLE, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "readout",
        "One row per well and readout: cell counts and distance to the controls, and the readouts of profiles.readouts",
        (
            c.PLATE,
            c.WELL,
            required(
                "readout",
                TEXT,
                "cell_count (cells that went into the profile), cell_count_relative, distance_to_controls (root mean "
                "square over the selected features of the difference to the median negative control of the plate; a "
                "control is compared with the others), or a name of profiles.readouts",
            ),
            Column("value", REAL, "Value, in unit; of named readouts the median over cells. NULL: see reason"),
            Column("unit", TEXT, "Unit of the value; NULL for named readouts, whose expression decides"),
            Column("n_cells", LONG, "Cells behind the value; NULL where they were not counted"),
            Column("reason", TEXT, "Why there is no value, in a sentence; NULL where the value is known"),
        ),
        key=(*keys.WELL_KEY, "readout"),
    ),
    Table(
        "feature_effect",
        "One row per treatment and selected feature: what the treatment does to it, against the negative controls of "
        "the same plates; values before whitening or batch correction, so that features mean what they are named for",
        (
            c.TREATMENT,
            *c.ABOUT_TREATMENT,
            c.FEATURE,
            *c.ABOUT_FEATURE,
            required(
                "effect",
                SINGLE,
                "Median over the wells of the difference to the median negative control of the plate, in robust "
                "spreads of these controls (1.4826 MAD, pooled over plates where controls are few); above 0: it rises",
            ),
            required(
                "rank",
                INT,
                "Place among the features of the treatment by absolute effect; 1 is the largest. No more than "
                "evaluation.top_features are kept",
            ),
            required("n_wells", INT, "Wells of the treatment with a value"),
            required("n_controls", INT, "Negative controls with a value, on the plates of these wells"),
            Column(
                "p_value",
                REAL,
                "Two-sided p of the t test of the treatment in the linear model plate + treatment; NULL without "
                "freedom. Not calibrated: wells of a plate are not independent, and controls taken for treatments get "
                "p < 0.05 in 7 to 10 % of features. Rank and filter by it; do not read it as an error rate",
            ),
            Column(
                "q_value",
                REAL,
                "p_value corrected after Benjamini and Hochberg over all features of the treatment (not over "
                "treatments, so that it does not depend on what else was tested); no better calibrated than p_value",
            ),
        ),
        key=(keys.PERTURBATION, "rank"),
        per_plate=False,
    ),
)
