"""What a reader is, and how one is found by name."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import polars as pl

from phenoprint.errors import ImageError, UnknownNameError, UsageError

__all__ = ["INDEX_SCHEMA", "Reader", "get_reader", "reader_names", "register_reader"]

INDEX_SCHEMA: dict[str, type[pl.DataType]] = {
    "Metadata_Plate": pl.String,
    "Metadata_Well": pl.String,
    "Metadata_Site": pl.String,
    "Metadata_Channel": pl.String,
    "Metadata_Z": pl.Int32,
    "Metadata_T": pl.Int32,
    "path": pl.String,
    "page": pl.Int32,
}


class Reader(ABC):
    """Where the images of a plate are; subclasses are dataclasses whose fields are the options.

    A reader opens no image. It answers which file, and which page of it, holds which plate, well, site,
    channel, z plane and time point.
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
            A row per plane, columns `INDEX_SCHEMA`, sorted by all of them. Wells are written ``A01``, sites
            without leading zeros; z and t are 0 where the names give none; ``Metadata_Plate`` is null where
            they name no plate; ``path`` is relative to `root` with forward slashes, or absolute when it lies
            elsewhere.

        Raises
        ------
        ImageError
            The folder or the reader's own file cannot be read or understood.
        """


# Written as text, so that a reader's module is imported only when it is asked for.
_REGISTRY: dict[str, str | type[Reader]] = {
    "load_data": "phenoprint.images.readers.load_data:LoadDataReader",
    "pattern": "phenoprint.images.readers.pattern:PatternReader",
}


def register_reader(name: str, reader: type[Reader]) -> None:
    """Make a reader known by name in this process.

    Packages register theirs through the entry point group ``phenoprint.readers``.

    Raises
    ------
    UsageError
        The name is taken by another class, or the class is not a dataclass.
    """
    if not hasattr(reader, "__dataclass_fields__"):
        raise UsageError(f"reader {reader.__name__} is not a dataclass; its fields are its options")
    taken = _REGISTRY.get(name)
    if taken is not None and taken is not reader:
        raise UsageError(f"a reader called {name!r} is registered already; choose another name")
    _REGISTRY[name] = reader


def reader_names() -> list[str]:
    """Names of the readers there are, those of other packages included."""
    return sorted({*_REGISTRY, *entry_points(group="phenoprint.readers").names})


def get_reader(name: str, **options: object) -> Reader:
    """Make the reader of a name.

    Parameters
    ----------
    name
        One of `reader_names`.
    **options
        Fields of the reader's class.

    Raises
    ------
    UnknownNameError
        There is no such reader, or it has no such option.

    Examples
    --------
    >>> get_reader("pattern", pattern="phenix").pattern
    'phenix'
    """
    kind: object = _REGISTRY.get(name)
    if isinstance(kind, str):
        module, _, attribute = kind.partition(":")
        kind = getattr(import_module(module), attribute)
    elif kind is None:
        found = entry_points(group="phenoprint.readers", name=name)
        if not found:
            raise UnknownNameError("reader", name, reader_names())
        kind = next(iter(found)).load()
    if not (isinstance(kind, type) and issubclass(kind, Reader) and hasattr(kind, "__dataclass_fields__")):
        raise UsageError(f"reader {name!r} is not a dataclass derived from phenoprint.images.Reader")
    known = list(inspect.signature(kind).parameters)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of reader {name!r}", option, known)
    return kind(**options)


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
