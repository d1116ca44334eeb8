"""Tables that other software wrote, read into the names and types of a screen.

Metadata stays text, so that no barcode loses its zeros; what cannot be a number is metadata; everything else is
a feature and a 32-bit float. A missing value is NULL, whether it was written as nothing, ``nan`` or ``NA``.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl

from phenoprint.errors import DataError, SchemaError
from phenoprint.store.schemas import nan_to_null

__all__ = ["clean_profiles", "read_csv", "read_profiles"]

# Metadata that is a number by its meaning; everything else under Metadata_ is text.
NUMBERS: dict[str, pl.DataType] = {
    "Metadata_ObjectNumber": pl.Int32(),
    "Metadata_Object_Count": pl.Int64(),
    "Metadata_Site_Count": pl.Int64(),
    "Metadata_Row": pl.Int32(),
    "Metadata_Col": pl.Int32(),
    "Metadata_Concentration": pl.Float64(),
}
MISSING = ("", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "null", "NULL", "None", "#N/A", "-1.#IND", "1.#QNAN")
_TEXT_MISSING = ("", "nan", "NaN", "NAN", "null", "NULL", "None")
_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".parquet", ".pq")
_DATABASES = (".sqlite", ".sqlite3", ".db")


def read_profiles(path: str | Path) -> pl.DataFrame:
    """Read profiles or single cells that any tool of the field wrote.

    Parameters
    ----------
    path
        A Parquet, CSV or TSV file (also gzipped) with ``Metadata_`` columns and features; or CellProfiler's own
        output: a folder with ``Image.csv``, ``Cells.csv``, ``Nuclei.csv`` and ``Cytoplasm.csv`` (or a tree of such
        folders), or the SQLite file that it or cytominer-database wrote.

    Returns
    -------
    polars.DataFrame
        ``Metadata_`` columns as text (counts, row, column, object number and concentration as numbers where they
        are), then features as Float32, NULL where missing. ``Image_Metadata_X`` becomes ``Metadata_X``; a column
        of text without the prefix gets it.

    Raises
    ------
    SchemaError
        If the file has no feature or cannot be understood.
    LostRowsError
        If CellProfiler's tables do not fit each other, so that cells would be lost or doubled.
    DataError
        If there is nothing to read at the path.

    Warns
    -----
    UserWarning
        If objects of CellProfiler's tables have no place in the result; `read_cellprofiler` gives their ledger.
    """
    source = Path(path).expanduser()
    if not source.exists():
        raise DataError(f"no such file or folder: {source}; give a Parquet, CSV, TSV or SQLite file or a folder")
    if source.is_dir() or source.suffix.lower() in _DATABASES:
        from phenoprint.store.cellprofiler import read_cellprofiler, warn_of_losses

        frame, ledger = read_cellprofiler(source)
        warn_of_losses(source, ledger)
        return frame
    if not source.name.lower().endswith(_TABLES):
        raise SchemaError(f"{source}: expected one of {', '.join(_TABLES + _DATABASES)} or a folder")
    is_parquet = source.suffix.lower() in (".parquet", ".pq")
    frame = clean_profiles(_read_parquet(source) if is_parquet else read_csv(source), source=str(source))
    if not any(not name.startswith("Metadata_") for name in frame.columns):
        raise SchemaError(f"{source} has no feature: none of its {frame.width} columns is a number without Metadata_")
    return frame


def read_csv(path: Path) -> pl.DataFrame:
    """Read a CSV or TSV file, gzipped or not: metadata as text, columns of numbers as Float32, others as text.

    Raises
    ------
    SchemaError
        If it is empty, has ragged rows or two columns of one name.
    """
    try:
        opener = gzip.open if path.name.lower().endswith(".gz") else open
        with opener(path, "rb") as handle:
            first = handle.readline().decode("utf-8-sig")
            content = first.encode() + handle.read()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} cannot be read: {error}; it may be truncated or not be a text file") from error
    tabs = first.count("\t")
    separator = "\t" if tabs > first.count(",") else ","
    names = [name.strip().strip('"') for name in first.rstrip("\r\n").split(separator)]
    if not first.strip():
        raise SchemaError(f"{path} is empty; expected a header and rows")
    doubled = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if doubled:
        raise SchemaError(f"{path} has several columns called {', '.join(doubled[:5])}; rename or drop all but one")
    types = {name: pl.String() if is_metadata(name) else pl.Float32() for name in names}
    try:
        try:
            return pl.read_csv(content, separator=separator, schema_overrides=types)
        except pl.exceptions.ComputeError:  # some column is not numbers only: read text, then see which
            return _numbers(pl.read_csv(content, separator=separator, infer_schema=False))
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"{path} is not a table: {error}") from error


def clean_profiles(frame: pl.DataFrame, *, source: str = "the frame") -> pl.DataFrame:
    """Give a frame the names and types of a screen's profiles; see `read_profiles`.

    Parameters
    ----------
    frame
        Any table of profiles or cells.
    source
        What to call it in errors.

    Raises
    ------
    SchemaError
        If a column would take the name of another one.

    Examples
    --------
    >>> raw = pl.DataFrame({"Image_Metadata_Well": ["A01"], "Metadata_Plate": [17], "Cells_A": [float("nan")]})
    >>> clean_profiles(raw).row(0, named=True)
    {'Metadata_Well': 'A01', 'Metadata_Plate': '17', 'Cells_A': None}
    """
    renames: dict[str, str] = {}
    for name, dtype in frame.schema.items():
        if name.startswith("Image_Metadata_"):
            renames[name] = name.removeprefix("Image_")
        elif not is_metadata(name) and _is_text(dtype):
            renames[name] = f"Metadata_{name or 'unnamed'}"
    held = set(frame.columns)
    renames = {old: new for old, new in renames.items() if new not in held or _same(frame, old, new)}
    merged = [old for old, new in renames.items() if new in held]
    clash = sorted({new for new in renames.values() if list(renames.values()).count(new) > 1})
    if clash:
        raise SchemaError(f"{source}: several columns would be called {', '.join(clash)}; rename or drop all but one")
    frame = frame.drop(merged).rename({old: new for old, new in renames.items() if old not in merged})
    left = [name for name, dtype in frame.schema.items() if not is_metadata(name) and _is_text(dtype)]
    if left:
        raise SchemaError(f"{source}: {', '.join(left[:5])} differ from the columns they repeat; drop one of each pair")
    columns = [_typed(column) for column in frame]
    described = [column for column in columns if is_metadata(column.name)]
    features = [column for column in columns if not is_metadata(column.name)]
    return nan_to_null(pl.DataFrame([*described, *features]))


def is_metadata(name: str) -> bool:
    """Whether a column describes rather than measures, by its name."""
    return name.startswith(("Metadata_", "Image_Metadata_"))


def _typed(column: pl.Series) -> pl.Series:
    """Give the column the type its name asks for."""
    if not is_metadata(column.name):
        return column.cast(pl.Float32)
    if column.dtype.is_float() and bool((column.is_null() | column.is_nan() | (column == column.round())).all()):
        column = column.fill_nan(None).cast(pl.Int64)  # whole numbers that a missing one had turned into floats
    text = column.cast(pl.String)
    text = text.set(text.is_in(_TEXT_MISSING).fill_null(value=False), None)
    wanted = NUMBERS.get(column.name) or (pl.Int64() if column.name.startswith("Metadata_Count_") else None)
    if wanted is None:
        return text
    number = text.cast(wanted, strict=False)
    return number if number.null_count() == text.null_count() else text


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn those columns of a frame of text into Float32 that hold numbers and missing values only."""
    columns = []
    for column in frame:
        if is_metadata(column.name):
            columns.append(column)
            continue
        given = column.set(column.str.strip_chars().is_in(MISSING).fill_null(value=False), None)
        number = given.cast(pl.Float32, strict=False)
        columns.append(number if number.null_count() == given.null_count() else column)
    return pl.DataFrame(columns)


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.scan_parquet(path, glob=False, hive_partitioning=False).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SchemaError(f"{path} is not a readable Parquet file: {error}") from error


def _is_text(dtype: pl.DataType) -> bool:
    return not (dtype.is_numeric() or dtype in (pl.Null, pl.Boolean))


def _same(frame: pl.DataFrame, one: str, other: str) -> bool:
    return frame[one].cast(pl.String).equals(frame[other].cast(pl.String), check_names=False)
