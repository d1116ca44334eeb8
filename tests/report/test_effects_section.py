"""The part of the report on what hits resemble and what carries their effect."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import polars as pl
import pytest

from phenoprint.report import ReportSource
from phenoprint.report.context import Page
from phenoprint.report.sections.effects import effects
from phenoprint.report.source import AbsentError

KEY = "Metadata_perturbation"


class Frames:
    """A source of a few frames."""

    name, path = "frames", Path()

    def __init__(self, **frames: pl.DataFrame) -> None:
        self.frames = frames

    def tables(self) -> list[str]:
        return list(self.frames)

    def table(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()


def source(**changed: pl.DataFrame) -> ReportSource:
    """Two hits and a treatment that does nothing."""
    treatments = ["a@1 uM", "a@9 uM", "b@1 uM"]
    frames = {
        "activity": pl.DataFrame(
            {KEY: treatments, "corrected_p_value": [0.01, 0.001, 0.9], "mean_average_precision": [0.8, 0.9, 0.1]}
        ),
        "neighbour": pl.DataFrame(
            {
                KEY: ["a@1 uM"] * 3,
                "rank": [1, 2, 3],
                "neighbour": ["a@9 uM", "DMSO", "<b>@1 uM"],
                "is_same_compound": [True, False, False],
                "neighbour_pert_type": ["trt", "negcon", "trt"],
                "neighbour_moa": [None, None, "poison"],
                "similarity": [0.9, 0.8, 0.7],
            }
        ),
        "feature_effect": pl.DataFrame(
            {
                KEY: "a@1 uM",
                "rank": range(1, 31),
                "feature": [f"F{i}" for i in range(30)],
                "compartment": ["Cells"] * 12 + ["Nuclei"] * 12 + ["Cytoplasm"] * 6,
                "channel": ["ER"] * 12 + [None] * 12 + ["Mito"] * 6,
                "effect": [-5.0] * 30,
                "q_value": [0.01] * 9 + [0.5] * 15 + [0.01] * 6,
            }
        ),
    }
    return cast("ReportSource", Frames(**(frames | changed)))


def test_hits_are_explained_strongest_first() -> None:
    body = str(effects(Page(source())).body)
    assert body.index("a@9 uM") < body.index("a@1 uM")
    assert "b@1 uM" not in body.replace("&lt;b&gt;@1 uM", "")
    assert "&lt;b&gt;@1 uM" in body, "the nearest other compound, neither the same one nor a control, and escaped"
    assert "poison" in body
    assert "Cells ER (75 % of 12)" in body, "six features of Mito are too few"
    assert body.count("-5.0") == 3


@pytest.mark.parametrize("name", ["neighbour", "feature_effect"])
def test_what_is_not_there_is_said(name: str) -> None:
    frames = cast("Frames", source())
    del frames.frames[name]
    with pytest.raises(AbsentError, match=f"'{name}' is not in this screen"):
        effects(Page(cast("ReportSource", frames)))
    none = source(activity=pl.DataFrame({KEY: ["x"], "corrected_p_value": [0.7], "mean_average_precision": [0.1]}))
    with pytest.raises(AbsentError, match="no effect to explain"):
        effects(Page(none))
