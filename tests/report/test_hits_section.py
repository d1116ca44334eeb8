"""The part of the report with the ranked hits."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import polars as pl

from phenoprint.report import ReportSource
from phenoprint.report.context import Page
from phenoprint.report.sections.hits import hits
from phenoprint.tables import frame_of

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


def page(**more: pl.DataFrame) -> Page:
    about = {"Metadata_compound": "a", "energy_q_value": 0.01, "n_wells": 3, "is_cross_fitted": True}
    rows = [
        {KEY: "a@9 uM", "Metadata_compound": "a<b>", "rank": 1, "is_hit": True, "status": "hit", "effect": 2.5,
         "q_value": 0.001, "Metadata_moa": "poison", "cell_count_relative": 0.4, "cell_count_low": 0.3,
         "cell_count_high": 0.5, "is_toxic": True, "toxicity": "toxic", "inducing_share": 0.3},
        {KEY: "b@1 uM", "Metadata_compound": "b", "rank": 2, "is_hit": False, "status": "one well", "effect": 0.0,
         "q_value": 0.8, "reason": "one well, judged against single controls"},
        {KEY: "c@1 uM", "Metadata_compound": "c", "rank": 3, "is_hit": None, "status": "no profile"},
    ]  # fmt: skip
    frame = frame_of("hit", [{**about, **row} for row in rows])
    return Page(cast("ReportSource", Frames(hit=frame, **more)))


def test_hits_are_ranked_with_status_toxicity_and_numbers() -> None:
    made = page()
    section = hits(made)
    assert "1 of 2 treatments, 1 of them toxic," in str(section.lead)
    body = str(section.body)
    assert body.index("a&lt;b&gt;") < body.index(">b<") < body.index(">c<")
    for text in (
        "one well",
        "no profile",
        "toxic",
        "40%",
        "30% to 50%",
        "2.50",
        "0.001",
        "judged against single controls",
    ):
        assert text in body, text
    (figure,) = made.figures.values()
    assert [trace["name"] for trace in figure["data"]] == ["no hit (1)", "hit, toxic (1)"]


def test_mechanism_calls_stand_beside_the_annotation() -> None:
    calls = pl.DataFrame({KEY: ["a@9 uM", "b@1 uM"], "predicted": ["poison", "balm"], "probability": [0.95, None]})
    body = str(hits(page(moa_call=calls)).body)
    assert "called the same (95%)" in body
    assert "called balm" in body


def test_controls_that_were_not_held_out_are_named() -> None:
    made = page()
    frame = made.tables.need("hit", [KEY], why="").with_columns(is_cross_fitted=pl.lit(False))
    other = Page(cast("ReportSource", Frames(hit=frame)))
    assert "so that p values are too small" in str(hits(other).body)
