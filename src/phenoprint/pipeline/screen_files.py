"""Files of a screen other than tables: masks, illumination functions, thumbnails."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from phenoprint.images import Illumination, channel_limits, to_rgb
from phenoprint.store import encode_name, own_files, plate_of, remove_file, write_bytes

__all__ = [
    "drop_table",
    "illumination_name",
    "mask_name",
    "read_illumination",
    "read_masks",
    "thumbnail_name",
    "write_illumination",
    "write_masks",
    "write_thumbnail",
]

Array = np.ndarray[Any, Any]


def drop_table(
    root: Path, table: str, *, part: str | None = None, plate: str | None = None, keep: set[Path] | None = None
) -> None:
    """Remove the files of a table that a step wrote: of one plate, or of all but those to ``keep``.

    ``part`` is the name of the files of the step, where several steps write the table; ``"*"`` means any name.
    """
    name = f"{part or table}.parquet"
    for path in own_files(root, table):
        if (
            (part == "*" or path.name == name)
            and (plate is None or plate_of(root, path) == plate)
            and path not in (keep or set())
        ):
            remove_file(path)


def illumination_name(plate: str, channel: str) -> str:
    """Return the path of an illumination function, relative to the screen folder.

    Examples
    --------
    >>> illumination_name("000123", "DNA")
    'illumination/000123/DNA.npz'
    """
    return f"illumination/{encode_name(plate)}/{encode_name(channel)}.npz"


def write_illumination(path: Path, function: Illumination) -> None:
    """Write an illumination function: its arrays, and its other fields as JSON."""
    facts = {
        field.name: getattr(function, field.name)
        for field in dataclasses.fields(function)
        if field.name not in {"flat", "dark"}
    }
    arrays: dict[str, Any] = {"flat": function.flat} | ({} if function.dark is None else {"dark": function.dark})
    stream = io.BytesIO()
    np.savez_compressed(stream, facts=np.array(json.dumps(facts)), **arrays)
    write_bytes(path, stream.getvalue())


def read_illumination(path: Path) -> Illumination:
    """Read an illumination function."""
    with np.load(path, allow_pickle=False) as stored:
        dark = stored.get("dark")
        return Illumination(flat=stored["flat"], dark=dark, **json.loads(str(stored["facts"])))


def mask_name(plate: str, well: str, site: str) -> str:
    """Return the path of the masks of a field, relative to the screen folder.

    Examples
    --------
    >>> mask_name("000123", "A01", "1")
    'masks/000123/A01_1.tif'
    """
    return f"masks/{encode_name(plate)}/{well}_{encode_name(site)}.tif"


def write_masks(path: Path, labels: dict[str, Array]) -> None:
    """Write the masks of a field as a TIFF of two planes: nuclei, cells."""
    import tifffile

    stack = np.stack([labels["Nuclei"], labels["Cells"]])
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        stack.astype(np.uint16 if stack.max(initial=0) < 2**16 else np.int32),
        compression="zlib",
        photometric="minisblack",
    )
    write_bytes(path, stream.getvalue())


def read_masks(path: Path) -> dict[str, Array]:
    """Read the masks of a field: ``Nuclei`` and ``Cells``, each (Y, X) int32."""
    import tifffile

    stack = tifffile.imread(path)
    return {"Nuclei": stack[0].astype(np.int32), "Cells": stack[1].astype(np.int32)}


def thumbnail_name(plate: str, well: str) -> str:
    """Return the path of the thumbnail of a well, relative to the screen folder.

    Examples
    --------
    >>> thumbnail_name("000123", "A01")
    'thumbnails/000123/A01.jpg'
    """
    return f"thumbnails/{encode_name(plate)}/{well}.jpg"


def write_thumbnail(path: Path, pixels: Array, *, channels: list[str], size: int = 160) -> None:
    """Write a field as a small colour JPEG.

    Parameters
    ----------
    path
        The file.
    pixels
        (C, Y, X) in [0, 1].
    channels
        Name of each channel.
    size
        Largest side in pixels; blocks of pixels are averaged.
    """
    import imagecodecs

    step = max(1, -(-max(pixels.shape[1:]) // size))
    height, width = (length // step * step for length in pixels.shape[1:])
    blocks = pixels[:, :height, :width].reshape(len(pixels), height // step, step, width // step, step)
    small = blocks.mean(axis=(2, 4), dtype=np.float32)
    picture = to_rgb(small, channels=channels, limits=channel_limits(small))
    write_bytes(path, bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(picture), level=82)))
