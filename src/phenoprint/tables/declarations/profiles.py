"""Profiles of wells and treatments, level by level, and what the recipe did to them."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import INT, LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table


def _profile(name: str, description: str, *columns: Column, key: tuple[str, ...] = keys.WELL_KEY) -> Table:
    """Return a table of well profiles."""
    return Table(name, description, (c.PLATE, c.WELL, *columns), key=key, holds_features=True)


TABLES: Final = (
    _profile("profile_well", "Level 3: one row per well, aggregated from its cells", c.CELLS, c.SITES),
    _profile("profile_normalized", "Level 4a: well profiles, normalized", c.CELLS, c.SITES),
    _profile("profile_selected", "Level 4b: normalized well profiles, selected features only", c.CELLS, c.SITES),
    _profile(
        "profile_step",
        "One row per well and step: the well profiles after every step of the recipe",
        required("Metadata_Step", TEXT, "Step of the recipe"),
        required("Metadata_Step_Number", INT, "Place of the step in the recipe, from 1"),
        c.CELLS,
        c.SITES,
        key=(*keys.WELL_KEY, "Metadata_Step"),
    ),
    _profile(
        "profile_heterogeneity",
        "One row per well: how its cells are distributed over states, and how the distribution of each feature differs "
        "from that of the controls, in standard deviations of control wells with as many cells",
        c.CELLS,
        Column("Metadata_State_Cells", LONG, "Cells that could be given a state"),
    ),
    Table(
        "profile_consensus",
        "Level 5: one row per treatment, over its replicate wells",
        (
            c.PERTURBATION,
            c.CELLS,
            Column(keys.REPLICATE_COUNT, LONG, "Wells that were combined into the profile"),
        ),
        order=(keys.PERTURBATION,),
        per_plate=False,
        holds_features=True,
    ),
    Table(
        "step_score",
        "One row per step of the recipe and score: replicates, batches, positions and mechanisms after the step",
        (
            required("step", TEXT, "Step of the recipe; level3 before the first"),
            required("number", INT, "Its place in the recipe; 0 before the first"),
            required("score", TEXT, "What is scored"),
            Column("value", REAL, "Value; NULL where it cannot be computed"),
            Column("baseline", REAL, "What chance alone gives, where that is known"),
            Column("n", LONG, "Treatments or wells that were scored"),
            Column("n_total", LONG, "Treatments or wells of the screen"),
            c.REASON,
        ),
        key=("number", "score"),
        per_plate=False,
    ),
)
