"""Notes of an import: what was changed, what is unusual, and which columns differ between sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from phenoprint.errors import first_few

__all__ = ["Findings"]

_NOTES: Final = pl.Schema(
    {"kind": pl.String(), "column": pl.String(), "n": pl.Int64(), "n_sources": pl.Int64(), "detail": pl.String()}
)
_DIFFERENCES: Final = pl.Schema(
    {
        "column": pl.String(),
        "kind": pl.String(),
        "n_sources": pl.Int64(),
        "n_without": pl.Int64(),
        "without": pl.String(),
        "detail": pl.String(),
    }
)


@dataclass(slots=True)
class _Note:
    n: int
    detail: str
    sources: set[str]


@dataclass(slots=True)
class Findings:
    """Collects notes and the columns of every source while an import is read piece by piece.

    Sources with the same columns share one record, so that thousands of plates take little memory.

    Parameters
    ----------
    aliases
        Names of features in their source, where they were renamed.
    originals
        Names of metadata in their source, where they were renamed.
    """

    aliases: dict[str, str] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)
    _notes: dict[tuple[str, str | None], _Note] = field(default_factory=dict)
    _columns: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    _shared: dict[tuple[str, ...], dict[str, None]] = field(default_factory=dict)

    def note(self, kind: str, column: str | None, n: int, *, source: str, detail: str) -> None:
        """Add a note; notes of one kind and column are counted together, with the detail of the first."""
        held = self._notes.setdefault((kind, column), _Note(0, detail, set()))
        held.n += n
        held.sources.add(source)

    def not_used(self, path: object, name: str, detail: str) -> None:
        """Note a file that is not imported."""
        self.note("file_not_used", name, 1, source=str(path), detail=detail)

    def has(self, kind: str) -> bool:
        """Whether there is a note of a kind."""
        return any(noted == kind for noted, _ in self._notes)

    def detail(self, kind: str) -> str | None:
        """Return the detail of the first note of a kind; None if there is none."""
        return next((held.detail for (noted, _), held in self._notes.items() if noted == kind), None)

    def add_columns(self, source: str, columns: Iterable[str], *, among: str = "") -> None:
        """Add the columns of a source or a piece of it; sources of the same `among` are compared with each other."""
        names = tuple(columns)
        shared = self._shared.setdefault(names, dict.fromkeys(names))
        held = self._columns.get((among, source))
        self._columns[among, source] = shared if held is None or held is shared else held | shared

    def notes(self) -> pl.DataFrame:
        """Return the notes, one row per kind and column: ``kind``, ``column``, ``n``, ``n_sources``, ``detail``."""
        rows = [(kind, name, held.n, len(held.sources), held.detail) for (kind, name), held in self._notes.items()]
        return pl.DataFrame(rows, schema=_NOTES, orient="row")

    def differences(self) -> pl.DataFrame:
        """Compare the columns of the sources.

        Returns
        -------
        polars.DataFrame
            One row per column that some sources lack: ``column``; ``kind`` ``"absent"``, or ``"text_or_number"``
            where it holds text in some sources and numbers in the others; ``n_sources``; ``n_without``, how many lack
            it; ``without``, the first of those; ``detail``. Empty if all agree.
        """
        kinds = dict.fromkeys(among for among, _ in self._columns)
        rows = [row for kind in kinds for row in self._compared(kind)]
        return pl.DataFrame(rows, schema=_DIFFERENCES, orient="row")

    def _compared(self, kind: str) -> Iterator[tuple[str, str, int, int, str, str]]:
        """Compare the columns of the sources of one kind."""
        groups: dict[int, tuple[dict[str, None], list[str]]] = {}
        for (among, source), columns in self._columns.items():
            if among == kind:
                groups.setdefault(id(columns), (columns, []))[1].append(source)
        union = {name: None for columns, _ in groups.values() for name in columns}
        total = sum(len(sources) for _, sources in groups.values())
        for name in union:
            lacking = [source for columns, sources in groups.values() if name not in columns for source in sources]
            if not lacking:
                continue
            twin = f"Metadata_{name}" if f"Metadata_{name}" in union else name.removeprefix("Metadata_")
            is_both = twin != name and twin in union
            detail = f"{name} in some sources, {twin} in others" if is_both else "NULL in the rows of those sources"
            yield name, "text_or_number" if is_both else "absent", total, len(lacking), first_few(lacking, 3), detail
