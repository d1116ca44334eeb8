"""Counts relative to the controls of the plate, and what is toxic."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.evaluation import relative_counts


def wells(treated: dict[str, list[float | None]], controls: list[float], plate: str = "p") -> pl.DataFrame:
    rows = [(plate, "negcon", "DMSO", value) for value in controls]
    rows += [(plate, "trt", name, value) for name, values in treated.items() for value in values]
    schema = {
        "Metadata_Plate": pl.String,
        "Metadata_pert_type": pl.String,
        "Metadata_perturbation": pl.String,
        "Metadata_Object_Count": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


CONTROLS = [90.0, 95, 100, 105, 110, 100]


def test_the_ratio_is_to_the_controls_of_the_same_plate() -> None:
    both = pl.concat([wells({"a": [50.0]}, CONTROLS), wells({"a": [500.0]}, [10 * c for c in CONTROLS], "q")])
    assert relative_counts(both)["cell_count_relative"][0] == pytest.approx(0.5, abs=0.01)


def test_toxic_needs_the_whole_interval_below_the_limit() -> None:
    found = relative_counts(wells({"dead": [1.0, 2, 0], "half": [62.0, 64], "fine": [99.0, 104]}, CONTROLS))
    assert dict(found.select("Metadata_perturbation", "toxicity").iter_rows()) == {
        "dead": "toxic",
        "half": "may be toxic",
        "fine": "not toxic",
    }
    assert found.filter(toxicity="may be toxic")["is_toxic"].to_list() == [False]
    assert (found["cell_count_low"] < found["cell_count_relative"]).all()


def test_one_bad_well_of_four_does_not_make_a_treatment_toxic() -> None:
    assert relative_counts(wells({"a": [100.0, 104, 98, 0]}, CONTROLS))["toxicity"].to_list() == ["not toxic"]


def test_without_counts_or_controls_nothing_is_made_up() -> None:
    uncounted = relative_counts(wells({"a": [None, None]}, CONTROLS)).row(0, named=True)
    assert (uncounted["cell_count_relative"], uncounted["is_toxic"], uncounted["toxicity"]) == (
        None,
        None,
        "not counted",
    )
    alone = relative_counts(wells({"a": [50.0]}, [100.0])).row(0, named=True)
    assert (alone["cell_count_relative"], alone["toxicity"]) == (None, "not counted")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="toxic_below must lie between 0 and 1; found 70"):
        relative_counts(wells({}, CONTROLS), toxic_below=70)
    with pytest.raises(UnknownNameError, match="relative counts"):
        relative_counts(wells({}, CONTROLS), count="Metadata_Counts")


@pytest.mark.parametrize("n_wells", [1, 2, 4])
def test_intervals_hold_the_true_ratio_in_95_of_100_cases(n_wells: int) -> None:
    rng = np.random.default_rng(n_wells)
    names = {f"t{i}": (0.6 * 1000 * np.exp(0.15 * rng.normal(size=n_wells))).tolist() for i in range(150)}
    held = []
    for _ in range(6):
        names = {name: (600 * np.exp(0.15 * rng.normal(size=n_wells))).tolist() for name in names}
        found = relative_counts(wells(names, (1000 * np.exp(0.15 * rng.normal(size=48))).tolist()))
        held += ((found["cell_count_low"] < 0.6) & (found["cell_count_high"] > 0.6)).to_list()
    assert 0.90 < np.mean(held) < 0.995
