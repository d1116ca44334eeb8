"""The exceptions of Phenoprint.

PhenoprintError
├── UsageError            wrong arguments or configuration; nothing was done
│   ├── UnknownNameError  a method, preset, channel or column that does not exist
│   ├── ConfigError       screen.toml is wrong
│   └── MissingExtraError an optional dependency is not installed
├── DataError             data on disk or in a frame are wrong
│   ├── ImageError        an image file cannot be read or does not fit its neighbours
│   ├── PlateMapError     a plate map cannot be understood
│   ├── SchemaError       a table lacks columns or holds wrong types
│   │   └── DamagedTableError a file of a table cannot be read
│   └── LostRowsError     a join or a step would lose rows
└── ScreenError           a screen folder cannot be used
    ├── ScreenNotFoundError
    └── ScreenLockedError another run uses the screen

Messages state what was expected, what was found, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "ConfigError",
    "DamagedTableError",
    "DataError",
    "ImageError",
    "LostRowsError",
    "MissingExtraError",
    "PhenoprintError",
    "PlateMapError",
    "SchemaError",
    "ScreenError",
    "ScreenLockedError",
    "ScreenNotFoundError",
    "UnknownNameError",
    "UsageError",
    "first_few",
]


class PhenoprintError(Exception):
    """Base of every error that Phenoprint raises on purpose."""


class UsageError(PhenoprintError, ValueError):
    """The arguments or the configuration are wrong; nothing was done."""


class UnknownNameError(UsageError):
    """A name is not among the known ones.

    Parameters
    ----------
    kind
        The kind of name, such as ``"normalization method"``.
    name
        The name that was given.
    known
        The known names; the closest is suggested.

    Examples
    --------
    >>> str(UnknownNameError("statistic", "medain", ["mean", "median"]))
    "unknown statistic 'medain'; did you mean 'median'? Known: mean, median"
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        super().__init__(f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}")


class ConfigError(UsageError):
    """The screen's configuration is wrong."""


class MissingExtraError(UsageError, ImportError):
    """An optional dependency is not installed.

    Examples
    --------
    >>> str(MissingExtraError("harmonypy", extra="harmony", purpose="Harmony batch correction"))
    "Harmony batch correction needs 'harmonypy', which is not installed: pip install 'phenoprint[harmony]'"
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package!r}, which is not installed: pip install 'phenoprint[{extra}]'")


class DataError(PhenoprintError):
    """Data on disk or in a frame are wrong."""


class ImageError(DataError):
    """An image cannot be read or does not fit its neighbours."""


class PlateMapError(DataError):
    """A plate map cannot be understood."""


class SchemaError(DataError):
    """A table lacks columns or holds values of the wrong kind."""


class DamagedTableError(SchemaError):
    """A file of a screen's table cannot be read.

    Parameters
    ----------
    path
        The file.
    reason
        The fault.
    table
        The table, if it is known.

    Examples
    --------
    >>> str(DamagedTableError("cell.parquet", "it has no footer", table="cell")).partition(". ")[0]
    "table 'cell' is damaged: cell.parquet (it has no footer)"
    """

    def __init__(self, path: object, reason: str, *, table: str | None = None) -> None:
        what = f"table {table!r} is damaged: {path}" if table else f"{path} is damaged"
        super().__init__(
            f"{what} ({reason}). Run the screen again ('phenoprint run SCREEN --rehash'), which rebuilds it; import "
            "imported tables again"
        )
        self.table, self.path, self.reason = table, str(path), reason


class LostRowsError(DataError):
    """A join or a step would lose rows."""


class ScreenError(PhenoprintError):
    """A screen folder cannot be used."""


class ScreenNotFoundError(ScreenError, FileNotFoundError):
    """There is no screen at the path."""


class ScreenLockedError(ScreenError):
    """Another run uses the screen."""


def first_few(names: Sequence[str], limit: int = 5) -> str:
    """List names in a message, and count those beyond the first few.

    Parameters
    ----------
    names
        The names.
    limit
        The number of names that are listed.

    Examples
    --------
    >>> first_few(["A01", "A02"]), first_few(["A01", "A02", "A03"], 1)
    ('A01, A02', 'A01 and 2 more')
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
