"""The interface of segmenters, and the registry of all segmenters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from phenoprint.plugins import Registry

__all__ = ["SEGMENTERS", "Segmenter"]

Array = np.ndarray[Any, Any]


class Segmenter(ABC):
    """Segments the nuclei and cells of a field.

    A segmenter is a frozen dataclass with this one method; its fields are its parameters. It receives checked pixels
    and must not change them. In a run, one with the parameter ``nucleus_diameter_px`` receives the diameter of the
    plate, and one with ``nucleus_channel`` is refused where no nuclear channel is known.
    """

    @abstractmethod
    def segment(
        self, pixels: Array, *, channels: Sequence[str], pixel_size_um: float | None = None
    ) -> dict[str, Array]:
        """Segment one field.

        Parameters
        ----------
        pixels
            ``(C, Y, X)`` float32 in [0, 1], finite.
        channels
            Names of the C channels.
        pixel_size_um
            Size of a pixel in µm; None if unknown.

        Returns
        -------
        dict
            ``{"Nuclei": (Y, X), "Cells": (Y, X)}`` int32, 0 is background. A nucleus and its cell have the same number
            in 1..n, and the nucleus lies inside the cell.
        """


SEGMENTERS: Registry[Segmenter] = Registry(
    kind="segmenter",
    base=Segmenter,
    group="phenoprint.segmenters",
    builtin={"classical": "phenoprint.segmentation.classical:ClassicalSegmenter"},
)
"""All segmenters; those of other packages through the entry-point group ``phenoprint.segmenters``."""
