"""The reader of files whose names contain well, site and channel."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

import polars as pl

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.images.readers.patterns import GROUPS, PATTERNS
from phenoprint.images.readers.reader import INDEX_SCHEMA, Reader, check_root, tidy_index
from phenoprint.plates import normalize_wells

__all__ = ["FILE_KINDS", "PatternReader", "list_files", "match_pattern", "name_kinds", "one_kind"]

# Folders of an export other than those of plates.
_NOT_A_PLATE = r"(?i)(?:^|/)(?:images?|img|raw|tiffs?|data|flex|timepoint_\d+|zstep_\d+|measurement[ _]?\d+)$"
# Folders of a screen with files made from the images.
_OF_A_SCREEN = frozenset({"masks", "thumbnails", "report", "tables", "parts", "receipts", "illumination"})
# File name extensions of images, the preferred format first.
FILE_KINDS = {"tif": "TIFF", "tiff": "TIFF", "png": "PNG", "jpg": "JPEG", "jpeg": "JPEG"}
_HARMONY_TIME = r"__\d{4}-\d{2}-\d{2}.*$"  # BR00121482__2021-03-29T16_51_44-Measurement 1


@dataclass(frozen=True, kw_only=True)
class PatternReader(Reader):
    r"""Index files by a regular expression over their names.

    Parameters
    ----------
    pattern
        Name of a built-in pattern (see `phenoprint.images.PATTERNS`), a regular expression with named groups, or
        ``"auto"`` for the built-in pattern that fits best. With a built-in pattern, PNG and JPEG files are ignored as
        previews if there are TIFF files. Groups: ``well``, or ``row`` and ``col`` (letters or numbers); ``plate``,
        ``site``, ``channel``, ``z``, ``t``. An expression with a ``/`` must match the whole path below the root, any
        other the whole file name.
    plate
        Plate of every file; takes precedence over the names. Without it and without a ``plate`` group, the plate is the
        innermost folder that is neither a folder of the export (``Images``, ``TimePoint_1``) nor that of a well, or
        null directly below the root.
    exclude
        Shell patterns of file names to ignore.

    Examples
    --------
    >>> reader = PatternReader(pattern=r"(?P<well>\w+)_(?P<channel>\w+)\.tif")
    >>> reader.pattern
    '(?P<well>\\w+)_(?P<channel>\\w+)\\.tif'
    """

    pattern: str = "auto"
    plate: str | None = None
    exclude: tuple[str, ...] = ("*_thumb*", "._*")

    def index(self, root: Path) -> pl.DataFrame:
        """List the images whose names match; see `Reader.index`."""
        paths = list_files(check_root(root), exclude=tuple(self.exclude))
        if self.pattern == "auto":
            return self._best(paths, root)
        expression = self.expression()
        matched = match_pattern(paths, expression, plate=self.plate).filter(pl.col("Metadata_Well").is_not_null())
        if self.pattern in PATTERNS:
            matched = one_kind(matched)
        return matched.select(list(INDEX_SCHEMA))

    def _best(self, paths: pl.Series, root: Path) -> pl.DataFrame:
        """Return the index of the built-in pattern that fits best."""
        from phenoprint.images.readers.choose import fit_patterns, some_names

        fits = fit_patterns(paths)
        if not fits or fits[0].doubt is not None:
            raise ImageError(
                f"no built-in file name pattern fits the {len(paths)} image files below {root}, such as "
                f"{some_names(paths) or 'none'}; give a pattern with (?P<well>...), (?P<site>...), (?P<channel>...), "
                "or a load_data.csv"
            )
        plate = self.plate
        index = fits[0].index
        return index if plate is None else tidy_index(index.with_columns(pl.lit(plate).alias("Metadata_Plate")))

    def expression(self) -> str:
        """Return the regular expression over whole relative paths that this reader uses.

        Raises
        ------
        UnknownNameError
            If the name is not a built-in pattern.
        UsageError
            If the expression cannot be compiled or has no group of a well.
        """
        if self.pattern in PATTERNS:
            return PATTERNS[self.pattern]
        if "(?P<" not in self.pattern:
            raise UnknownNameError("file name pattern", self.pattern, ["auto", *PATTERNS])
        try:
            groups = set(re.compile(self.pattern).groupindex)
            pl.Series([""]).str.contains(self.pattern)
        except (re.error, pl.exceptions.ComputeError) as error:
            raise UsageError(
                f"pattern {self.pattern!r} is not a supported regular expression: {error}; "
                f"look-around and back-references are not supported"
            ) from error
        if unknown := sorted(groups - GROUPS):
            raise UnknownNameError("group of the file name pattern", unknown[0], GROUPS)
        if not ({"well"} <= groups or {"row", "col"} <= groups):
            raise UsageError(
                f"pattern {self.pattern!r} names no well: add (?P<well>...), or (?P<row>...) and (?P<col>...)"
            )
        return self.pattern if "/" in self.pattern else rf"(?:.*/)?(?:{self.pattern})"


def list_files(root: Path, *, exclude: tuple[str, ...] = ()) -> pl.Series:
    """List the TIFF, PNG and JPEG files below a folder: relative paths, sorted, with forward slashes.

    A folder with the name of a file (``x.tif/``) is listed as well, so that the inspection reports it. Links to folders
    are followed. Files made by a screen (masks, thumbnails) and files in a Zarr store are not listed.

    Parameters
    ----------
    root
        Image root.
    exclude
        Shell patterns of file names to ignore.
    """
    found: list[str] = []
    top = os.fspath(root)
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()  # a link to a parent folder
            continue
        visited.add(real)
        if "screen.toml" in names and "receipts" in subfolders:
            subfolders[:] = [name for name in subfolders if name not in _OF_A_SCREEN]
        prefix = "" if folder == top else os.path.relpath(folder, top).replace(os.sep, "/") + "/"
        found += [prefix + name for name in (*names, *subfolders) if name.lower().rpartition(".")[2] in FILE_KINDS]
        subfolders[:] = [name for name in subfolders if not name.lower().endswith(".zarr")]
    if exclude:
        unwanted = re.compile("|".join(translate(mark.lower()) for mark in exclude))
        found = [path for path in found if not unwanted.match(path.rpartition("/")[2].lower())]
    return pl.Series("path", sorted(found), dtype=pl.String)


def name_kinds(paths: pl.Series) -> pl.Series:
    """Return the format of each file by its extension.

    Examples
    --------
    >>> name_kinds(pl.Series(["a.TIFF", "b.jpg"])).to_list()
    ['TIFF', 'JPEG']
    """
    return paths.str.to_lowercase().str.extract(r"\.([^.]*)$").replace_strict(FILE_KINDS, default="TIFF")


def one_kind(index: pl.DataFrame) -> pl.DataFrame:
    """Keep the TIFF files of an index if there are any, or else PNG, or else JPEG; the others are previews."""
    kinds = name_kinds(index["path"])
    there = next((kind for kind in FILE_KINDS.values() if (kinds == kind).any()), None)
    return index if there is None else index.filter(kinds == there)


def match_pattern(paths: pl.Series, expression: str, *, plate: str | None = None) -> pl.DataFrame:
    """Extract plate, well, site, channel, z and t from paths.

    Parameters
    ----------
    paths
        Relative paths, forward slashes.
    expression
        Regular expression over the whole path.
    plate
        Plate of every file; takes precedence over the names.

    Returns
    -------
    pl.DataFrame
        One row per path, as for `Reader.index`; ``Metadata_Well`` is null if the path does not match or has no valid
        well.
    """
    whole = pl.col("path").str.extract_groups(f"^(?:{expression})$").alias("groups")
    groups = paths.to_frame("path").with_columns(whole).unnest("groups")
    for name in GROUPS - set(groups.columns):
        groups = groups.with_columns(pl.lit(None, dtype=pl.String).alias(name))
    row, col = pl.col("row"), pl.col("col")
    position = pl.when(row.str.contains(r"^\d+$")).then("r" + row + "c" + col).otherwise(row + col)
    groups = groups.with_columns(pl.coalesce("well", position).alias("spelled"))
    groups = groups.with_columns(normalize_wells(groups["spelled"], strict=False).alias("Metadata_Well"))
    named = groups.with_columns(
        (pl.lit(plate) if plate is not None else pl.coalesce("plate", _folder_plate(groups))).alias("Metadata_Plate"),
        pl.col("site").fill_null("1").alias("Metadata_Site"),
        pl.col("channel").fill_null("1").alias("Metadata_Channel"),
        pl.col("z").cast(pl.Int32, strict=False).fill_null(0).alias("Metadata_Z"),
        pl.col("t").cast(pl.Int32, strict=False).fill_null(0).alias("Metadata_T"),
        pl.lit(0).alias("page"),
    )
    return tidy_index(named)


def _folder_plate(groups: pl.DataFrame) -> pl.Series:
    """Return the innermost folder that is not a folder of the export; null directly below the root.

    A folder per well is not a plate. Plates may have names of wells (P02), so every file must be in the folder of its
    well.
    """
    folder = _without_export(groups["path"].str.replace(r"/?[^/]*$", ""))
    last = folder.str.extract(r"([^/]+)$", 1)
    of_well = normalize_wells(last, strict=False).eq_missing(groups["Metadata_Well"])
    if (of_well | groups["Metadata_Well"].is_null()).all():
        last = _without_export(folder.str.replace(r"/?[^/]*$", "")).str.extract(r"([^/]+)$", 1)
    return last.str.replace(_HARMONY_TIME, "")


def _without_export(folders: pl.Series) -> pl.Series:
    """Remove folders of the export from the end of paths; Images/TimePoint_1/ZStep_0 is the deepest nesting in use."""
    for _ in range(3):
        folders = folders.str.replace(_NOT_A_PLATE, "")
    return folders


def rename_channels(index: pl.DataFrame, channels: Mapping[str, str], *, where: str) -> pl.DataFrame:
    """Rename channels.

    Parameters
    ----------
    index
        Index of a reader.
    channels
        Channel as named by the files (``"ch1"``, ``"w2"``) to its new name (``"DNA"``); others keep their name.
    where
        Name of the folder in messages.

    Raises
    ------
    UnknownNameError
        If the mapping has a channel that no file has.
    UsageError
        If two channels would have the same name.

    Examples
    --------
    >>> index = pl.DataFrame(
    ...     [("P1", "A01", "1", "ch1", 0, 0, "a.tif", 0)], schema=INDEX_SCHEMA, orient="row"
    ... )
    >>> rename_channels(index, {"ch1": "DNA"}, where="images")["Metadata_Channel"].to_list()
    ['DNA']
    """
    if not channels:
        return index
    seen = set(index["Metadata_Channel"].unique())
    for name in channels:
        if name not in seen and index.height:
            raise UnknownNameError(f"channel of the files below {where}", name, seen)
    renamed = [channels.get(name, name) for name in sorted(seen)]
    if twice := sorted({name for name in renamed if renamed.count(name) > 1}):
        raise UsageError(
            f"two channels of the files below {where} would be called {twice[0]!r}: {dict(channels)}; "
            f"the files have {', '.join(sorted(seen))}"
        )
    return tidy_index(index.with_columns(pl.col("Metadata_Channel").replace(dict(channels))))
