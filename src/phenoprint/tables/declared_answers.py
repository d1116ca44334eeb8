"""The tables that answer questions about treatments and clusters, column by column."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoprint.tables.schemas import Column, Reference, Table

__all__ = ["ANSWER_TABLES"]

TEXT, INT, LONG, REAL, SINGLE, FLAG = pl.String(), pl.Int32(), pl.Int64(), pl.Float64(), pl.Float32(), pl.Boolean()

_TREATMENT = Column("Metadata_perturbation", TEXT, "Perturbation id: compound@dose unit", nullable=False)
_ABOUT_TREATMENT = (
    Column("Metadata_compound", TEXT, "Compound or other perturbation, by name"),
    Column("Metadata_Concentration", REAL, "Concentration, in Metadata_Concentration_Unit"),
    Column("Metadata_Concentration_Unit", TEXT, "Unit of Metadata_Concentration"),
    Column("Metadata_moa", TEXT, "Mechanism of action; NULL where it is not known"),
)
_FEATURE = Column("feature", TEXT, "Feature, as in table feature", nullable=False)
_ABOUT_FEATURE = (
    Column("compartment", TEXT, "Compartment of the feature: Nuclei, Cells or Cytoplasm; NULL where not known"),
    Column("family", TEXT, "Family of the feature: AreaShape, Intensity, Texture, ...; NULL where not known"),
    Column("channel", TEXT, "Channel of the feature, or two joined by a comma; NULL for shape"),
)
_TO_FEATURE = (Reference(("feature",), "feature"),)

ANSWER_TABLES: Final[tuple[Table, ...]] = (
    Table(
        "readout",
        "One row per well and readout: cell counts and distance to the controls, and the readouts of profiles.readouts",
        (
            Column("Metadata_Plate", TEXT, "Plate barcode, as text", nullable=False),
            Column("Metadata_Well", TEXT, "Well, row letter and two-digit column: A01", nullable=False),
            Column(
                "readout",
                TEXT,
                "cell_count (cells that went into the profile), cell_count_relative, distance_to_controls (root mean "
                "square over the selected features of the difference to the median negative control of the plate; a "
                "control is compared with the others), or a name of profiles.readouts",
                nullable=False,
            ),
            Column("value", REAL, "Value, in unit; of named readouts the median over cells. NULL: see reason"),
            Column("unit", TEXT, "Unit of the value; NULL for named readouts, whose expression decides"),
            Column("n_cells", LONG, "Cells behind the value; NULL where they were not counted"),
            Column("reason", TEXT, "Why there is no value, in a sentence; NULL where there is one"),
        ),
        key=("Metadata_Plate", "Metadata_Well", "readout"),
    ),
    Table(
        "neighbour",
        "One row per treatment and rank: the treatments that it resembles most, by the cosine of level 5 profiles",
        (
            _TREATMENT,
            *_ABOUT_TREATMENT,
            Column("rank", INT, "Place among the neighbours of the treatment; 1 is the most similar", nullable=False),
            Column("similarity", REAL, "Cosine similarity of the two profiles, -1 to 1", nullable=False),
            Column(
                "is_same_compound",
                FLAG,
                "Whether the neighbour is the same compound, at another dose; FALSE where a compound is not known",
                nullable=False,
            ),
            Column("neighbour", TEXT, "Perturbation id of the neighbour: compound@dose unit", nullable=False),
            Column("neighbour_compound", TEXT, "Compound of the neighbour"),
            Column("neighbour_concentration", REAL, "Concentration of the neighbour, in neighbour_concentration_unit"),
            Column("neighbour_concentration_unit", TEXT, "Unit of neighbour_concentration"),
            Column("neighbour_moa", TEXT, "Mechanism of action of the neighbour; NULL where it is not known"),
            Column("neighbour_pert_type", TEXT, "Kind of the neighbour: trt, negcon or poscon"),
            Column("n_features", INT, "Features compared: those of which every treatment has a value"),
        ),
        order=("Metadata_perturbation", "rank"),
        per_plate=False,
    ),
    Table(
        "feature_effect",
        "One row per treatment and selected feature: what the treatment does to it, against the negative controls of "
        "the same plates; values before whitening or batch correction, so that a feature means what its name says",
        (
            _TREATMENT,
            *_ABOUT_TREATMENT,
            _FEATURE,
            *_ABOUT_FEATURE,
            Column(
                "effect",
                SINGLE,
                "Median over the wells of the difference to the median negative control of the plate, in robust "
                "spreads of these controls (1.4826 MAD, pooled over plates where controls are few); above 0: it rises",
                nullable=False,
            ),
            Column(
                "rank",
                INT,
                "Place among the features of the treatment by absolute effect; 1 is the largest. No more than "
                "evaluation.top_features are kept",
                nullable=False,
            ),
            Column("n_wells", INT, "Wells of the treatment with a value", nullable=False),
            Column("n_controls", INT, "Negative controls with a value, on the plates of these wells", nullable=False),
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
        key=("Metadata_perturbation", "rank"),
        per_plate=False,
    ),
    Table(
        "cluster_signature",
        "One row per cluster of wells and selected feature: how its wells differ from those of all other clusters",
        (
            Column("cluster", INT, "Cluster, as in table cluster", nullable=False),
            _FEATURE,
            *_ABOUT_FEATURE,
            Column(
                "effect",
                SINGLE,
                "Difference of the medians, cluster minus others, in robust spreads (root mean square of 1.4826 MAD "
                "within the cluster and within the others)",
                nullable=False,
            ),
            Column(
                "cliffs_delta",
                SINGLE,
                "How much more often a well of the cluster lies above one of the others than below, -1 to 1. No "
                "p value: clusters are made from the same features",
                nullable=False,
            ),
            Column(
                "rank",
                INT,
                "Place among the features of the cluster by absolute cliffs_delta, then effect; 1 is the first. No "
                "more than evaluation.top_features are kept",
                nullable=False,
            ),
            Column("n_wells", INT, "Wells of the cluster with a value", nullable=False),
            Column("n_others", INT, "Other wells with a value", nullable=False),
        ),
        key=("cluster", "rank"),
        per_plate=False,
        references=_TO_FEATURE,
    ),
)
