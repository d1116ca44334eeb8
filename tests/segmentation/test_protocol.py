from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from phenoprint import segmentation
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.segmentation import (
    Segmenter,
    available_segmenters,
    get_segmenter,
    protocol,
    register_segmenter,
    segment,
)


@dataclass(frozen=True, kw_only=True)
class Everything(Segmenter):
    """One cell that fills the field."""

    number: int = 1

    def segment(self, pixels, *, channels: Sequence[str], pixel_size_um: float | None = None):
        whole = np.full(pixels.shape[1:], self.number, np.int32)
        return {"Nuclei": whole, "Cells": whole}


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(protocol, "_REGISTERED", dict(protocol._REGISTERED))
    return register_segmenter("everything")(Everything)


def test_public_names_are_sorted_and_there():
    assert segmentation.__all__ == sorted(segmentation.__all__)
    assert all(hasattr(segmentation, name) for name in segmentation.__all__)


def test_a_backend_registers_and_serves_the_front_door(registered):
    assert "everything" in available_segmenters()
    assert registered.name == "everything"
    labels = segment(np.zeros((1, 3, 3)), channels=["x"], segmenter="everything", number=1)
    assert labels["Cells"].tolist() == [[1] * 3] * 3


def test_a_plug_in_is_found_by_its_entry_point(monkeypatch):
    class Point:
        name = "plugged"

        @staticmethod
        def load():
            return Everything

    monkeypatch.setattr(protocol, "_REGISTERED", dict(protocol._REGISTERED))
    monkeypatch.setattr(protocol, "entry_points", lambda group: [Point] if group == "phenoprint.segmenters" else [])
    assert "plugged" in available_segmenters()
    assert isinstance(get_segmenter("plugged"), Everything)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'classical'"):
        get_segmenter("clasical")
    with pytest.raises(UnknownNameError, match="did you mean 'nucleus_diameter_um'"):
        get_segmenter("classical", nucleus_diametr_um=10)


def test_names_are_taken_once_and_only_by_dataclasses(registered):
    with pytest.raises(UsageError, match="already ClassicalSegmenter"):
        register_segmenter("classical")(Everything)
    with pytest.raises(UsageError, match="must be a dataclass"):
        register_segmenter("plain")(type("Plain", (), {}))
