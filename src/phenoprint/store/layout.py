"""Where things lie in a screen folder, and names that are safe on every file system."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

__all__ = [
    "decode_name",
    "encode_name",
    "partition",
    "table_files",
    "table_folder",
]

PARTITION = "Metadata_Plate="
NO_PLATE = "__HIVE_DEFAULT_PARTITION__"
CATALOG = "screen.duckdb"
CONFIG = "screen.toml"

# Names Windows keeps for devices, with or without an extension.
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}


def encode_name(name: str) -> str:
    """Turn any identifier into a file name that Windows, macOS and Linux take and that hive readers decode.

    Letters, digits, ``-`` and ``_`` stay, dots stay inside the name, everything else is percent-encoded UTF-8.

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
    if encoded.endswith("."):  # Windows drops it
        encoded = f"{encoded[:-1]}%2E"
    return encoded


def decode_name(name: str) -> str:
    """Return the identifier that `encode_name` made a name of.

    Examples
    --------
    >>> decode_name(encode_name("plate é/1"))
    'plate é/1'
    """
    return unquote(name)


def table_folder(folder: Path, table: str) -> Path:
    """``tables/<table>`` below the screen folder."""
    return folder / "tables" / table


def partition(folder: Path, table: str, plate: str | None, *, root: str = "tables") -> Path:
    """Return the folder of one plate's rows; `plate` None for rows that belong to no plate."""
    return folder / root / table / (PARTITION + (NO_PLATE if plate is None else encode_name(plate)))


def plate_of(path: Path) -> str | None:
    """Return the plate whose partition holds `path`; None outside a partition or for no plate."""
    for part in path.parts:
        if part.startswith(PARTITION):
            name = part.removeprefix(PARTITION)
            return None if name == NO_PLATE else decode_name(name)
    return None


def table_files(folder: Path, table: str) -> list[Path]:
    """Every Parquet file of a table, sorted: one for the screen or some for each plate."""
    base = table_folder(folder, table)
    return sorted([*base.glob("*.parquet"), *base.glob(f"{PARTITION}*/*.parquet")])


def tables_on_disk(folder: Path) -> list[str]:
    """Names of the tables that have at least one Parquet file, sorted."""
    base = folder / "tables"
    if not base.is_dir():
        return []
    return sorted(path.name for path in base.iterdir() if path.is_dir() and table_files(folder, path.name))
