"""Rules of cell quality that would remove what a treatment does."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoprint.profiles import judge_cell_rules


def preview(shares: dict[str, list[float]], *, usual: float = 0.08, n: int = 200, seed: int = 0) -> pl.DataFrame:
    """Return the counts of one rule: for each treatment, the share of flagged cells on each plate."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"P{plate}", name, "debris", n, int(rng.binomial(n, share)), usual)
        for name, own in shares.items()
        for plate, share in enumerate(own)
    ]
    names = ["Metadata_Plate", "Metadata_perturbation", "rule", "n_cells", "n_removed", "share_reference"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_a_rule_that_flags_artefacts_is_applied_on_many_treatments() -> None:
    wells = preview({f"c{i}": [0.08] * 4 for i in range(500)})
    row = judge_cell_rules(wells).row(0, named=True)
    assert (row["n_treatments"], row["n_over"], row["is_phenotypic"]) == (500, 0, False)


def test_one_treatment_whose_cells_are_removed_is_enough() -> None:
    wells = preview({"inert": [0.08] * 4, "toxic": [0.3] * 4, "fewer": [0.0] * 4})
    row = judge_cell_rules(wells).row(0, named=True)
    assert (row["n_over"], row["worst"], row["is_phenotypic"]) == (1, "toxic", True)
    assert row["worst_share"] > 0.25
    assert row["share_reference"] == 0.08


def test_few_cells_and_small_differences_are_no_evidence() -> None:
    assert not judge_cell_rules(preview({"a": [0.25]}, n=20))["is_phenotypic"].item()
    assert not judge_cell_rules(preview({"a": [0.11] * 4}, n=100_000))["is_phenotypic"].item()


def test_without_controls_or_annotation_nothing_is_judged() -> None:
    wells = preview({"a": [0.5]})
    for changed in (
        wells.with_columns(share_reference=pl.lit(None, pl.Float64)),
        wells.with_columns(Metadata_perturbation=pl.lit(None, pl.String)),
    ):
        row = judge_cell_rules(changed).row(0, named=True)
        assert (row["rule"], row["is_phenotypic"]) == ("debris", None)
    assert judge_cell_rules(wells.clear()).height == 0
