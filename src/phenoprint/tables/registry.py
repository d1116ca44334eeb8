"""All declared tables, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from phenoprint.errors import UnknownNameError
from phenoprint.tables.declarations import (
    acceptance,
    activity,
    answers,
    cells,
    clusters,
    cross_fit,
    doses,
    heterogeneity,
    hits,
    images,
    mechanisms,
    profiles,
    run,
    similarity,
    wells,
)

if TYPE_CHECKING:
    from phenoprint.tables.records import Table

__all__ = ["get_table", "table_names"]

_SUBJECTS = (
    wells,
    images,
    cells,
    profiles,
    cross_fit,
    heterogeneity,
    acceptance,
    activity,
    hits,
    answers,
    clusters,
    doses,
    similarity,
    mechanisms,
    run,
)
_TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {table.name: table for subject in _SUBJECTS for table in subject.TABLES}
)


def table_names() -> list[str]:
    """List every declared table, sorted.

    Examples
    --------
    >>> "cell" in table_names()
    True
    """
    return sorted(_TABLES)


def get_table(name: str) -> Table:
    """Return the declaration of one table.

    Raises
    ------
    UnknownNameError
        If no table of that name is declared.

    Examples
    --------
    >>> get_table("well").key
    ('Metadata_Plate', 'Metadata_Well')
    """
    try:
        return _TABLES[name]
    except KeyError:
        raise UnknownNameError("table", name, _TABLES) from None
