"""The projection is for screens, not for a handful of wells."""

from __future__ import annotations

import polars as pl

from phenoprint.pipeline import RunResult


def test_a_handful_of_wells_is_not_projected_and_the_ledger_says_so(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    assert "projection" not in screen.tables()
    assert screen.table("cluster").collect().height == 24
    rows = screen.table("ledger").filter(pl.col("step") == "project").collect()
    assert rows.select("unit_of_count", "n_in", "n_out", "n_lost", "reason").rows() == [
        ("wells", 24, 0, 24, "no projection of fewer than 30 wells")
    ]
