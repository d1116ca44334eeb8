"""Whether plates may be used."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

TABLES: Final = (
    Table(
        "plate_acceptance",
        "One row per plate and check: whether the plate may be used",
        (
            c.PLATE,
            required("criterion", TEXT, "What is checked"),
            Column("value", REAL, "What was found: a number of wells, Z', a share of variance, a correlation, ..."),
            Column("effect", REAL, "Size of the effect: share of variance, difference, distance; see reason"),
            Column("p", REAL, "Probability of such a value without an effect, by permutation; NULL where not tested"),
            Column("n", LONG, "Wells, fields or plates behind the value"),
            Column("threshold", REAL, "Limit of the check: the one that was broken, else the one that warns"),
            Column("verdict", TEXT, "pass, warn or fail; NULL where the check was not possible or is not judged"),
            Column("poscon", TEXT, "Positive control that is compared with the negative ones"),
            Column("readout", TEXT, "Readout or feature that is compared; cell_count and profile are none of these"),
            Column("is_best", FLAG, "Whether it is the best of those compared, and so looks better than it is"),
            Column("n_compared", LONG, "Positive controls or features of which it is the best, or not"),
            Column("is_excluded", FLAG, "Whether the plate is left out because of this check; NULL: it is not"),
            c.REASON,
        ),
        key=(keys.PLATE, "criterion"),
        references=(c.TO_PLATE,),
    ),
)
