"""Scores beside their baselines, and mechanisms."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "moa_call",
        "One row per treatment: the mechanism that it is called, or why it is not; labelled or not, active or not",
        (
            c.TREATMENT,
            *c.ABOUT_TREATMENT,
            c.PERT_TYPE,
            required(
                "status",
                TEXT,
                "called: one mechanism fits; ambiguous: several fit; novel: none of those with references fits; "
                "inactive; not tested (no activity); too few references; no profile",
            ),
            Column("predicted", TEXT, "The most probable mechanism of prediction_set; NULL where none fits"),
            Column(
                "probability",
                REAL,
                "Probability that predicted is right, 0 to 1; calibrated on labelled treatments, each compared with "
                "other compounds",
            ),
            Column(
                "prediction_set",
                TEXT,
                "The mechanisms that fit, the most probable first, separated by |; NULL where none fits. It holds the "
                "true one with the probability mechanisms.coverage, for compounds like the labelled ones",
            ),
            Column("set_size", INT, "Mechanisms in prediction_set; NULL where none was tried"),
            Column("best_p", REAL, "Conformal p of the mechanism that fits best: how often a true one fits no better"),
            Column(
                "is_label_in_set",
                FLAG,
                "Whether prediction_set holds a mechanism of Metadata_moa; NULL without one, and where no other "
                "compound has it",
            ),
            Column("nearest", TEXT, "The labelled treatment of another compound that is most similar"),
            Column("nearest_moa", TEXT, "Its mechanism"),
            Column("similarity", REAL, "Cosine similarity to it, -1 to 1"),
            Column("n_features", LONG, "Features compared: those of which every treatment has a value"),
            c.REASON,
        ),
        key=(keys.PERTURBATION,),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
    Table(
        "moa_prediction",
        "One row per protocol and labelled treatment: the evaluation, its mechanism predicted from other compounds",
        (
            required(
                "protocol",
                TEXT,
                "What the neighbour differs in: not_same_compound (NSC), not_same_batch (NSCB), not_same_plate; or "
                "neighbours: several treatments of other compounds vote",
            ),
            c.TREATMENT,
            c.COMPOUND,
            c.MOA,
            Column(
                "is_active",
                FLAG,
                "Whether the treatment is active: then it is compared with active ones, otherwise with all",
            ),
            Column("predicted", TEXT, "Mechanism predicted; of several profiles of a treatment the most frequent one"),
            Column("is_correct", FLAG, "Whether it is an annotated mechanism"),
            Column(
                "share_correct",
                REAL,
                "Share of the profiles of the treatment (by batch or plate) that are right; neighbours at equal "
                "distance share. Its mean over active treatments is the score moa_accuracy",
            ),
            Column("nearest", TEXT, "Treatment that is nearest"),
            Column("similarity", REAL, "Similarity to it"),
            Column("n_features", LONG, "Features compared"),
        ),
        key=("protocol", keys.PERTURBATION),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
    Table(
        "moa_confusion",
        "One row per protocol, mechanism and prediction: how many active treatments of the mechanism are predicted so",
        (
            required("protocol", TEXT, "As in moa_prediction"),
            required("mechanism", TEXT, "Annotated mechanism; a treatment with several counts for each"),
            required("predicted", TEXT, "Mechanism predicted"),
            Column("n", LONG, "Active treatments"),
            Column("n_compounds", LONG, "Their compounds"),
            Column("n_mechanism", LONG, "Active treatments of the mechanism that are predicted at all"),
            Column("share", REAL, "n / n_mechanism"),
        ),
        key=("protocol", "mechanism", "predicted"),
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
