"""Activity of treatments, agreement of their replicates, and whether p values hold."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "activity",
        "One row per treatment: whether it differs from the negative controls",
        (
            c.TREATMENT,
            *c.ABOUT_TREATMENT,
            c.PERT_TYPE,
            Column("n_replicates", INT, "Replicate wells"),
            Column("mean_average_precision", REAL, "Mean average precision, 0 to 1"),
            Column("mean_normalized_average_precision", REAL, "The same, rescaled so that chance is 0"),
            Column(
                "p_value",
                REAL,
                "Permutation p value, over all folds of the controls; NULL where the treatment was not tested",
            ),
            Column("corrected_p_value", REAL, "The same, corrected for all treatments"),
            Column("smallest_p", REAL, "Smallest p value that these numbers of wells can reach"),
            Column("below_corrected_p", FLAG, "Whether the corrected p value is below the threshold"),
            Column("n_controls", LONG, "Negative controls that it was compared with, over all folds"),
            Column("n_features", LONG, "Features compared; of several folds the mean"),
            Column(
                "position_p_value",
                REAL,
                "P value against controls that share well positions in the same way, a lower bound of p_value; NULL "
                "where the replicates share no position or position does not make wells alike",
            ),
            Column(
                "position_share",
                REAL,
                "Share of the similarity of the replicates that their well position explains, 0 to 1, from controls in "
                "one position; 0 where the replicates lie in several positions, NULL where it is not known",
            ),
            Column("status", TEXT, "ok, how the treatment was judged, or why it was not"),
        ),
        key=(keys.PERTURBATION,),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
    Table(
        "replicate_agreement",
        "One row per treatment: whether its replicates agree better than random groups of wells of the same plates",
        (
            c.TREATMENT,
            Column("n_replicates", LONG, "Replicate wells"),
            Column("median_similarity", REAL, "Median Pearson correlation over the pairs of replicates"),
            Column(
                "threshold",
                REAL,
                "95th percentile of random groups with as many wells of the same plates; NULL without a null",
            ),
            Column(
                "p_value",
                REAL,
                "Share of the null, with the score itself, at or above it; not below position_p_value of activity",
            ),
            Column(
                "is_reproducible",
                FLAG,
                "Whether the similarity is above the threshold, and position_p_value, where there is one, below 0.05",
            ),
            Column(
                "grit",
                REAL,
                "Mean over the replicates of their mean correlation with the others, in standard deviations above that "
                "with held-out negative controls on the plates of these others; mean over folds; NULL without controls",
            ),
            Column(
                "grit_p_value",
                REAL,
                "Share of random groups of wells of the same plates with a grit as high; not below position_p_value of "
                "activity",
            ),
        ),
        key=(keys.PERTURBATION,),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
    Table(
        "replicate_null",
        "One row per random group of wells of different treatments: the null of replicate_agreement",
        (
            Column("n_replicates", LONG, "Wells of the group"),
            Column("median_similarity", REAL, "Median Pearson correlation over its pairs"),
        ),
        order=("n_replicates", "median_similarity"),
        per_plate=False,
    ),
    Table(
        "calibration",
        "One row per variant: whether p values of activity hold, from negative controls taken as treatments",
        (
            required(
                "variant",
                TEXT,
                "random (controls in different positions), same position (controls in one position of several plates), "
                "or in sample (random, with the recipe fitted on the negatives: p without cross-fitting)",
            ),
            Column("n_replicates", LONG, "Wells of each group, as many as most treatments have"),
            Column("n_plates", LONG, "Plates of each group"),
            Column("n", LONG, "Groups of controls that were tested"),
            Column("below_05", REAL, "Share of the groups with p below 0.05; 0.05 where p values hold"),
            Column("below_05_low", REAL, "Lower end of its 95% interval (Clopper and Pearson)"),
            Column("below_05_high", REAL, "Upper end of its 95% interval"),
            Column("below_20", REAL, "Share of the groups with p below 0.2; 0.2 where p values hold"),
            Column("below_20_low", REAL, "Lower end of its 95% interval"),
            Column("below_20_high", REAL, "Upper end of its 95% interval"),
            Column("cross_fitted", FLAG, "Whether the recipe was fitted without the negatives"),
            Column(
                "position_p_value",
                REAL,
                "P value of the test whether controls in one position are more alike than others; NULL where too few "
                "controls share a position",
            ),
            Column(
                "position_share",
                REAL,
                "Share of the similarity of replicates that well position explains, 0 to 1, over up to 100 treatments, "
                "from controls in one position; 0 for replicates in different positions, NULL where it is not known",
            ),
            c.STATUS,
            c.REASON,
        ),
        key=("variant",),
        per_plate=False,
    ),
    Table(
        "consistency",
        "One row per mechanism: whether its active compounds resemble each other more than random active compounds",
        (
            required("label_column", TEXT, "Column of the mechanisms"),
            required("label", TEXT, "Mechanism; a compound of A|B belongs to both"),
            Column("n_compounds", LONG, "Active compounds of the mechanism"),
            Column("n_compounds_total", LONG, "All its compounds"),
            Column("mean_average_precision", REAL, "Mean average precision over its compounds, 0 to 1"),
            Column("mean_normalized_average_precision", REAL, "The same, rescaled so that chance is 0"),
            Column("median_similarity", REAL, "Median cosine over its pairs of compounds"),
            Column("p_value", REAL, "Share of random mechanisms of as many compounds with a score as high"),
            Column("corrected_p_value", REAL, "The same, corrected for all mechanisms"),
            Column("smallest_p", REAL, "Smallest p value that this number of compounds can reach"),
            Column("below_corrected_p", FLAG, "Whether the corrected p value is below the threshold"),
            required("status", TEXT, "ok, or why there is no verdict"),
        ),
        key=("label_column", "label"),
        per_plate=False,
    ),
    Table(
        "retrieval",
        "One row per score of [retrieval.NAME] and group of wells: whether these find each other among the negatives",
        (
            required("retrieval", TEXT, "Name of the score in screen.toml"),
            required("columns", TEXT, "Columns in which the wells of a group agree (pos_sameby)"),
            required("value", TEXT, "Their values"),
            Column("n_wells", LONG, "Wells of the group with a positive pair"),
            Column("mean_average_precision", REAL, "Mean average precision, 0 to 1"),
            Column("mean_normalized_average_precision", REAL, "The same, rescaled so that chance is 0"),
            Column("p_value", REAL, "Share of random orders with a score as high"),
            Column("corrected_p_value", REAL, "The same, corrected for all groups of the score"),
            Column("smallest_p", REAL, "Smallest p value that these numbers of wells can reach"),
            Column("below_corrected_p", FLAG, "Whether the corrected p value is below the level fdr"),
            Column("null", TEXT, "exact (all orders) or sampled"),
        ),
        key=("retrieval", "value"),
        per_plate=False,
    ),
)
