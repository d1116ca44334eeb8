"""Comments of columns, also of those that a table holds without declaring them, such as annotations of wells."""

from __future__ import annotations

from functools import cache

from phenoprint.tables.keys import METADATA_PREFIX
from phenoprint.tables.registry import get_table, table_names

__all__ = ["column_comment"]

# The tables that are searched first for the comment of a column that a table does not declare.
_MEANINGS = ("well", "perturbation", "site", "plate", "profile_well")


def column_comment(table: str, column: str) -> str | None:
    """Return the comment of a column, with its unit; None for features and for columns that the user added.

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
    """Return the comment of every column that any table declares, by name; that of the most general table."""
    found: dict[str, str] = {}
    for name in (*_MEANINGS, *table_names()):
        for column in get_table(name).columns:
            if column.name.startswith(METADATA_PREFIX):
                found.setdefault(column.name, column.description)
    return found
