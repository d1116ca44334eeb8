"""Z' and Cliff's delta by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import UsageError
from phenoprint.evaluation import cliffs_delta, z_prime

finite = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=20)


def test_by_hand() -> None:
    pos, neg = [10.0, 12.0, 14.0], [1.0, 2.0, 3.0, float("nan")]
    assert z_prime(pos, neg) == pytest.approx(1 - 3 * (2 + 1) / 10)
    assert z_prime(pos, neg, robust=True) == pytest.approx(1 - 3 * 1.4826 * (2 + 1) / 10)


def test_degenerate_groups() -> None:
    assert z_prime([1.0, 1.0], [1.0, 1.0]) == -np.inf
    assert z_prime([2.0, 2.0], [1.0, 1.0]) == 1.0
    assert np.isnan(cliffs_delta([], [1.0]))
    with pytest.raises(UsageError, match="at least two values of the positive controls; found 1"):
        z_prime([1.0, float("nan")], [1.0, 2.0])


@given(finite, finite)
@settings(max_examples=100, deadline=None)
def test_cliffs_delta_is_mann_whitney(a: list[float], b: list[float]) -> None:
    from scipy.stats import mannwhitneyu

    u = mannwhitneyu(a, b).statistic
    assert cliffs_delta(a, b) == pytest.approx(2 * u / (len(a) * len(b)) - 1)
    assert cliffs_delta(a, b) == pytest.approx(-cliffs_delta(b, a))
