"""Detection of the layout of an image folder, as shown by `phenoprint init`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from phenoprint.errors import DataError, ImageError
from phenoprint.images.foreign import ForeignFiles, find_foreign
from phenoprint.images.readers.choose import count_clashes, fit_patterns, some_names
from phenoprint.images.readers.load_data import find_load_data
from phenoprint.images.readers.pattern_reader import list_files
from phenoprint.images.readers.patterns import GENERIC
from phenoprint.images.readers.reader import READERS, check_root, exists

__all__ = ["DetectedLayout", "LayoutCandidate", "detect_layout", "no_match"]


@dataclass(frozen=True)
class LayoutCandidate:
    """A reader that finds images in the folder.

    Parameters
    ----------
    reader, options
        Name and options of the reader in `READERS`.
    index
        The images it finds, as returned by `Reader.index`.
    n_matched
        Number of image files that it finds.
    n_unmatched
        Number of other image files below the root.
    unmatched
        Up to five of those.
    n_missing
        Number of listed files that do not exist.
    n_clashes
        Number of files with the same plate, well, site, channel, z and t as another.
    """

    reader: str
    options: Mapping[str, str]
    index: pl.DataFrame = field(repr=False)
    n_matched: int
    n_unmatched: int
    unmatched: tuple[str, ...]
    n_missing: int = 0
    n_clashes: int = 0

    def _names(self, column: str) -> list[str]:
        """Distinct values, sorted."""
        return self.index[column].drop_nulls().unique().sort().to_list()

    @property
    def plates(self) -> list[str]:
        """Plates in the names; empty if the names have none."""
        return self._names("Metadata_Plate")

    @property
    def wells(self) -> list[str]:
        """Wells of all plates."""
        return self._names("Metadata_Well")

    @property
    def sites(self) -> list[str]:
        """Sites of all wells."""
        return sorted(self._names("Metadata_Site"), key=lambda site: (len(site), site))

    @property
    def channels(self) -> list[str]:
        """Channels as named by the files."""
        return self._names("Metadata_Channel")

    @property
    def score(self) -> float:
        """Number of files found, without doubtful ones; files of general patterns count less."""
        weight = GENERIC.get(self.options.get("pattern", ""), 1.0)
        return weight * (self.n_matched - self.n_clashes) - self.n_missing


@dataclass(frozen=True)
class DetectedLayout:
    """What every reader finds in a folder.

    Parameters
    ----------
    root
        The folder.
    paths
        TIFF, PNG and JPEG files below it, relative.
    candidates
        Readers that find images, the best first.
    doubts
        Built-in patterns that match names but cannot be right, with the reason.
    foreign
        Image files of formats that are not read.
    """

    root: Path
    paths: pl.Series = field(repr=False)
    candidates: tuple[LayoutCandidate, ...]
    doubts: tuple[str, ...]
    foreign: tuple[ForeignFiles, ...]

    @property
    def n_files(self) -> int:
        """TIFF, PNG and JPEG files below the folder."""
        return len(self.paths)

    @property
    def best(self) -> LayoutCandidate:
        """The reader to use.

        Raises
        ------
        ImageError
            If no reader fits; the message lists what the folder contains and what to do.
        """
        if not self.candidates:
            raise ImageError("\n".join(self._explain()))
        return self.candidates[0]

    def _explain(self) -> list[str]:
        """Describe the contents of the folder and what to do."""
        others = [f"there: {one}" for one in self.foreign]
        if not self.n_files:
            return [f"no TIFF, PNG or JPEG file in {self.root}; give the folder that holds the images", *others]
        return [
            f"no known layout in {self.root}: it holds {self.n_files} image files, such as {some_names(self.paths)}",
            *self.doubts,
            "describe the parts of the names with phenoprint init --pattern and a regular expression, such as",
            r"  --pattern '(?P<well>[A-P]\d+)_f(?P<site>\d+)_(?P<channel>\w+)\.tif'",
            "its groups: well (or row and col), site, channel, plate, z, t; or list the images in a load_data.csv",
            *others,
        ]


def detect_layout(root: Path, *, pattern: str | None = None) -> DetectedLayout:
    """Try a ``load_data.csv`` and every built-in file name pattern on a folder.

    Parameters
    ----------
    root
        Folder of the images of one or more plates.
    pattern
        A file name pattern to use instead: a regular expression or the name of a built-in pattern.

    Returns
    -------
    DetectedLayout
        Candidates by the number of files they find. A ``load_data.csv`` whose files exist comes first, because it names
        the channels, which file names often only number.

    Raises
    ------
    ImageError
        If the folder does not exist, or the pattern matches no file.
    UsageError
        If the pattern cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for well in ("A01", "A02"):
    ...         Path(folder, f"{well}_s1_DNA.tif").touch()
    ...     found = detect_layout(Path(folder)).best
    >>> found.wells, found.channels
    (['A01', 'A02'], ['DNA'])
    """
    base = check_root(root)
    paths = list_files(base, exclude=("*_thumb*", "._*"))
    doubts: tuple[str, ...] = ()
    if pattern is not None:
        candidates = [_by_own_pattern(base, paths, pattern)]
    else:
        fits = fit_patterns(paths)
        doubts = tuple(f"not read as {fit.name!r}: {fit.doubt}" for fit in fits if fit.doubt is not None)
        by_table = _by_load_data(base, paths) if find_load_data(base) else None
        candidates = [] if by_table is None or not by_table.n_matched else [by_table]
        candidates += [
            _candidate(base, "pattern", {"pattern": fit.name}, index=fit.index, paths=paths)
            for fit in fits
            if fit.doubt is None
        ]
    # A stable sort: of equal candidates the more specific one comes first.
    candidates.sort(key=lambda candidate: -candidate.score)
    return DetectedLayout(base, paths, tuple(candidates), doubts, tuple(find_foreign(base)))


def _by_own_pattern(root: Path, paths: pl.Series, pattern: str) -> LayoutCandidate:
    """Apply the given pattern."""
    index = READERS.make("pattern", pattern=pattern).index(root)
    if index.is_empty():
        raise ImageError(no_match(root, pattern))
    return _candidate(root, "pattern", {"pattern": pattern}, index=index, paths=paths)


def no_match(root: Path, pattern: str) -> str:
    """Return the error for a pattern that matches no file, with file names to compare.

    Parameters
    ----------
    root
        Image root.
    pattern
        The given pattern.
    """
    paths = list_files(root)
    if paths.is_empty():
        return f"there is no TIFF, PNG or JPEG file in {root}; give the folder that holds the images"
    return (
        f"the pattern '{pattern}' matches none of the {len(paths)} image files below {root}, such as "
        f"{some_names(paths)}: it must match the whole name with its end, and a well must be like A01, a1 or r01c01; a "
        "pattern with a / must match the whole path below the folder"
    )


def _by_load_data(root: Path, paths: pl.Series) -> LayoutCandidate | None:
    """Try the load_data tables; tables that cannot be read are ignored."""
    try:
        index = READERS.make("load_data").index(root)
    except DataError:
        return None
    return _candidate(root, "load_data", {}, index=index, paths=paths)


def _candidate(
    root: Path, reader: str, options: Mapping[str, str], *, index: pl.DataFrame, paths: pl.Series
) -> LayoutCandidate:
    """Count the files of an index."""
    named = index["path"].unique()
    # a table may list files in other folders
    strange = named.filter(~named.is_in(paths.implode()))
    n_missing = sum(not exists(root / path) for path in strange)
    left = paths.filter(~paths.is_in(named.implode()))
    return LayoutCandidate(
        reader=reader,
        options=options,
        index=index,
        n_matched=len(named) - n_missing,
        n_unmatched=len(left),
        unmatched=tuple(left.head(5).to_list()),
        n_missing=n_missing,
        n_clashes=count_clashes(index),
    )
