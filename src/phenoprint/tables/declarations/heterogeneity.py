"""How the cells of a well are distributed, and whether this helps."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "heterogeneity",
        "One row per well and aspect: how its cells differ from those of control wells with as many cells",
        (
            c.PLATE,
            c.WELL,
            required("aspect", TEXT, "shift, spread, shape and tail of the distributions; responders; states"),
            Column(
                "value",
                REAL,
                "Root mean square over features, in standard deviations of control wells; share of responders; "
                "agreement of the states between halves of the controls",
            ),
            Column("low", REAL, "Lower end of the 95% interval of the share of responders"),
            Column("high", REAL, "Upper end of the 95% interval of the share of responders"),
            Column("p", REAL, "Probability of such a value for a control well; one-sided"),
            Column("q", REAL, "p corrected over the wells of the plate that are no negative controls"),
            Column("n_cells", LONG, "Cells of the well that count"),
            Column("n_control_wells", LONG, "Negative control wells of the plate that it is compared with"),
            Column("feature", TEXT, "Feature that differs most"),
            Column(
                "feature_value",
                REAL,
                "By how much, in standard deviations of control wells; signed for a shift, a spread and a tail",
            ),
            c.STATUS,
            c.REASON,
        ),
        key=(*keys.WELL_KEY, "aspect"),
        references=(c.TO_PLATE,),
    ),
    Table(
        "heterogeneity_gain",
        "One row per score: whether columns of distributions help, on the same treatments",
        (
            required("score", TEXT, "activity, replicates or mechanism"),
            Column("without", REAL, "Score of the profiles alone"),
            Column("with_columns", REAL, "Score of the profiles with the columns of distributions"),
            Column("gain", REAL, "Difference"),
            Column("gain_low", REAL, "Lower end of its 95% interval; bootstrap of whole compounds"),
            Column("gain_high", REAL, "Upper end of its 95% interval"),
            Column("n", LONG, "Treatments that were scored"),
            Column("n_features_without", LONG, "Features of the profiles alone"),
            Column("n_features_with", LONG, "Features with the columns of distributions that were added"),
            Column("description", TEXT, "What is scored, in a sentence"),
            c.STATUS,
            c.REASON,
        ),
        key=("score",),
        per_plate=False,
    ),
)
