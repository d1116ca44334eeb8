"""Hits: treatments ranked by their distance to the negative controls."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "hit",
        "One row per treatment, also those in one well: how far it is from negative controls that its profile was not "
        "fitted on, and what else is known; hits first, then by effect",
        (
            c.TREATMENT,
            *c.ABOUT_TREATMENT,
            c.PERT_TYPE,
            required("rank", INT, "Place: hits first, then by effect; 1 is the first"),
            Column("is_hit", FLAG, "Whether it passes the limits of [hits]; NULL without a distance"),
            required(
                "status",
                TEXT,
                "hit; not a hit; one well (judged against single controls of all plates; is_hit has the outcome); "
                "position (no further than controls in one position); cannot pass (the smallest p is above the limit); "
                "no controls; no profile",
            ),
            Column("reason", TEXT, "Why, and what else to know, in words; NULL for a plain hit"),
            Column(
                "effect",
                REAL,
                "Effect size: Mahalanobis distance to the controls beyond chance; 0: no further than chance, 1: the "
                "profile moves as far as the noise of one well does, whatever the numbers of wells. Over all folds",
            ),
            Column("mahalanobis_distance", REAL, "Distance of the mean of the wells to the mean of the controls"),
            Column(
                "p_value", REAL, "Of the Mahalanobis distance, by permuting treatment and controls within each plate"
            ),
            Column("q_value", REAL, "p_value corrected for all treatments (Benjamini and Hochberg)"),
            Column("energy_distance", REAL, "Energy distance of the wells to the controls of their plates"),
            Column("energy_p_value", REAL, "Of the energy distance, by the same permutations"),
            Column("energy_q_value", REAL, "energy_p_value corrected for all treatments"),
            Column("smallest_p", REAL, "Smallest p value that these numbers of wells can reach"),
            Column("n_wells", LONG, "Wells with a profile"),
            Column("n_judged", LONG, "Wells compared: those on plates with held-out controls"),
            Column("n_controls", LONG, "Controls they are compared with, over all folds"),
            Column("n_features", LONG, "Features compared; the smallest number over folds"),
            Column("inducing_share", REAL, "Share of features beyond hits.inducing_spread robust SD of the controls"),
            Column("replicate_similarity", REAL, "Median correlation of its replicates, as in replicate_agreement"),
            Column("is_reproducible", FLAG, "Whether replicates agree better than random groups of wells"),
            Column("mean_average_precision", REAL, "As in table activity"),
            Column("activity_q_value", REAL, "corrected_p_value of table activity"),
            Column("is_active", FLAG, "below_corrected_p of table activity"),
            Column("activity_status", TEXT, "status of table activity"),
            Column("cell_count_relative", REAL, "Cells found, as a ratio to the median control of the plate"),
            Column("cell_count_low", REAL, "Lower end of its 95% interval"),
            Column("cell_count_high", REAL, "Upper end of its 95% interval"),
            Column("is_toxic", FLAG, "Whether the whole interval is below hits.toxic_below; NULL where not counted"),
            Column(
                "toxicity", TEXT, "toxic; may be toxic (the interval reaches above the limit); not toxic; not counted"
            ),
            Column(
                "is_cross_fitted", FLAG, "Whether the controls were held out of the normalization; else p is too small"
            ),
        ),
        key=(keys.PERTURBATION,),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
)
