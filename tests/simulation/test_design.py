"""Designs of screens: presets, and values out of range."""

from __future__ import annotations

from dataclasses import replace

import pytest

import phenoprint.simulation as sim
from phenoprint.errors import UnknownNameError, UsageError


def test_public_names_exist() -> None:
    assert len(sim.__all__) == len(set(sim.__all__))
    assert all(hasattr(sim, name) for name in sim.__all__)


@pytest.mark.parametrize("n", [6, 12, 24, 48, 96, 384, 1536])
def test_every_plate_format_can_be_laid_out(n: int) -> None:
    design = sim.ScreenDesign(
        plate_format=n,
        n_plates=1,
        mechanisms=("SERCA inhibitor",),
        compounds_per_mechanism=1,
        n_inert=0,
        doses_um=(1.0, 5.0),
    )
    assert sim.layout(design).height == n


def test_presets_fill_their_plates() -> None:
    assert sim.demo_design().wells_needed == 384
    assert sim.tiny_design().wells_needed == 24
    assert sim.demo_design(n_plates=2).n_batches == 2
    assert len(sim.mechanism_names()) >= 12


def test_equal_designs_are_equal_and_hashable() -> None:
    assert sim.tiny_design(seed=2) == sim.tiny_design(seed=2)
    assert hash(sim.tiny_design(seed=2)) == hash(sim.tiny_design(seed=2))
    assert sim.tiny_design(seed=2) != sim.tiny_design(seed=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicates": 9}, "fullest plate needs"),
        ({"n_plates": 3, "plates_per_library": 2}, "multiple of plates_per_library"),
        ({"n_batches": 2}, "cannot exceed"),
        ({"seed": -1}, "seed must be"),
        ({"n_sites": 0}, "n_sites must be"),
        ({"efficacy": (0.8, 0.2)}, "efficacy must be"),
        ({"n_cytotoxic": 9}, "cannot exceed the 8 active"),
        ({"n_two_mechanisms": 1, "mechanisms": ("SERCA inhibitor",)}, "at least two mechanisms"),
        ({"field_shape": (4, 400)}, "field_shape"),
        ({"pixel_size_um": 0.0}, "pixel_size_um"),
        ({"cells_per_field": float("nan")}, "cells_per_field"),
        ({"doses_um": ()}, "at least one dose"),
        ({"doses_um": (0.0, 1.0)}, "at least one dose"),
        ({"doses_um": (1.0, 1.0)}, "must not repeat"),
        ({"plate_names": ("A", "B")}, "plate_names must hold 1"),
    ],
)
def test_impossible_designs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(sim.tiny_design(), **change)


def test_unknown_names_are_refused_with_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'SERCA inhibitor'"):
        replace(sim.tiny_design(), mechanisms=("SERCA inhibitr",))
    with pytest.raises(UnknownNameError, match="plate format"):
        replace(sim.tiny_design(), plate_format=100)


@pytest.mark.parametrize("change", [{"vignette": 1.5}, {"debris_rate": -0.1}, {"read_noise": float("inf")}])
def test_impossible_artefacts_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        sim.PlateArtefacts(**change)
