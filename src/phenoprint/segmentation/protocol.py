"""What a segmenter is, and those there are by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from phenoprint.plugins import Registry

__all__ = ["SEGMENTERS", "Segmenter"]

Array = np.ndarray[Any, Any]


class Segmenter(ABC):
    """Turns the channels of a field into nuclei and cells.

    A segmenter is a frozen dataclass with this one method; its fields are its parameters. It receives checked pixels
    and must not change them. In a run, one with the parameter ``nucleus_diameter_px`` receives the diameter of the
    plate, and one with ``nucleus_channel`` is refused where no nuclear channel is known.
    """

    @abstractmethod
    def segment(
        self, pixels: Array, *, channels: Sequence[str], pixel_size_um: float | None = None
    ) -> dict[str, Array]:
        """Label the objects of one field.

        Parameters
        ----------
        pixels
            ``(C, Y, X)`` float32 in [0, 1], finite.
        channels
            The C names.
        pixel_size_um
            Edge of a pixel in µm, None where unknown.

        Returns
        -------
        dict
            ``{"Nuclei": (Y, X), "Cells": (Y, X)}`` int32, 0 background, numbers 1..n shared by both, every
            nucleus inside its cell.
        """


SEGMENTERS: Registry[Segmenter] = Registry(
    kind="segmenter",
    base=Segmenter,
    group="phenoprint.segmenters",
    builtin={"classical": "phenoprint.segmentation.classical:ClassicalSegmenter"},
)
"""All segmenters; those of other packages through the entry-point group ``phenoprint.segmenters``."""
