"""Whether replicates can be judged at all."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DataError
from phenoprint.report.summaries.replicates import replicate_agreement


def test_treatments_too_few_for_random_groups_are_not_judged() -> None:
    rng = np.random.default_rng(0)
    wells = [(f"c{place // 8}", *rng.normal(size=3).tolist()) for place in range(20)]
    frame = pl.DataFrame(wells, schema=["Metadata_perturbation", "A", "B", "C"], orient="row")
    with pytest.raises(DataError, match="3 treatments have replicates, too few to draw random groups"):
        replicate_agreement(frame, by="Metadata_perturbation", seed=0)
