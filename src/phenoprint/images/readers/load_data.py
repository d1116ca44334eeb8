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
_SITE = ("Metadata_Site", "Metadata_FieldID", "Metadata_Field")
_NOT_AN_IMAGE = re.compile(r"^(?:Illum|Mask|Objects?_|Outline)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class LoadDataReader(Reader):
    """Index the images that a ``load_data.csv`` lists.

    Columns ``FileName_<Channel>`` with ``PathName_<Channel>``, or ``URL_<Channel>``; ``Orig`` before the
    channel is dropped, illumination functions, masks and objects are left out. Images are often moved after
    the table was written: a folder that is not where the table says is looked for below the root by ever
    shorter ends of its path.

    Parameters
    ----------
    path
        The table (``.csv``, ``.csv.gz``, ``.parquet``), relative to the root or absolute. None: every
        ``load_data*`` below the root, one a folder, plain before gzipped before Parquet, without illumination
        before with.
    path_map
        Beginning of a folder as the table has it to the folder to use instead; tried before anything else.
    plate
        Plate of every row; outranks ``Metadata_Plate``.
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
        """One table with one row per image: the index columns, ``folder`` and ``name``."""
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
    """Return the first of the columns that is there; null without one."""
    found = next((name for name in names if name in frame.columns), None)
    return pl.lit(None, dtype=pl.String) if found is None else pl.col(found)


def _number(frame: pl.DataFrame, *names: str) -> pl.Expr:
    """Return the first of the columns that is there as a whole number; 0 without one."""
    return _text(frame, *names).cast(pl.Int32, strict=False).fill_null(0)


def read_file_list(path: Path) -> pl.DataFrame:
    """Read a CSV (gzipped or not) or Parquet table with every value as a string.

    Raises
    ------
    ImageError
        The file cannot be read, or holds no rows.
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
        raise ImageError(f"{path} holds no rows; write the load_data table again")
    return frame


def find_load_data(root: Path) -> list[Path]:
    """Load_data tables below a folder, one a folder, sorted.

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
    """Which of the endings a table has."""
    return next(end for end in _ENDINGS if name.lower().endswith(end))


def _wells(frame: pl.DataFrame, table: Path) -> pl.Series:
    """Wells as ``A01``, from ``Metadata_Well`` or row and column."""
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
    """Folder and file name of each channel's images, by the channel as the columns say it."""
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
    """Add ``path``, relative to the root where that is possible; folders are looked for once each."""
    first = rows.group_by("folder").agg(pl.col("name").first()).sort("folder")
    found = {folder: _place(folder, name, root, path_map) for folder, name in first.iter_rows()}
    where = {folder: place for folder, (place, _) in found.items()}
    for folder in _impostors(rows, {key: (where[key], depth) for key, (_, depth) in found.items()}, root):
        text = _mapped(folder, path_map)
        where[folder] = f"{text}/" if text else ""
    return _with_paths(rows, where).select(list(INDEX_SCHEMA))


def _with_paths(rows: pl.DataFrame, where: Mapping[str, str]) -> pl.DataFrame:
    """Add ``path`` from the place of each folder."""
    place = pl.col("folder").replace_strict(dict(where), return_dtype=pl.String)
    return rows.with_columns((place + pl.col("name")).alias("path"))


def _impostors(rows: pl.DataFrame, found: Mapping[str, tuple[str, int]], root: Path) -> list[str]:
    """Folders that led to the files of another folder: plates of one microscope have the same file names.

    Of folders that lead to the same files the one with most of its path in common is right.

    Raises
    ------
    ImageError
        Several have as much in common.
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
                f"below {root}; say where each is now with path_map"
            )
        wrong |= set(folders) - set(right)
    return sorted(wrong)


def _place(folder: str, name: str, root: Path, path_map: Mapping[str, str]) -> tuple[str, int]:
    """Where a folder of the table is now, and how many names of its path lead there.

    The place is a prefix of its files' paths; the folder as written, and -1, if it is nowhere.
    """
    text = _mapped(folder, path_map)
    parts = [part for part in PurePosixPath(text).parts if part not in ("/", ".")]
    above = list(root.resolve().parts)
    for skip in range(len(parts) + 1):
        below = "/".join(parts[skip:])
        if ".." not in parts[skip:] and exists(root / below / name):
            # names that the table and the root's own path share count too
            pairs = zip(reversed(parts[:skip]), reversed(above), strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            return (below + "/" if below else ""), len(parts) - skip + shared
    return (text + "/" if text else ""), len(parts) if text and exists(Path(text) / name) else -1


def _mapped(folder: str, path_map: Mapping[str, str]) -> str:
    """Apply the longest beginning of the map that fits; without a slash at the end."""
    text = _plain(folder)
    for old, new in sorted(path_map.items(), key=lambda pair: -len(pair[0])):
        start = _plain(old).rstrip("/")
        if text == start or text.startswith(start + "/"):
            text = _plain(new).rstrip("/") + text[len(start) :]
            break
    return text.rstrip("/")


def _plain(folder: str) -> str:
    """Forward slashes, no scheme and host, no percent signs."""
    text = folder.strip().replace("\\", "/")
    if re.match(r"^[A-Za-z][A-Za-z0-9+.-]+:/", text):
        try:
            parts = urlsplit(text)
        except ValueError:  # no address: the file is then missing under the name that the table gives
            return text
        text = unquote(f"{parts.netloc}{parts.path}" if parts.scheme == "s3" else parts.path)
    return re.sub(r"/{2,}", "/", text)
