"""The projection is for screens, not for a handful of wells."""

from __future__ import annotations

import polars as pl

from phenoprint.pipeline import RunResult, screen_notes


def test_a_handful_of_wells_is_not_projected_and_nothing_counts_as_lost(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    assert "projection" not in screen.tables()
    assert screen.table("cluster").collect().height == 24
    assert screen.table("ledger").filter(pl.col("step") == "project").collect().is_empty()
    rows = screen.table("feature_status").filter(pl.col("step") == "project").collect()
    assert rows.select("status", "reason").rows() == [("skipped", "no projection of fewer than 30 wells; found 24")]
    assert "step project skipped: no projection of fewer than 30 wells; found 24" in screen_notes(screen)
