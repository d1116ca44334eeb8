from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phenoprint import segmentation
from phenoprint.segmentation import SEGMENTERS, Segmenter, segment


@dataclass(frozen=True, kw_only=True)
class Everything(Segmenter):
    """Label the whole field as one cell."""

    number: int = 1

    def segment(self, pixels, *, channels: Sequence[str], pixel_size_um: float | None = None):
        whole = np.full(pixels.shape[1:], self.number, np.int32)
        return {"Nuclei": whole, "Cells": whole}


def test_public_names_are_sorted_and_exist():
    constants_first = sorted(segmentation.__all__, key=lambda name: (not name.isupper(), name))
    assert segmentation.__all__ == constants_first
    assert all(hasattr(segmentation, name) for name in segmentation.__all__)


def test_segment_finds_a_registered_segmenter(monkeypatch):
    monkeypatch.setitem(SEGMENTERS._registered, "everything", Everything)
    labels = segment(np.zeros((1, 3, 3)), channels=["x"], segmenter="everything", number=1)
    assert labels["Cells"].tolist() == [[1] * 3] * 3
