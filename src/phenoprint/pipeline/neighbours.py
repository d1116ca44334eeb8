"""The treatments that each treatment of a screen resembles most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from phenoprint.analysis import nearest
from phenoprint.evaluation import prepare
from phenoprint.pipeline.explained import TREATMENT
from phenoprint.store import concat_ledgers, ledger_rows, strict_join
from phenoprint.tables import feature_columns, frame_of

__all__ = ["neighbours"]

_STEP = "neighbours"
_NEIGHBOUR = {
    TREATMENT: "neighbour",
    "Metadata_compound": "neighbour_compound",
    "Metadata_Concentration": "neighbour_concentration",
    "Metadata_Concentration_Unit": "neighbour_concentration_unit",
    "Metadata_moa": "neighbour_moa",
    "Metadata_pert_type": "neighbour_pert_type",
}


def neighbours(consensus: pl.DataFrame, treatments: pl.DataFrame, *, k: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find the nearest treatments of each treatment by the cosine of their consensus profiles, as the calls do.

    Parameters
    ----------
    consensus
        Consensus profiles (level 5).
    treatments
        What is known of each treatment, one row per ``Metadata_perturbation``.
    k
        Neighbours of a treatment, at most.

    Returns
    -------
    tuple
        Rows of table ``neighbour``, and of the ledger: treatments that lack more than half of the features take no
        part, nor do those whose profile is all zeros; features that one of the others lacks are not compared.
    """
    known = consensus.filter(pl.col(TREATMENT).is_not_null())
    without_id = {"the treatment has no id": consensus.height - known.height}
    n_features = len(feature_columns(known))
    if not n_features or known.is_empty():
        lost = without_id | {"no feature to compare by": known.height}
        return frame_of("neighbour"), ledger_rows(
            _STEP, None, unit_of_count="treatments", n_in=consensus.height, lost=lost
        )
    vectors = prepare(known, "cosine")
    has_direction = vectors.values.any(axis=1)  # a profile of zeros would resemble all others alike
    usable = replace(vectors, values=vectors.values[has_direction], rows=vectors.rows[has_direction])
    index, similarity = nearest(usable, k)
    described = strict_join(known.select(TREATMENT), treatments, on=[TREATMENT], expect="m:1")[usable.rows]
    width = index.shape[1]
    queries = described[np.repeat(np.arange(len(index)), width)]
    found = described[index.ravel()].rename(_NEIGHBOUR)
    same = pl.col("Metadata_compound") == pl.col("neighbour_compound")
    table = pl.concat([queries.drop("Metadata_pert_type"), found], how="horizontal").with_columns(
        pl.Series("rank", np.tile(np.arange(1, width + 1), len(index)), dtype=pl.Int32),
        pl.Series("similarity", similarity.ravel(), dtype=pl.Float64),
        same.fill_null(value=False).alias("is_same_compound"),
        pl.lit(len(vectors.features), pl.Int32).alias("n_features"),
    )
    lost = without_id | {
        "lacks more than half of the features": known.height - len(vectors.rows),
        "does not differ from the controls in any feature": len(vectors.rows) - len(usable.rows),
    }
    gaps = {"some treatment has no value": len(vectors.dropped)}
    ledger = [
        ledger_rows(_STEP, None, unit_of_count="treatments", n_in=consensus.height, lost=lost),
        ledger_rows(_STEP, None, unit_of_count="features", n_in=n_features, lost=gaps),
    ]
    return table, concat_ledgers(ledger)
