"""Scores with baselines and intervals: by hand, and coverage on simulated compounds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError
from phenoprint.evaluation import cluster_interval, score_rows
from phenoprint.tables import get_table


def outcomes(**columns: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame({"Metadata_compound": list("aabbcc"), **columns})


def test_the_gain_is_over_the_best_baseline_on_the_treatments_that_both_score() -> None:
    frame = outcomes(none=[1, 1, 1, 0, 1, None], cell_count=[0, 0, 1, 0, 0, 1], plate=[0, None, 1, 0, 1, None])
    rows = score_rows("active", frame, description="d", n_total=7, n_features=3)
    assert rows.schema == get_table("score").schema
    assert rows.select("baseline", "value", "n", "n_total", "n_features").rows() == [
        ("none", 0.8, 5, 7, 3),
        ("cell_count", pytest.approx(1 / 3), 6, 7, None),
        ("plate", 0.5, 4, 7, None),
    ]
    own = rows.row(0, named=True)
    assert (own["best_baseline"], own["gain"]) == ("plate", 0.25)
    assert own["gain_low"] <= 0.25 <= own["gain_high"]
    assert rows["gain"].null_count() == 2


def test_the_mean_over_mechanisms() -> None:
    frame = outcomes(none=[1, 1, 1, 0, 0, 0]).with_columns(moa=pl.Series(["x", "x", "x", "y", "y", "y"]))
    assert score_rows("s", frame, description="d", n_total=6)["value"][0] == 0.5
    uneven = frame.head(4)
    assert score_rows("s", uneven, description="d", n_total=6)["value"][0] == 0.75
    assert score_rows("s", uneven, description="d", n_total=6, group="moa")["value"][0] == 0.5


def test_one_compound_has_no_interval_and_no_outcome_no_value() -> None:
    alone = score_rows("s", outcomes(none=[1, 0, None, None, None, None]), description="d", n_total=6).row(
        0, named=True
    )
    assert (alone["value"], alone["low"], alone["high"], alone["n"]) == (0.5, None, None, 2)
    empty = score_rows("s", outcomes(none=[None] * 6, plate=[1.0] * 6), description="d", n_total=6).row(0, named=True)
    assert (empty["value"], empty["low"], empty["n"], empty["gain"]) == (None, None, 0, None)
    with pytest.raises(UnknownNameError, match="outcomes of the profiles"):
        score_rows("s", outcomes(plate=[1.0] * 6), description="d", n_total=6)


def test_equal_outcomes_are_not_certain() -> None:
    value, low, high = cluster_interval(np.ones(36), np.repeat(np.arange(12), 3))
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(0.025 ** (1 / 12))  # Clopper and Pearson of 12 of 12


def test_intervals_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"Metadata_compound": [f"c{i % 9}" for i in range(40)], "none": rng.random(40), "plate": rng.random(40)}
    )
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    first, second = (score_rows("s", f, description="d", n_total=40) for f in (frame, shuffled))
    assert first.select("value", "low", "gain_high").rows() == [
        pytest.approx(row) for row in second.select("value", "low", "gain_high").rows()
    ]


@pytest.mark.parametrize(("n_compounds", "concentration"), [(12, 1.0), (40, 0.5)])
def test_coverage_with_doses_that_go_together(n_compounds: int, concentration: float) -> None:
    """True share 0.7; the doses of a compound are alike, so that single rows would give far too narrow intervals."""
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(n_compounds), 4)
    covered, naive = [], []
    for _ in range(400):
        chance = rng.beta(0.7 * concentration, 0.3 * concentration, n_compounds)
        found = (rng.random(len(clusters)) < chance[clusters]).astype(float)
        _, low, high = cluster_interval(found, clusters, n_resamples=300)
        covered.append(low <= 0.7 <= high)
        _, low, high = cluster_interval(found, np.arange(len(clusters)), n_resamples=300)
        naive.append(low <= 0.7 <= high)
    assert 0.91 <= np.mean(covered) <= 0.99
    assert np.mean(naive) < 0.85
