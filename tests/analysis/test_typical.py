"""Typical cells and the treatments to show, on cells whose order is known."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.analysis import choose_treatments, typical_cells


def test_controls_are_first_with_one_dose_per_compound() -> None:
    treatments = pl.DataFrame(
        {
            "Metadata_perturbation": ["DMSO", "a@1", "a@9", "b@1", "p@1"],
            "Metadata_compound": ["DMSO", "a", "a", "b", "p"],
            "Metadata_Concentration": [None, 1.0, 9.0, 1.0, 1.0],
            "Metadata_pert_type": ["negcon", "trt", "trt", "trt", "poscon"],
        }
    )
    scores = pl.DataFrame({"Metadata_perturbation": ["a@1", "a@9", "b@1"], "mean_average_precision": [0.2, 0.9, 0.5]})
    assert choose_treatments(treatments, scores, 10) == ["DMSO", "p@1", "a@9", "b@1"]
    assert choose_treatments(treatments, scores, 3) == ["DMSO", "p@1", "a@9"]


def test_typical_cells_lie_near_the_middle() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 8))
    values[:10] += 8
    cells = pl.DataFrame(values, schema=[f"Cells_F_{i}" for i in range(8)]).with_columns(
        pl.lit("P").alias("Metadata_Plate"),
        pl.lit("A01").alias("Metadata_Well"),
        pl.Series("Metadata_Site", [str(i % 3) for i in range(60)]),
        pl.Series("Metadata_ObjectNumber", range(60), dtype=pl.Int32),
    )
    chosen = typical_cells(cells, 8)
    assert chosen.height == 8
    assert chosen["Metadata_ObjectNumber"].min() >= 10
    assert chosen["Metadata_Site"].n_unique() > 1
