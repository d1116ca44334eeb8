"""The projection is for screens, not for a handful of wells."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.analysis import project
from phenoprint.pipeline import RunResult, screen_notes
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.reduced import profiles_in_memory
from phenoprint.pipeline.wellprofiles import WellProfiles


def test_a_handful_of_wells_is_not_projected_and_nothing_counts_as_lost(tiny_run: RunResult) -> None:
    screen = tiny_run.screen
    assert "projection" not in screen.tables()
    assert "treatment_projection" not in screen.tables()
    assert screen.table("ledger").filter(pl.col("step") == "project").collect().is_empty()
    rows = screen.table("feature_status").filter(pl.col("step") == "project").collect()
    assert rows.select("status", "reason").rows() == [
        ("skipped", "no projection of fewer than 30 wells; found 24"),
        ("skipped", "no projection of fewer than 30 treatments; found 21"),
    ]
    assert "step project skipped: no projection of fewer than 30 wells; found 24" in screen_notes(screen)


def test_many_wells_are_mapped_and_clustered_by_their_components(tiny_run: RunResult) -> None:
    path = tiny_run.screen.path
    given = WellProfiles.of(Context(path, parse_config('screen.name = "x"'), path, ()), "profile_selected")
    assert len(given.features) > given.wells.height
    reduced, found = profiles_in_memory(given, most_values=1)
    assert found is not None
    reason, share = found
    assert reason.startswith("24 wells are mapped and clustered by the 50 leading principal components")
    assert share > 0.999
    whole = given.read(given.wells)
    ours, expected = (project(frame, "pca").select("x", "y").to_numpy() for frame in (reduced, whole))
    np.testing.assert_allclose(np.abs(ours), np.abs(expected), atol=1e-3 * np.abs(expected).max())
    assert not list(path.glob("tmp*")), "the vectors leave no file"
