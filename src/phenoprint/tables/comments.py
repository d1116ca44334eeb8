"""What a column means, also where a table holds it without declaring it, such as the annotation of its wells."""

from __future__ import annotations

from functools import cache

from phenoprint.tables.schemas import get_table, table_names

__all__ = ["column_comment"]

# Where a name that a table does not declare is looked up, first of all.
_MEANINGS = ("well", "perturbation", "site", "plate", "profile_well", "image_quality")
# What a run or a plate map adds, and no table declares.
_OTHERS = {
    "Metadata_Replicate_Count": "Wells that were summed up to the profile",
    "Metadata_Step": "Step of the recipe",
    "Metadata_Step_Number": "Place of the step in the recipe, from 1",
    "touches_border": "Whether the cell touches the border of its image; NULL for imported cells",
}


def column_comment(table: str, column: str) -> str | None:
    """Return what a column of a declared table means; None for features and for what only the user knows.

    Examples
    --------
    >>> column_comment("profile_selected", "Metadata_Concentration")
    'Concentration, in Metadata_Concentration_Unit'
    >>> column_comment("cell", "Cells_AreaShape_Area") is None
    True
    """
    declared = {known.name: known.description for known in get_table(table).columns}
    return declared.get(column) or _shared().get(column)


@cache
def _shared() -> dict[str, str]:
    """Return the meaning of each column that any table declares, by name; that of the most general table."""
    found: dict[str, str] = {}
    for name in (*_MEANINGS, *table_names()):
        for column in get_table(name).columns:
            if column.name.startswith("Metadata_") or name == "image_quality":
                found.setdefault(column.name, column.description)
    return found | _OTHERS
