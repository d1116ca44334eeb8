"""Limits: values beyond them are clipped and counted, all others stay unchanged."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import UsageError
from phenoprint.profiles import limit_values_with_status

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=30)


@given(values=VALUES, limit=st.floats(0.5, 100))
def test_only_what_lies_beyond_moves_and_is_counted(values: list[float | None], limit: float) -> None:
    frame = pl.DataFrame({"Metadata_Well": ["A01"] * len(values), "x": pl.Series(values, dtype=pl.Float32)})
    limited, status = limit_values_with_status(frame, limit)
    assert limited["Metadata_Well"].equals(frame["Metadata_Well"])
    assert limited["x"].null_count() == frame["x"].null_count()
    within = frame["x"].abs() <= limit
    assert limited["x"].filter(within).equals(frame["x"].filter(within))
    beyond = int((frame["x"].abs() > limit).sum())
    assert status.height == (beyond > 0)
    if beyond:
        assert status["value"].to_list() == [beyond]
        assert status["status"].to_list() == ["limited"]


def test_limit_must_be_positive() -> None:
    with pytest.raises(UsageError, match="above 0"):
        limit_values_with_status(pl.DataFrame({"x": [1.0]}), 0)
