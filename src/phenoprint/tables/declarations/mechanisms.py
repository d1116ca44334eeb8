"""Scores beside their baselines, and mechanisms."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "moa_prediction",
        "One row per treatment: its mechanism called from the nearest other compound",
        (
            c.PERTURBATION,
            c.COMPOUND,
            c.MOA,
            Column("predicted", TEXT, "Mechanism called"),
            Column("is_correct", FLAG, "Whether the call is the annotated mechanism"),
            Column("nearest", TEXT, "Treatment that the call is based on"),
            Column("similarity", REAL, "Similarity to it"),
        ),
        order=(keys.COMPOUND, keys.PERTURBATION),
        per_plate=False,
    ),
    Table(
        "score",
        "One row per score and baseline: what the screen achieves, and what is achieved without morphology on the same "
        "treatments",
        (
            required("score", TEXT, "Name"),
            required(
                "baseline",
                TEXT,
                "none for the profiles; else what was scored instead of them: cell_count (relative to the controls of "
                "the plate), well_position (row, column, edge), plate, shuffled_labels",
            ),
            Column("value", REAL, "Value, 0 to 1"),
            Column("low", REAL, "Lower end of its 95% interval; bootstrap of whole compounds"),
            Column("high", REAL, "Upper end of its 95% interval"),
            Column("n", LONG, "Treatments that were scored"),
            Column("n_total", LONG, "Treatments of the screen that could have been scored"),
            Column("n_features", LONG, "Features of the profiles; NULL for baselines"),
            Column("is_headline", FLAG, "Whether enough treatments (10) were scored for a result of the screen"),
            Column("best_baseline", TEXT, "The baseline with the highest value; NULL for baselines and without any"),
            Column("gain", REAL, "Value minus that of the best baseline, on the treatments that both score"),
            Column("gain_low", REAL, "Lower end of the 95% interval of the gain; bootstrap of whole compounds"),
            Column("gain_high", REAL, "Upper end of the 95% interval of the gain"),
            Column("description", TEXT, "What it measures, in a sentence"),
        ),
        key=("score", "baseline"),
        per_plate=False,
    ),
)
