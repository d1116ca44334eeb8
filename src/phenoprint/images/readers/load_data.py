"""The reader of CellProfiler's and JUMP's ``load_data.csv``."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import polars as pl

from phenoprint.errors import ImageError
from phenoprint.images.readers.reader import INDEX_SCHEMA, Reader, check_root, exists, tidy_index
from phenoprint.plates import normalize_wells

__all__ = ["LoadDataReader", "find_load_data"]

_ENDINGS = (".csv", ".csv.gz", ".parquet")
_NOT_AN_IMAGE = re.compile(r"^(?:Illum|Mask|Objects?_|Outline)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class LoadDataReader(Reader):
    """Index the images that a ``load_data.csv`` lists.

    Columns ``FileName_<Channel>`` with ``PathName_<Channel>``, or ``URL_<Channel>``; the prefix ``Orig`` of a channel
    is removed, and illumination functions, masks and objects are ignored. Images are often moved after the table was
    written: a folder that does not exist is searched below the root by shorter and shorter ends of its path.

    Parameters
    ----------
    path
        The table (``.csv``, ``.csv.gz``, ``.parquet``), relative to the root or absolute. Default: every ``load_data*``
        below the root, one per folder. Plain text is preferred to gzip and Parquet, and tables without illumination
        to those with it.
    path_map
        Beginning of a folder in the table to its replacement; applied first.
    plate
        Plate of every row; takes precedence over ``Metadata_Plate``.
    """

    path: str | None = None
    path_map: Mapping[str, str] = field(default_factory=dict)
    plate: str | None = None

    def index(self, root: Path) -> pl.DataFrame:
        """List the images of the tables; see `Reader.index`."""
        base = check_root(root)
        tables = [Path(base) / self.path] if self.path is not None else find_load_data(base)
        if not tables:
            raise ImageError(
                f"no load_data.csv, load_data.csv.gz or load_data.parquet below {base}; give its path, or "
                "read the images by a file name pattern"
            )
        parts = [self._rows(table) for table in tables]
        rows = pl.concat(parts).unique(maintain_order=True)
        return tidy_index(_locate(rows, base, dict(self.path_map)))

    def _rows(self, table: Path) -> pl.DataFrame:
        """Return one row per image of a table: the index columns, ``folder`` and ``name``."""
        frame = read_file_list(table)
        names = {re.sub(r"^Image_", "", name): name for name in frame.columns}
        frame = frame.rename({old: new for new, old in names.items()})
        plate = pl.lit(self.plate, dtype=pl.String) if self.plate is not None else _text(frame, "Metadata_Plate")
        keys = frame.select(
            plate.alias("Metadata_Plate"),
            _wells(frame, table),
            _text(frame, "Metadata_Site", "Metadata_FieldID", "Metadata_Field").fill_null("1").alias("Metadata_Site"),
            _number(frame, "Metadata_Z", "Metadata_PlaneID", "Metadata_ZPlane").alias("Metadata_Z"),
            _number(frame, "Metadata_T", "Metadata_TimepointID", "Metadata_Timepoint").alias("Metadata_T"),
        )
        parts = []
        for channel, (folder, name) in _images(frame, table).items():
            number = frame.with_columns(_number(frame, f"Frame_{channel}").alias("page"))["page"]
            parts.append(
                keys.with_columns(
                    pl.lit(channel.removeprefix("Orig").strip("_") or channel).alias("Metadata_Channel"),
                    number,
                    folder.alias("folder"),
                    name.alias("name"),
                ).filter(pl.col("name").is_not_null())
            )
        return pl.concat(parts)


def _text(frame: pl.DataFrame, *names: str) -> pl.Expr:
    """Return the first of the columns that exists; null if none does."""
    found = next((name for name in names if name in frame.columns), None)
    return pl.lit(None, dtype=pl.String) if found is None else pl.col(found)


def _number(frame: pl.DataFrame, *names: str) -> pl.Expr:
    """Return the first of the columns that exists as an integer; 0 if none does."""
    return _text(frame, *names).cast(pl.Int32, strict=False).fill_null(0)


def read_file_list(path: Path) -> pl.DataFrame:
    """Read a CSV (gzipped or not) or Parquet table with every value as a string.

    Raises
    ------
    ImageError
        If the file cannot be read, or has no rows.
    """
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path).with_columns(pl.all().cast(pl.String))
        else:
            data = path.read_bytes()
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            frame = pl.read_csv(io.BytesIO(data), infer_schema=False, encoding="utf8-lossy")
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist; give the path of the load_data table") from error
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise ImageError(f"{path} cannot be read as a load_data table: {error}") from error
    if frame.is_empty():
        raise ImageError(f"{path} has no rows; write the load_data table again")
    return frame


def find_load_data(root: Path) -> list[Path]:
    """List the load_data tables below a folder, one per folder, sorted.

    Parameters
    ----------
    root
        Image root.
    """
    best: dict[str, Path] = {}
    for folder, _, names in os.walk(root):
        tables = [name for name in names if re.match(r"load_data.*\.(?:csv|csv\.gz|parquet)$", name, re.IGNORECASE)]
        if tables:
            chosen = min(tables, key=lambda name: ("illum" in name.lower(), _ENDINGS.index(_ending(name)), name))
            best[folder] = Path(folder) / chosen
    return [best[folder] for folder in sorted(best)]


def _ending(name: str) -> str:
    """Return the position of a table's ending in the order of preference."""
    return next(end for end in _ENDINGS if name.lower().endswith(end))


