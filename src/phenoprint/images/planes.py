"""Reading the channels of a site and single planes; writing TIFF files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoprint.errors import ImageError, SchemaError, UsageError
from phenoprint.images.headers import BadFileError, read_image_header
from phenoprint.tables import SITE_KEY

__all__ = ["read_field", "read_plane", "write_tiff"]

Pixels = npt.NDArray[Any]


def read_field(rows: pl.DataFrame, root: Path, *, channels: Sequence[str] | None = None) -> Pixels:
    """Read the channels of one site.

    Parameters
    ----------
    rows
        Image table or index of one plate, well and site. Of several time points the first is read; several z planes are
        combined by maximum projection.
    root
        Image root that the paths are relative to.
    channels
        Channels to read, in this order; default: all, sorted by name.

    Returns
    -------
    ndarray, shape (C, Y, X)
        Values and type as stored; the indices of palette files, the first sample of grey saved as RGB.

    Raises
    ------
    ImageError
        If the rows belong to several sites, a channel is missing, two files are the same plane, a file cannot be read,
        or shapes or types differ within the site.

    Examples
    --------
    >>> import tempfile
    >>> from phenoprint.images import READERS
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for channel in ("DNA", "ER"):
    ...         write_tiff(Path(folder, f"A01_s1_{channel}.tif"), np.zeros((8, 9), np.uint16))
    ...     index = READERS.make("pattern").index(Path(folder))
    ...     read_field(index, Path(folder), channels=["ER", "DNA"]).shape
    (2, 8, 9)
    """
    needed = ["Metadata_Channel", "Metadata_Z", "Metadata_T", "path", "page"]
    if absent := [name for name in needed if name not in rows.columns]:
        raise SchemaError(f"read_field needs the columns {', '.join(needed)}; {', '.join(absent)} is missing")
    where = _site_name(rows)
    names = list(channels) if channels is not None else sorted(set(rows["Metadata_Channel"]))
    if missing := [name for name in names if name not in set(rows["Metadata_Channel"])]:
        there = ", ".join(sorted(set(rows["Metadata_Channel"]))) or "none"
        raise ImageError(
            f"{where}: no file of channel {', '.join(missing)}; there are: {there}; "
            f"add the file, or remove the channel from the whole screen"
        )
    if not names:
        raise ImageError(f"{where}: no image to read")
    wanted = rows.filter(pl.col("Metadata_Channel").is_in(names)).sort("Metadata_Channel", "Metadata_Z", "path")
    wanted = wanted.filter(pl.col("Metadata_T") == pl.col("Metadata_T").min().over("Metadata_Channel"))
    _check_unique(wanted, where)
    stack: Pixels | None = None
    first: str = ""
    for position, name in enumerate(names):
        planes = wanted.filter(pl.col("Metadata_Channel") == name)
        for number, (path, page) in enumerate(planes.select("path", "page").iter_rows()):
            plane = read_plane(Path(root) / path, page=page)
            if stack is None:
                stack, first = np.empty((len(names), *plane.shape), plane.dtype), path
            _check_alike(plane, stack, where=where, paths=(path, first))
            if number == 0:
                stack[position] = plane
            else:
                np.maximum(stack[position], plane, out=stack[position])
    assert stack is not None  # noqa: S101 - every name has a row
    return stack


def read_plane(path: Path, *, page: int = 0) -> Pixels:
    """Read one page of a TIFF file, or a PNG or JPEG picture.

    Parameters
    ----------
    path
        The file.
    page
        Number of the page, 0-based.

    Returns
    -------
    ndarray, shape (Y, X)
        Values as stored; the indices of a palette file, the first sample of grey saved as RGB.

    Raises
    ------
    ImageError
        If the file is absent, a folder, empty, damaged or of another format, or the page does not exist, is coloured,
        or has values that are not finite. The message has the path and what to do.
    """
    try:
        return _decode(path, page)
    except BadFileError as fault:
        raise ImageError(f"{path}: {fault}") from fault.__cause__
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist; correct the path or copy the file there") from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ImageError(f"{path} does not fit into the memory; run with fewer --workers") from error
    except Exception as error:
        raise ImageError(f"{path}: it cannot be read ({error!r:.200}); copy or export the file again") from error


def _decode(path: Path, page: int) -> Pixels:
    """Check the header of a file and decode a page."""
    from phenoprint.images.decode import decode_page

    if path.is_dir():
        raise BadFileError("directory", "a folder where an image file was expected; move it away")
    with path.open("rb") as handle:
        header = read_image_header(handle, file_size=path.stat().st_size)
        return decode_page(handle, header, page)


def _check_alike(plane: Pixels, stack: Pixels, *, where: str, paths: tuple[str, str]) -> None:
    """Check that a plane has the shape and type of the first."""
    path, first = paths
    if plane.shape != stack.shape[1:]:
        raise ImageError(
            f"{where}: {path} has {plane.shape[0]} x {plane.shape[1]} pixels, {first} has {stack.shape[1]} x "
            f"{stack.shape[2]}; the channels of a site must have one shape; export them with the same binning"
        )
    if plane.dtype != stack.dtype:
        raise ImageError(
            f"{where}: {path} holds {plane.dtype}, {first} holds {stack.dtype}; the channels of a site must "
            "have one bit depth; export them with the same one"
        )


def _check_unique(rows: pl.DataFrame, where: str) -> None:
    """Check that no two files are the same plane of one channel."""
    keys = ["Metadata_Channel", "Metadata_Z"]
    twice = rows.filter(pl.len().over(keys) > 1)
    if twice.height:
        channel = twice["Metadata_Channel"][0]
        paths = twice.filter(pl.col("Metadata_Channel") == channel)["path"].to_list()
        raise ImageError(
            f"{where}: {len(paths)} files claim channel {channel}: {', '.join(paths[:3])}; remove copies, "
            "or distinguish them in the file name pattern (site, z, t)"
        )


def _site_name(rows: pl.DataFrame) -> str:
    """Return the name of the site for messages; raise if there are several."""
    keys = [name for name in SITE_KEY if name in rows.columns]
    sites = rows.select(keys).unique()
    if sites.height > 1:
        raise ImageError(f"read_field reads one site, the rows hold {sites.height}; filter them by {', '.join(keys)}")
    values = sites.row(0) if sites.height else ()
    named = zip((key.removeprefix("Metadata_").lower() for key in keys), values, strict=False)
    return " ".join(f"{name} {value}" for name, value in named if value is not None) or "the site"


def write_tiff(path: Path, pixels: Pixels, *, compression: str | None = "zlib") -> None:
    """Write an array as a TIFF file, atomically.

    Parameters
    ----------
    path
        Path of the file; its folder must exist.
    pixels
        Shape (Y, X), or (N, Y, X) for a file of N pages; integers or float32.
    compression
        ``"zlib"`` (lossless, read by every program) or None.

    Raises
    ------
    UsageError
        If the array has another number of dimensions.
    ImageError
        If the disk is full or the folder is not writable; no partial file remains.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tiff(Path(folder, "a.tif"), np.arange(6, dtype=np.uint16).reshape(2, 3))
    ...     read_plane(Path(folder, "a.tif")).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    from tifffile import imwrite

    target = Path(path)
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise UsageError(f"write_tiff takes (Y, X) or (N, Y, X) pixels, not an array of shape {pixels.shape}")
    # not tempfile: its files are readable by their owner only, and keep this mode when renamed
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    settings: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    if compression is not None:
        settings |= {"compression": compression, "predictor": pixels.dtype.kind in "iu"}
        settings["compressionargs"] = {"level": 1}  # a third of the time of level 6, a few percent larger
    try:
        with temporary.open("xb") as handle:
            imwrite(handle, pixels, **settings)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(target)
    except OSError as error:
        raise ImageError(
            f"cannot write {target}: {error.strerror or error}; free space, or choose a writable folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
