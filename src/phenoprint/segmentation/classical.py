"""Segmentation by thresholds, declumping and propagation; it needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phenoprint.errors import DataError, UnknownNameError, UsageError
from phenoprint.pixels import keep_labels, touching_border
from phenoprint.segmentation.cells import grow_cells
from phenoprint.segmentation.diameter import estimate_nucleus_diameter
from phenoprint.segmentation.inputs import cell_channels, nucleus_channel
from phenoprint.segmentation.nuclei import find_nuclei
from phenoprint.segmentation.protocol import Segmenter
from phenoprint.segmentation.threshold import THRESHOLDS

__all__ = ["ClassicalSegmenter"]

Array = np.ndarray[Any, Any]

DECLUMPS = ("combined", "intensity", "none", "shape")
CELL_METHODS = ("distance", "propagation", "watershed")
BORDERS = ("discard", "keep")


@dataclass(frozen=True, kw_only=True)
class ClassicalSegmenter(Segmenter):
    """Segment by threshold, declumping and propagation, as CellProfiler's primary and secondary objects.

    Attributes
    ----------
    nucleus_channel
        Name of the nuclear channel; None looks for DNA, DAPI, Hoechst, ...
    cell_channels
        Names of the channels whose mean shows the cells. None takes the first of AGP, RNA, ER, ... among the channels,
        or else all that are neither nuclear nor transmitted light; ``()`` takes none.
    nucleus_diameter_um, nucleus_diameter_px
        Typical diameter of a nucleus, in µm (needs the pixel size) or in pixels; at most one of them. With neither it
        is estimated from the field. For a plate, estimate it once over several fields with
        `estimate_nucleus_diameter`, so that all wells are segmented with the same value. An error of 30% does not
        matter.
    diameter_range
        Smallest and largest equivalent diameter of a nucleus, in multiples of the typical one.
    threshold
        ``"local"``, ``"minimum_cross_entropy"`` or ``"otsu"``, see `phenoprint.segmentation.nuclei.nuclear_mask`.
    threshold_factor
        Values above 1 make nuclei smaller, values below 1 larger.
    minimum_snr
        Smallest contrast of a nucleus in noise levels, so that empty fields stay empty.
    declump
        ``"combined"``, ``"shape"``, ``"intensity"`` or ``"none"``.
    neck
        In (0, 1); a pass below this fraction of the lower summit separates two nuclei. Higher values split more.
    cell_method
        ``"propagation"``, ``"watershed"`` or ``"distance"``.
    cell_threshold
        Threshold of the cells: fraction, in (0, 1), of the level close to the nuclei.
    cell_regularization
        Regularization of the propagation, above 0; with large values borders are midway between nuclei.
    cell_reach
        Largest distance of a cell's pixels from its nucleus, in nuclear diameters.
    cell_blind_reach
        The same if no channel shows the cells.
    border
        ``"keep"`` keeps objects cut by the border of the field; the `object` table flags them. ``"discard"`` removes
        cells whose nucleus touches the border, after all cells were grown, so that neighbours do not grow into them.

    Raises
    ------
    UsageError
        If a parameter is out of range.

    Examples
    --------
    >>> ClassicalSegmenter(nucleus_diameter_px=20, border="discard").neck
    0.9
    """

    nucleus_channel: str | None = None
    cell_channels: str | Sequence[str] | None = None
    nucleus_diameter_um: float | None = None
    nucleus_diameter_px: float | None = None
    diameter_range: tuple[float, float] = (0.35, 3.0)
    threshold: str = "local"
    threshold_factor: float = 1.0
    minimum_snr: float = 6.0
    declump: str = "combined"
    neck: float = 0.9
    cell_method: str = "propagation"
    cell_threshold: float = 0.33
    cell_regularization: float = 0.5
    cell_reach: float = 5.0
    cell_blind_reach: float = 0.75
    border: str = "keep"

    def __post_init__(self) -> None:
        for field, known in (
            ("threshold", THRESHOLDS),
            ("declump", DECLUMPS),
            ("cell_method", CELL_METHODS),
            ("border", BORDERS),
        ):
            if getattr(self, field) not in known:
                raise UnknownNameError(field, getattr(self, field), known)
        if self.nucleus_diameter_um is not None and self.nucleus_diameter_px is not None:
            raise UsageError("give nucleus_diameter_um or nucleus_diameter_px, not both")
        for field in (
            "nucleus_diameter_um",
            "nucleus_diameter_px",
            "threshold_factor",
            "cell_regularization",
            "cell_reach",
            "cell_blind_reach",
        ):
            value = getattr(self, field)
            if value is not None and not (0 < value < float("inf")):
                raise UsageError(f"{field} must be above 0, found {value}")
        for field in ("neck", "cell_threshold"):
            if not 0 < getattr(self, field) < 1:
                raise UsageError(f"{field} must lie between 0 and 1, found {getattr(self, field)}")
        if not self.minimum_snr >= 0:
            raise UsageError(f"minimum_snr must not be negative, found {self.minimum_snr}")
        if len(self.diameter_range) != 2 or not 0 <= self.diameter_range[0] < self.diameter_range[1]:
            raise UsageError(f"diameter_range must be (smallest, largest), found {self.diameter_range}")

    def segment(
        self, pixels: Array, *, channels: Sequence[str], pixel_size_um: float | None = None
    ) -> dict[str, Array]:
        """Label nuclei and cells of one field; see `Segmenter.segment`."""
        nucleus = nucleus_channel(channels, self.nucleus_channel)
        cell = cell_channels(channels, nucleus=nucleus, wanted=self.cell_channels)
        image = pixels[nucleus]
        diameter = self._diameter_px(image, pixel_size_um)
        if diameter is None:
            empty = np.zeros(image.shape, np.int32)
            return {"Nuclei": empty, "Cells": empty.copy()}
        nuclei = find_nuclei(
            image,
            diameter=diameter,
            threshold=self.threshold,
            threshold_factor=self.threshold_factor,
            minimum_snr=self.minimum_snr,
            declump=self.declump,
            neck=self.neck,
            diameter_range=self.diameter_range,
        )
        cells = grow_cells(
            pixels[list(cell)],
            nuclei,
            diameter=diameter,
            method=self.cell_method,
            threshold=self.cell_threshold,
            regularization=self.cell_regularization,
            reach=self.cell_reach,
            blind_reach=self.cell_blind_reach,
        )
        if self.border == "discard":
            keep = np.ones(int(nuclei.max()) + 1, bool)
            keep[touching_border(nuclei)] = False
            nuclei, number = keep_labels(nuclei, keep)
            cells = number[cells]
        return {"Nuclei": nuclei, "Cells": cells}

    def _diameter_px(self, image: Array, pixel_size_um: float | None) -> float | None:
        """Return the given or estimated diameter in pixels; None if there is no nucleus to estimate it from."""
        if self.nucleus_diameter_px is not None:
            return self.nucleus_diameter_px
        if self.nucleus_diameter_um is not None:
            if pixel_size_um is None:
                raise UsageError(
                    f"nucleus_diameter_um={self.nucleus_diameter_um} needs the pixel size: give pixel_size_um, "
                    "or nucleus_diameter_px, or neither to have it estimated"
                )
            return self.nucleus_diameter_um / pixel_size_um
        try:
            return estimate_nucleus_diameter([image])
        except DataError:
            return None
