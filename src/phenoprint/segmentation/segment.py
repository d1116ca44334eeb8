"""Segmentation of one field with any segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phenoprint.errors import UsageError
from phenoprint.pixels import check_field
from phenoprint.segmentation.inputs import unit_pixels
from phenoprint.segmentation.protocol import SEGMENTERS

__all__ = ["segment"]

Array = np.ndarray[Any, Any]


def segment(
    pixels: Array,
    *,
    channels: Sequence[str],
    pixel_size_um: float | None = None,
    segmenter: str = "classical",
    **params: object,
) -> dict[str, Array]:
    """Segment the nuclei and cells of one field.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` of any integer or float type; integers are divided by the maximum of their type, floats
        are taken as they are and expected in [0, 1].
    channels
        Names of the C channels, such as ``["DNA", "ER", "RNA", "AGP", "Mito"]``.
    pixel_size_um
        Size of a pixel in µm; needed only for parameters in µm.
    segmenter
        A name in `SEGMENTERS`.
    **params
        Parameters of the segmenter; those of the default are the fields of `ClassicalSegmenter`.

    Returns
    -------
    dict
        ``{"Nuclei": labels, "Cells": labels}``, each ``(Y, X)`` int32, 0 is background. The numbers are 1..n without
        gaps. A cell and its nucleus have the same number, and the nucleus lies inside the cell. Labels of a field
        without cells are all 0.

    Raises
    ------
    UnknownNameError
        For an unknown segmenter, parameter or channel; the message has the closest name.
    UsageError
        For a wrong shape, a missing nuclear channel, or a parameter out of range.
    ImageError
        For pixels that are NaN or infinite, or a type that is neither integer nor float.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:64, :64]
    >>> dna = (((y - 30) ** 2 + (x - 30) ** 2) < 8**2) * np.uint16(20000)
    >>> labels = segment(dna[None], channels=["DNA"])
    >>> int(labels["Nuclei"].max()), bool((labels["Cells"] > 0).sum() > (labels["Nuclei"] > 0).sum())
    (1, True)
    """
    if pixel_size_um is not None and not 0 < pixel_size_um < float("inf"):
        raise UsageError(f"pixel_size_um must be above 0, found {pixel_size_um}")
    backend = SEGMENTERS.make(segmenter, **params)
    field = unit_pixels(check_field(pixels, channels))
    return backend.segment(field, channels=list(channels), pixel_size_um=pixel_size_um)