def _wells(frame: pl.DataFrame, table: Path) -> pl.Series:
    """Return wells as ``A01``, from ``Metadata_Well`` or from row and column."""
    if "Metadata_Well" in frame.columns:
        text = frame["Metadata_Well"]
    elif {"Metadata_Row", "Metadata_Col"} <= set(frame.columns):
        row, col = pl.col("Metadata_Row"), pl.col("Metadata_Col")
        spelled = pl.when(row.str.contains(r"^\d+$")).then("r" + row + "c" + col).otherwise(row + col)
        text = frame.select(spelled.alias("Metadata_Well")).to_series()
    else:
        raise ImageError(
            f"{table} has no column Metadata_Well, nor Metadata_Row and Metadata_Col; found "
            f"{', '.join(frame.columns[:8])}...; add the wells to the table"
        )
    wells = normalize_wells(text, strict=False)
    if wells.null_count():
        bad = text.filter(wells.is_null())[0]
        raise ImageError(
            f"{table}: {wells.null_count()} of {len(wells)} rows have no readable well, such as {bad!r}; "
            "write wells like A01"
        )
    return wells.alias("Metadata_Well")


def _images(frame: pl.DataFrame, table: Path) -> dict[str, tuple[pl.Series, pl.Series]]:
    """Return expressions for folder and file name of the images, by channel as named in the columns."""
    found: dict[str, tuple[pl.Series, pl.Series]] = {}
    for column in frame.columns:
        kind, _, channel = column.partition("_")
        if kind not in ("FileName", "URL") or not channel or _NOT_AN_IMAGE.match(channel) or channel in found:
            continue
        if kind == "FileName":
            folder = frame.with_columns(_text(frame, f"PathName_{channel}").fill_null("").alias("folder"))
            found[channel] = folder["folder"], frame[column]
        else:
            whole = frame[column].str.replace_all("\\", "/", literal=True)
            found[channel] = (
                whole.str.extract(r"^(.*)/[^/]*$", 1).fill_null(""),
                whole.str.extract(r"([^/]+)$", 1),
            )
    if not found:
        raise ImageError(
            f"{table} has no FileName_ or URL_ column of an image; found {', '.join(frame.columns[:8])}..."
        )
    return found


