"""The interface of readers, and the registry of all readers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import polars as pl

from phenoprint.errors import ImageError, SchemaError
from phenoprint.plates import normalize_wells
from phenoprint.plugins import Registry
from phenoprint.tables import CHANNEL, SITE_KEY, get_table

__all__ = ["INDEX_SCHEMA", "READERS", "Reader", "checked_index"]

INDEX_SCHEMA = get_table("image").schema_of((*SITE_KEY, CHANNEL, "Metadata_Z", "Metadata_T", "path", "page"))
"""Columns of an index: the file and page of each image plane."""


class Reader(ABC):
    """Lists the images below a folder; a reader is a frozen dataclass whose fields are its parameters.

    A reader does not open images. It lists plate, well, site, channel, z plane and time point of each file and page.
    """

    @abstractmethod
    def index(self, root: Path) -> pl.DataFrame:
        """List the images below a folder.

        Parameters
        ----------
        root
            Image root.

        Returns
        -------
        pl.DataFrame
            One row per plane with the columns of `INDEX_SCHEMA`. Channels have the names of the files. z and t are 0,
            and ``Metadata_Plate`` is null, if the names have none. ``path`` is relative to `root`, with forward
            slashes, or absolute for files elsewhere.

        Raises
        ------
        ImageError
            If the folder, or a file of the reader, cannot be read or understood.
        """


READERS: Registry[Reader] = Registry(
    kind="reader",
    base=Reader,
    group="phenoprint.readers",
    builtin={
        "load_data": "phenoprint.images.readers.load_data:LoadDataReader",
        "pattern": "phenoprint.images.readers.pattern_reader:PatternReader",
    },
)
"""All readers; those of other packages through the entry-point group ``phenoprint.readers``."""


def check_root(root: Path) -> Path:
    """Return the folder as a path.

    Raises
    ------
    ImageError
        If it does not exist, or is a file.
    """
    folder = Path(root)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ImageError(f"image root {folder} {what}; give the folder that holds the images")
    return folder


def exists(path: Path) -> bool:
    """Return whether a file or folder exists; invalid paths do not exist.

    Examples
    --------
    >>> exists(Path("x" * 300))
    False
    """
    try:
        return path.exists()
    except (OSError, ValueError):  # the path is too long or contains a zero byte
        return False


def tidy_index(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast to `INDEX_SCHEMA`, remove leading zeros from sites, and sort."""
    site = pl.col("Metadata_Site")
    numeric = site.str.contains(r"^\d+$")
    bare = site.str.replace(r"^0+(\d)", "$1")
    return (
        frame.with_columns(pl.when(numeric).then(bare).otherwise(site).alias("Metadata_Site"))
        .select(pl.col(name).cast(kind) for name, kind in INDEX_SCHEMA.items())
        .sort(list(INDEX_SCHEMA))
    )


def checked_index(frame: pl.DataFrame) -> pl.DataFrame:
    """Check the index of a reader; write wells as ``A01``, sites without leading zeros, and sort by all columns.

    Raises
    ------
    SchemaError
        If a column is absent or of another type, or a row lacks well, site, channel or path.
    PlateMapError
        If a value is not the name of a well.
    """
    what = "the index of a reader"
    absent = [name for name in INDEX_SCHEMA if name not in frame.columns]
    if absent:
        raise SchemaError(f"{what} needs the columns {', '.join(INDEX_SCHEMA)}; {', '.join(absent)} are absent")
    try:
        index = tidy_index(frame.with_columns(normalize_wells(frame["Metadata_Well"].cast(pl.String))))
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"{what} has values of other types than {INDEX_SCHEMA}: {error}") from error
    needed = ("Metadata_Well", "Metadata_Site", "Metadata_Channel", "Metadata_Z", "Metadata_T", "path", "page")
    for name in needed:
        if n := index[name].null_count():
            raise SchemaError(f"{what} needs {name} in every row; it is missing in {n} of {index.height}")
    return index
