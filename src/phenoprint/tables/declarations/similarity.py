"""Which treatments resemble each other."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "neighbour",
        "One row per treatment and rank: the treatments that it resembles most, by the cosine of level 5 profiles",
        (
            c.TREATMENT,
            *c.ABOUT_TREATMENT,
            required("rank", INT, "Place among the neighbours of the treatment; 1 is the most similar"),
            required("similarity", REAL, "Cosine similarity of the two profiles, -1 to 1"),
            Column(
                "p_value",
                REAL,
                "Chance that an unrelated treatment is as similar, or more; from the treatments of other compounds, "
                "most of which are unrelated. NULL with fewer than 20 of them",
            ),
            Column("e_value", REAL, "p_value times the treatments searched: so many as similar are expected by chance"),
            required(
                "is_same_compound",
                FLAG,
                "Whether the neighbour is the same compound, at another dose; FALSE where a compound is not known",
            ),
            required("neighbour", TEXT, "Perturbation id of the neighbour: compound@dose unit"),
            Column("neighbour_compound", TEXT, "Compound of the neighbour"),
            Column("neighbour_concentration", REAL, "Concentration of the neighbour, in neighbour_concentration_unit"),
            Column("neighbour_concentration_unit", TEXT, "Unit of neighbour_concentration"),
            Column("neighbour_moa", TEXT, "Mechanism of action of the neighbour; NULL where it is not known"),
            Column("neighbour_pert_type", TEXT, "Kind of the neighbour: trt, negcon or poscon"),
            Column("n_features", INT, "Features compared; a missing value counts as no difference from the controls"),
        ),
        order=(keys.PERTURBATION, "rank"),
        per_plate=False,
    ),
)
