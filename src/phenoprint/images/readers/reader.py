"""What a reader is, and those there are by name."""

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
"""Columns of an index: where each image plane is."""


class Reader(ABC):
    """Finds the images of a plate; a reader is a frozen dataclass whose fields are its parameters.

    A reader opens no image. It lists which file, and which page of it, holds which plate, well, site, channel, z plane
    and time point.
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
            One row per plane with the columns of `INDEX_SCHEMA`. Channels are those of the files; z and t are 0 where
            the names give none; ``Metadata_Plate`` is null where they name no plate; ``path`` is relative to `root`
            with forward slashes, or absolute where it lies elsewhere.

        Raises
        ------
        ImageError
            The folder or the reader's own file cannot be read or understood.
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
        It does not exist, or is a file.
    """
    folder = Path(root)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ImageError(f"image root {folder} {what}; give the folder that holds the images")
    return folder


def exists(path: Path) -> bool:
    """Return whether there is a file or folder; a path that no system takes leads to none.

    Examples
    --------
    >>> exists(Path("x" * 300))
    False
    """
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def tidy_index(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast to `INDEX_SCHEMA`, write sites without leading zeros, sort."""
    site = pl.col("Metadata_Site")
    numeric = site.str.contains(r"^\d+$")
    bare = site.str.replace(r"^0+(\d)", "$1")
    return (
        frame.with_columns(pl.when(numeric).then(bare).otherwise(site).alias("Metadata_Site"))
        .select(pl.col(name).cast(kind) for name, kind in INDEX_SCHEMA.items())
        .sort(list(INDEX_SCHEMA))
    )


def checked_index(frame: pl.DataFrame) -> pl.DataFrame:
    """Check what a reader returned; write wells as ``A01`` and sites without leading zeros, and sort by all columns.

    Raises
    ------
    SchemaError
        A column is absent or of another kind, or a row lacks its well, site, channel or path.
    PlateMapError
        Some text is not a well.
    """
    what = "the index of a reader"
    absent = [name for name in INDEX_SCHEMA if name not in frame.columns]
    if absent:
        raise SchemaError(f"{what} needs the columns {', '.join(INDEX_SCHEMA)}; {', '.join(absent)} are absent")
    try:
        index = tidy_index(frame.with_columns(normalize_wells(frame["Metadata_Well"].cast(pl.String))))
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"{what} holds values of another kind than {INDEX_SCHEMA}: {error}") from error
    needed = ("Metadata_Well", "Metadata_Site", "Metadata_Channel", "Metadata_Z", "Metadata_T", "path", "page")
    for name in needed:
        if n := index[name].null_count():
            raise SchemaError(f"{what} needs {name} in every row; it is missing in {n} of {index.height}")
    return index
