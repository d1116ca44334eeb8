"""Paths in a screen folder, and names that are safe on every file system.

The rows of a plate are in ``tables/<table>/<plate>/``, those of tables without plates in ``tables/<table>/``. Every
file holds ``Metadata_Plate`` as text, and folders are not named ``Metadata_Plate=<plate>``: pandas, pyarrow, R's arrow,
polars and DuckDB would then infer the type of the plate from the folder, read plate 000123 as the number 123, and
reject the files because their own column is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = [
    "STEP_COLUMNS",
    "STEP_LEVELS",
    "decode_name",
    "encode_name",
    "own_files",
    "partition",
    "plate_folders",
    "plate_of",
    "step_part",
    "table_files",
    "table_folder",
    "tables_of",
]

STEP_LEVELS = {"profile_normalized": "+4a", "profile_selected": "+4b"}
"""Tables that are files of a step of the recipe, and the mark in the names of these files."""

STEP_COLUMNS = ("Metadata_Step", "Metadata_Step_Number")
"""Columns of ``profile_step`` that the tables in `STEP_LEVELS` do not have."""

# Folder of rows without a plate; no encoded plate name has a plus sign.
NO_PLATE = "+screen"
CATALOG = "screen.duckdb"
CONFIG = "screen.toml"

# Names that Windows reserves for devices, with or without an extension.
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}


def encode_name(name: str) -> str:
    """Encode any identifier as a file name that is valid on Windows, macOS and Linux and that no reader skips.

    Letters, digits, ``-`` and ``_`` are kept, and dots within the name; everything else is percent-encoded UTF-8.
    ``_`` is encoded at the beginning, where pyarrow regards it as the mark of a hidden file.

    Examples
    --------
    >>> encode_name("000123"), encode_name("plate é/1"), encode_name("a=b")
    ('000123', 'plate%20%C3%A9%2F1', 'a%3Db')
    >>> encode_name("con"), encode_name("..")
    ('%63on', '%2E%2E')
    """
    encoded = quote(name, safe="").replace("~", "%7E")
    if encoded.split(".")[0].lower() in _RESERVED:
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if encoded.startswith("."):  # hidden, or the folder itself or its parent
        encoded = encoded.replace(".", "%2E")
    if encoded.startswith("_"):
        encoded = f"%5F{encoded[1:]}"
    if encoded.endswith("."):  # Windows drops it
        encoded = f"{encoded[:-1]}%2E"
    return encoded


def decode_name(name: str) -> str:
    """Return the identifier of a name that `encode_name` returned.

    Examples
    --------
    >>> decode_name(encode_name("plate é/1"))
    'plate é/1'
    """
    return unquote(name)


def table_folder(folder: Path, table: str) -> Path:
    """Return ``tables/<table>`` in the screen folder."""
    return folder / "tables" / table


def partition(folder: Path, table: str, plate: str | None, *, root: str = "tables") -> Path:
    """Return the folder of one plate's rows; `plate` is None for rows without a plate."""
    return folder / root / table / (NO_PLATE if plate is None else encode_name(plate))


def plate_of(folder: Path, path: Path) -> str | None:
    """Return the plate of a file of a screen; None if its rows have no plate or several.

    Parameters
    ----------
    folder
        The screen folder.
    path
        A file below ``tables`` or ``parts``.

    Examples
    --------
    >>> plate_of(Path("s"), Path("s/tables/cell/000123/cell.parquet"))
    '000123'
    >>> plate_of(Path("s"), Path("s/tables/feature/feature.parquet"))
    """
    _, _, *below, _ = path.relative_to(folder).parts
    return decode_name(below[0]) if below and below[0] != NO_PLATE else None


def plate_folders(folder: Path, root: str = "tables") -> Iterator[tuple[str, str, Path]]:
    """Yield the folders that hold rows of a plate: table, plate and folder."""
    for path in sorted((folder / root).glob("*/*/")):
        if path.is_dir() and path.name != NO_PLATE:
            yield path.parent.name, decode_name(path.name), path


def step_part(number: int, name: str, tables: Iterable[str] = ()) -> str:
    """Name the file of a step of the recipe, which also holds the rows of `tables` (`STEP_LEVELS`).

    Examples
    --------
    >>> step_part(3, "limit", ["profile_selected"])
    '03_limit+4b'
    """
    return f"{number:02d}_{encode_name(name)}{''.join(STEP_LEVELS[table] for table in sorted(tables))}"


def own_files(folder: Path, table: str) -> list[Path]:
    """List the Parquet files in a table's own folder, sorted: one for the screen or some for each plate."""
    base = table_folder(folder, table)
    return sorted([*base.glob("*.parquet"), *base.glob("*/*.parquet")])


def table_files(folder: Path, table: str) -> list[Path]:
    """List every Parquet file that holds rows of a table, sorted.

    Levels 4a and 4b that the recipe made have no files of their own: they are those of the step that made them.
    Imported ones have.
    """
    files = own_files(folder, table)
    if files or table not in STEP_LEVELS:
        return files
    return sorted(table_folder(folder, "profile_step").glob(f"*/*{STEP_LEVELS[table]}*.parquet"))


def tables_of(path: Path) -> set[str]:
    """Name the tables that a file below ``tables`` holds rows of.

    Examples
    --------
    >>> sorted(tables_of(Path("s/tables/profile_step/P1/03_limit+4b.parquet")))
    ['profile_selected', 'profile_step']
    """
    place = path.parts[::-1].index("tables")
    table = path.parts[::-1][place - 1]
    levels = {name for name, mark in STEP_LEVELS.items() if mark in path.name} if table == "profile_step" else set()
    return {table} | levels


def tables_on_disk(folder: Path) -> list[str]:
    """Return the names of the tables with at least one Parquet file of their own, sorted."""
    base = folder / "tables"
    if not base.is_dir():
        return []
    return sorted(path.name for path in base.iterdir() if path.is_dir() and own_files(folder, path.name))
