"""Profiles without morphology, compared by the metrics of the real ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import average_precision, baseline_profiles, similarity_block, to_vectors


def wells() -> pl.DataFrame:
    """Two plates of 4 x 6 wells; plate q has half the cells."""
    places = [(row, column) for row in range(4) for column in range(6)]
    frame = pl.DataFrame(
        {
            "Metadata_Plate": np.repeat(["p", "q"], 24),
            "Metadata_Well": [f"{'ABCD'[row]}{column + 1:02d}" for row, column in places] * 2,
            "Metadata_pert_type": (["negcon"] * 6 + ["trt"] * 18) * 2,
            "Metadata_compound": [f"c{i // 2}" for i in range(24)] * 2,
        }
    )
    counts = np.random.default_rng(0).integers(50, 200, 24)
    return frame.with_columns(Metadata_Object_Count=pl.Series(np.concatenate([2 * counts + 1, counts])))


@pytest.mark.parametrize("metric", ["cosine", "pearson", "euclidean"])
def test_every_metric_orders_wells_by_their_difference_in_count(metric: str) -> None:
    frame = wells()
    vectors = to_vectors(baseline_profiles(frame)["cell_count"], metric)
    found = similarity_block(vectors, slice(None)).astype(np.float64)
    log = np.log(frame["Metadata_Object_Count"].to_numpy() + 1)
    relative = log - np.repeat([np.median(log[:6]), np.median(log[24:30])], 24)
    for i in range(48):
        others = np.delete(np.arange(48), i)
        distance = np.abs(relative[others] - relative[i])
        assert distance[found[i, others].argmax()] == pytest.approx(distance.min(), abs=1e-3)
        order = np.argsort(distance)
        assert (np.diff(found[i, others][order]) <= 1e-5).all()


def test_counts_are_relative_to_the_controls_of_the_plate() -> None:
    """Plate q has half the cells of plate p in every well, and the same profile."""
    count = baseline_profiles(wells())["cell_count"]
    features = count.select(pl.exclude("^Metadata_.*$")).to_numpy()
    assert features[:24] == pytest.approx(features[24:], abs=1e-9)
    scaled = wells().filter(Metadata_pert_type="negcon").with_columns(pl.col("Metadata_Object_Count") * 10)
    elsewhere = baseline_profiles(wells(), reference=scaled)["cell_count"]
    assert elsewhere.select(pl.exclude("^Metadata_.*$")).to_numpy()[:24] == pytest.approx(features[:24], abs=0.2)


def test_position_finds_the_same_well_and_plate_the_same_plate() -> None:
    made = baseline_profiles(wells())
    position = average_precision(
        made["well_position"], pos_sameby=["Metadata_Well"], neg_diffby=["Metadata_Well"], metric="cosine"
    )
    assert position["average_precision"].to_list() == [1.0] * 48
    plate = average_precision(
        made["plate"], pos_sameby=["Metadata_Plate"], neg_diffby=["Metadata_Plate"], metric="pearson"
    )
    assert plate["average_precision"].to_list() == [1.0] * 48
    many = pl.DataFrame({"Metadata_Plate": [f"p{i // 2}" for i in range(200)], "Metadata_Well": ["A01", "B02"] * 100})
    (codes,) = (frame for name, frame in baseline_profiles(many).items() if name == "plate")
    found = average_precision(codes, pos_sameby=["Metadata_Plate"], neg_diffby=["Metadata_Plate"])
    assert found["average_precision"].min() == 1.0


def test_treatments_have_the_median_count_and_the_mean_position() -> None:
    frame = wells()
    made = baseline_profiles(frame, by=["Metadata_compound"])
    assert {name: table.height for name, table in made.items()} == dict.fromkeys(made, 12)
    shuffled = baseline_profiles(frame.sample(fraction=1.0, shuffle=True, seed=3), by=["Metadata_compound"])
    for name, table in made.items():
        values = [t.select(pl.exclude("^Metadata_.*$")).to_numpy() for t in (table, shuffled[name])]
        assert values[0] == pytest.approx(values[1])
    vectors = to_vectors(made["cell_count"], "cosine").values[:, 0]
    counts = frame.head(24).group_by("Metadata_compound").agg(pl.col("Metadata_Object_Count").log1p().median())
    by_count = counts.sort("Metadata_compound")["Metadata_Object_Count"].arg_sort().to_list()
    assert np.argsort(-vectors).tolist() == by_count


def test_what_is_not_known_is_absent_or_null() -> None:
    frame = wells()
    assert list(baseline_profiles(frame.drop("Metadata_Object_Count", "Metadata_Plate"))) == ["well_position"]
    one = frame.with_columns(
        pl.when(pl.int_range(pl.len()) > 0).then("Metadata_Object_Count").alias("Metadata_Object_Count")
    )
    count = baseline_profiles(one)["cell_count"]
    assert count["cell_count_0"].null_count() == 1
    assert count["cell_count_0"][0] is None
    assert baseline_profiles(frame.head(0)) == {}
    unknown = frame.with_columns(Metadata_Object_Count=pl.lit(None, pl.Int64))
    assert baseline_profiles(unknown)["cell_count"]["cell_count_0"].null_count() == 48
    constant = frame.with_columns(Metadata_Object_Count=pl.lit(7))
    assert baseline_profiles(constant)["cell_count"]["cell_count_0"].unique().to_list() == [1.0]