def _locate(rows: pl.DataFrame, root: Path, path_map: Mapping[str, str]) -> pl.DataFrame:
    """Add ``path``, relative to the root where possible; each folder is searched once."""
    first = rows.group_by("folder").agg(pl.col("name").first()).sort("folder")
    found = {folder: _place(folder, name, root, path_map) for folder, name in first.iter_rows()}
    where = {folder: place for folder, (place, _) in found.items()}
    for folder in _impostors(rows, {key: (where[key], depth) for key, (_, depth) in found.items()}, root):
        text = _mapped(folder, path_map)
        where[folder] = f"{text}/" if text else ""
    return _with_paths(rows, where).select(list(INDEX_SCHEMA))


def _with_paths(rows: pl.DataFrame, where: Mapping[str, str]) -> pl.DataFrame:
    """Add ``path`` from the location of each folder."""
    place = pl.col("folder").replace_strict(dict(where), return_dtype=pl.String)
    return rows.with_columns((place + pl.col("name")).alias("path"))


def _impostors(rows: pl.DataFrame, found: Mapping[str, tuple[str, int]], root: Path) -> list[str]:
    """Return folders that were wrongly located in another folder: plates of one microscope have equal file names.

    Of folders with the same location, the one with the longest common path is right.

    Raises
    ------
    ImageError
        If several have a common path of this length.
    """
    depths = {folder: depth for folder, (_, depth) in found.items()}
    paths = _with_paths(rows, {folder: place for folder, (place, _) in found.items()})
    claims = paths.group_by("path").agg(pl.col("folder").unique().sort())
    shared = claims.filter(pl.col("folder").list.len() > 1)["folder"].unique().to_list()
    wrong: set[str] = set()
    for folders in shared:
        deepest = max(depths[folder] for folder in folders)
        right = [folder for folder in folders if depths[folder] == deepest]
        if len(right) > 1:
            raise ImageError(
                f"folders {right[0]!r} and {right[1]!r} of the load_data table both lead to the same files "
                f"below {root}; give the location of each with path_map"
            )
        wrong |= set(folders) - set(right)
    return sorted(wrong)


def _place(folder: str, name: str, root: Path, path_map: Mapping[str, str]) -> tuple[str, int]:
    """Return the current location of a folder of the table, and the number of names in their common path.

    The location is a prefix of the paths of its files. If it is not found, return the folder as written and -1.
    """
    text = _mapped(folder, path_map)
    parts = [part for part in PurePosixPath(text).parts if part not in ("/", ".")]
    above = list(root.resolve().parts)
    for skip in range(len(parts) + 1):
        below = "/".join(parts[skip:])
        if ".." not in parts[skip:] and exists(root / below / name):
            # names that the table shares with the path of the root count as well
            pairs = zip(reversed(parts[:skip]), reversed(above), strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            return (below + "/" if below else ""), len(parts) - skip + shared
    return (text + "/" if text else ""), len(parts) if text and exists(Path(text) / name) else -1


def _mapped(folder: str, path_map: Mapping[str, str]) -> str:
    """Apply the longest matching beginning of the map; remove a final slash."""
    text = _plain(folder)
    for old, new in sorted(path_map.items(), key=lambda pair: -len(pair[0])):
        start = _plain(old).rstrip("/")
        if text == start or text.startswith(start + "/"):
            text = _plain(new).rstrip("/") + text[len(start) :]
            break
    return text.rstrip("/")


def _plain(folder: str) -> str:
    """Return a path with forward slashes, without scheme, host and percent encoding."""
    text = folder.strip().replace("\\", "/")
    if re.match(r"^[A-Za-z][A-Za-z0-9+.-]+:/", text):
        try:
            parts = urlsplit(text)
        except ValueError:  # not a valid address: the file will be reported missing under this name
            return text
        text = unquote(f"{parts.netloc}{parts.path}" if parts.scheme == "s3" else parts.path)
    return re.sub(r"/{2,}", "/", text)
