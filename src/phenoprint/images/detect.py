"""Which reader fits a folder: what `phenoprint init` shows before anything is configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from phenoprint.errors import DataError, ImageError
from phenoprint.images.readers.base import INDEX_SCHEMA, Reader, check_root, get_reader
from phenoprint.images.readers.load_data import find_load_data
from phenoprint.images.readers.pattern import list_files, match_pattern
from phenoprint.images.readers.patterns import GENERIC, PATTERNS

__all__ = ["DetectedLayout", "LayoutCandidate", "detect_layout"]

_KEYS = [name for name in INDEX_SCHEMA if name.startswith("Metadata_")]


@dataclass(frozen=True)
class LayoutCandidate:
    """A reader that finds images in the folder.

    Parameters
    ----------
    reader, options
        For `phenoprint.images.get_reader`.
    index
        What it finds, as `Reader.index` returns it.
    n_matched
        TIFF files it understands.
    n_unmatched
        TIFF files below the root that it does not.
    unmatched
        Up to five of those.
    n_missing
        Files it names that do not exist.
    n_clashes
        Files that claim the same plate, well, site, channel, z and t as another.
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
        """Plates that the names tell; none where they tell none."""
        return self._names("Metadata_Plate")

    @property
    def wells(self) -> list[str]:
        """Wells, over all plates."""
        return self._names("Metadata_Well")

    @property
    def sites(self) -> list[str]:
        """Sites, over all wells."""
        return sorted(self._names("Metadata_Site"), key=lambda site: (len(site), site))

    @property
    def channels(self) -> list[str]:
        """Channels as the files say them."""
        return self._names("Metadata_Channel")

    @property
    def score(self) -> float:
        """Files understood, less those in doubt; general patterns count less."""
        weight = GENERIC.get(self.options.get("pattern", ""), 1.0)
        return weight * (self.n_matched - self.n_clashes) - self.n_missing

    def get_reader(self) -> Reader:
        """Make the reader."""
        return get_reader(self.reader, **dict(self.options))


@dataclass(frozen=True)
class DetectedLayout:
    """What a folder looks like to every reader.

    Parameters
    ----------
    root
        The folder.
    n_files
        TIFF files below it.
    candidates
        Readers that find images, the best first.
    suggested_plate
        A name for the plate where the files tell none: the folder's own.
    """

    root: Path
    n_files: int
    candidates: tuple[LayoutCandidate, ...]
    suggested_plate: str

    @property
    def best(self) -> LayoutCandidate:
        """The reader to use.

        Raises
        ------
        ImageError
            No reader finds an image.
        """
        if not self.candidates:
            seen = f"{self.n_files} TIFF files" if self.n_files else "no TIFF file"
            raise ImageError(
                f"no known layout in {self.root}: it holds {seen}; give a pattern with (?P<well>...), "
                f"(?P<site>...) and (?P<channel>...), or a load_data.csv"
            )
        return self.candidates[0]


def detect_layout(root: Path) -> DetectedLayout:
    """Try a ``load_data.csv`` and every built-in file name pattern on a folder.

    Parameters
    ----------
    root
        Folder of the images of one or more plates.

    Returns
    -------
    DetectedLayout
        Candidates by how many files they explain; a ``load_data.csv`` whose files are there comes first, for
        it names channels that file names only number.

    Raises
    ------
    ImageError
        The folder does not exist.
    """
    base = check_root(root)
    paths = list_files(base, exclude=("*_thumb*", "._*"))
    candidates = [_by_load_data(base, paths)] if find_load_data(base) else []
    candidates += [_by_pattern(name, base, paths) for name in PATTERNS]
    found = [candidate for candidate in candidates if candidate is not None and candidate.n_matched]
    # a stable sort: of equals the earlier, more particular one stays ahead
    found.sort(key=lambda candidate: -candidate.score)
    return DetectedLayout(base, len(paths), tuple(found), base.resolve().name)


def _by_pattern(name: str, root: Path, paths: pl.Series) -> LayoutCandidate | None:
    """Try one pattern."""
    matched = match_pattern(paths, PATTERNS[name])
    index = matched.filter(pl.col("Metadata_Well").is_not_null())
    return _candidate(root, "pattern", {"pattern": name}, index=index, paths=paths)


def _by_load_data(root: Path, paths: pl.Series) -> LayoutCandidate | None:
    """Try the load_data tables; one that cannot be read is no candidate."""
    try:
        index = get_reader("load_data").index(root)
    except DataError:
        return None
    return _candidate(root, "load_data", {}, index=index, paths=paths)


def _candidate(
    root: Path, reader: str, options: Mapping[str, str], *, index: pl.DataFrame, paths: pl.Series
) -> LayoutCandidate:
    """Count what an index explains."""
    named = index["path"].unique()
    # a table may name files that lie elsewhere
    strange = named.filter(~named.is_in(paths.implode()))
    n_missing = sum(not (root / path).exists() for path in strange)
    left = paths.filter(~paths.is_in(named.implode()))
    planes = index.select(_KEYS)
    return LayoutCandidate(
        reader=reader,
        options=options,
        index=index,
        n_matched=len(named) - n_missing,
        n_unmatched=len(left),
        unmatched=tuple(left.head(5).to_list()),
        n_missing=n_missing,
        n_clashes=planes.height - planes.unique().height,
    )
