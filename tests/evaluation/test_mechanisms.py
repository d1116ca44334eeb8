"""Accuracy of mechanisms: by hand, on random labels, and on BBBC021 against the published numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import SchemaError, UnknownNameError, UsageError
from phenoprint.evaluation import moa_accuracy
from phenoprint.evaluation.baselines import known_places
from phenoprint.evaluation.neighbour_votes import neighbour_votes
from phenoprint.evaluation.similarities import to_vectors
from phenoprint.profiles import consensus, normalize
from phenoprint.tables import feature_columns


def treatments(
    *, n_moa: int = 4, compounds: int = 3, doses: int = 2, noise: float = 0.1, seed: int = 0
) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_moa, 12))
    rows, values = [], []
    for moa in range(n_moa):
        for compound in range(compounds):
            for dose in range(doses):
                rows.append((f"m{moa}", f"m{moa}c{compound}", float(dose), 100 + moa))
                values.append(centers[moa] + noise * rng.normal(size=12))
    frame = pl.DataFrame(
        rows,
        schema=["Metadata_moa", "Metadata_compound", "Metadata_Concentration", "Metadata_Object_Count"],
        orient="row",
    )
    return frame.with_columns(pl.Series(f"F{i}", column) for i, column in enumerate(np.array(values).T))


def test_by_hand() -> None:
    frame = pl.DataFrame(
        {
            "Metadata_compound": ["a", "a", "b", "c", "d"],
            "Metadata_moa": ["x", "x", "x", "y", None],
            "F0": [1.0, 1.0, 0.9, 0.0, 0.0],
            "F1": [0.0, 0.1, 0.5, 1.0, 1.0],
        }
    )
    result = moa_accuracy(frame)
    # Each a is nearest to the other a, which it must not meet; then b. c, without its label's company, meets b.
    assert result.predictions["nearest"].to_list() == ["b", "b", "a", "b"]
    assert result.predictions["predicted"].to_list() == ["x", "x", "x", "x"]
    assert result.predictions["is_correct"].to_list() == [True, True, True, False]
    assert result.accuracy == 0.75
    assert (result.n, result.n_unpredicted) == (4, 0)
    assert result.predictions["similarity"][2] == pytest.approx(0.95 / np.hypot(0.9, 0.5) / np.hypot(1, 0.1), rel=1e-5)


def test_never_meets_its_own_compound() -> None:
    frame = treatments(n_moa=6, compounds=1, doses=4)
    result = moa_accuracy(frame)
    assert result.accuracy == 0.0  # every mechanism has one compound: only its own doses could be right
    assert (result.predictions["nearest"] != result.predictions["Metadata_compound"]).all()


def test_separable_mechanisms_and_their_baselines() -> None:
    result = moa_accuracy(treatments(n_moa=8), n_shuffles=200)
    assert result.accuracy == 1.0
    # Shuffled between 24 compounds of 8 mechanisms: 2 of the 23 others share the label.
    assert result.shuffled_accuracy == pytest.approx(2 / 23, abs=0.05)
    assert result.shuffled_p == pytest.approx(1 / 201)
    assert result.count_accuracy == 1.0  # the cell count alone identifies these mechanisms
    assert result.position_accuracy is None
    again = moa_accuracy(treatments(n_moa=8), n_shuffles=200)
    assert again.shuffled_accuracy == result.shuffled_accuracy


def test_random_profiles_score_as_shuffled_labels() -> None:
    result = moa_accuracy(treatments(noise=100.0, compounds=8, doses=1, seed=3))
    assert abs(result.accuracy - result.shuffled_accuracy) < 4 * result.shuffled_sd
    assert result.shuffled_p > 0.001


def test_votes() -> None:
    frame = pl.DataFrame(
        {
            "Metadata_compound": list("qabcd"),
            "Metadata_moa": ["x", "y", "x", "x", "y"],
            "F0": [0.0, 1.0, 2.0, 3.0, 9.0],
        }
    )
    nearest = moa_accuracy(frame, metric="euclidean").predictions["predicted"][0]
    voted = moa_accuracy(frame, metric="euclidean", k=3).predictions["predicted"][0]
    tied = moa_accuracy(frame, metric="euclidean", k=2).predictions["predicted"][0]
    assert (nearest, voted, tied) == ("y", "x", "y")


def test_rows_without_profile_or_partner_have_no_prediction() -> None:
    frame = treatments(doses=1)
    empty = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise(pl.col(name)).alias(name)
        for name in feature_columns(frame)
    )
    result = moa_accuracy(empty)
    assert result.n == frame.height - 1
    assert result.n_unpredicted == 1
    assert result.predictions.height == frame.height
    assert result.predictions["predicted"][0] is None
    assert result.predictions["is_correct"][0] is None
    alone = moa_accuracy(frame.filter(Metadata_compound="m0c0"))
    assert alone.n == 0
    assert np.isnan(alone.accuracy)


def test_wrong_use() -> None:
    frame = treatments()
    with pytest.raises(UnknownNameError, match="Metadata_mao"):
        moa_accuracy(frame, "Metadata_mao")
    with pytest.raises(UsageError, match="k must be"):
        moa_accuracy(frame, k=0)
    with pytest.raises(UsageError, match="no profile has a Metadata_moa"):
        moa_accuracy(frame.with_columns(Metadata_moa=pl.lit(None, dtype=pl.String)))
    with pytest.raises(
        SchemaError,
        match=r"Metadata_Batch is NULL in 24 of 24 rows with a Metadata_moa",
    ):
        moa_accuracy(
            frame.with_columns(Metadata_Batch=pl.lit(None, dtype=pl.String)),
            not_same=["Metadata_compound", "Metadata_Batch"],
        )


def test_tied_neighbours_share_the_vote() -> None:
    points = pl.DataFrame({"F0": [0.0, 1.0, -1.0], "F1": [0.0, 0.0, 0.0]})
    labels = np.array([[True, False], [True, False], [False, True]])
    found = neighbour_votes(to_vectors(points, "euclidean"), labels, [np.arange(3)])
    assert found.correct.tolist() == [0.5, 1.0, 0.0]
    voted = neighbour_votes(to_vectors(points, "euclidean"), labels, [np.arange(3)], k=2)
    assert voted.correct.tolist() == [0.5, 1.0, 0.0]


def test_treatments_with_several_mechanisms_count_for_each() -> None:
    frame = pl.DataFrame(
        {
            "Metadata_compound": list("abcd"),
            "Metadata_moa": ["x|y", "x", "y | z", "w"],
            "F0": [0.0, 0.1, -0.2, 5.0],
            "F1": [0.0, 0.0, 0.0, 0.0],
        }
    )
    result = moa_accuracy(frame, metric="euclidean")
    assert result.predictions["predicted"].to_list() == ["x", "x", "x", "x"]
    assert result.predictions["is_correct"].to_list() == [True, True, False, False]
    # The neighbour of b and of c has both labels of a: half a vote each would be right for c.
    assert result.accuracy == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)


def test_positions() -> None:
    wells = pl.DataFrame({"Metadata_Well": ["A01", "P24", "AF48"]})
    positions = known_places(wells)
    assert positions is not None
    assert positions.tolist() == [[0, 0], [15, 23], [31, 47]]
    assert known_places(pl.DataFrame({"Metadata_Well": ["A01", None]})) is None
    assert known_places(pl.DataFrame({"Metadata_Plate": ["p"]})) is None
    framed = treatments().with_columns(
        Metadata_Row=pl.int_range(24, dtype=pl.Int32) % 4, Metadata_Col=pl.int_range(24, dtype=pl.Int32) // 4
    )
    assert moa_accuracy(framed).position_accuracy is not None


def bbbc021(root: Path) -> pl.DataFrame:
    folder = root / "bbbc021_profiles"
    images = (
        pl.read_csv(folder / "BBBC021_v1_image.csv.gz", infer_schema_length=None)
        .select(
            Metadata_Plate="Image_Metadata_Plate_DAPI",
            Metadata_Well="Image_Metadata_Well_DAPI",
            Metadata_compound="Image_Metadata_Compound",
            Metadata_Concentration="Image_Metadata_Concentration",
        )
        .unique()
    )
    moa = pl.read_csv(folder / "BBBC021_v1_moa.csv").rename(
        {"compound": "Metadata_compound", "concentration": "Metadata_Concentration", "moa": "Metadata_moa"}
    )
    wells = pl.read_csv(folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz", infer_schema_length=None)
    wells = wells.rename({"Image_Metadata_Plate": "Metadata_Plate", "Image_Metadata_Well": "Metadata_Well"})
    joined = wells.join(images, on=["Metadata_Plate", "Metadata_Well"], how="left").join(
        moa, on=["Metadata_compound", "Metadata_Concentration"], how="left"
    )
    assert joined.height == wells.height == 632
    return joined


@pytest.mark.real
def test_bbbc021(real_data: Path) -> None:
    """Per-plate z-scores reach the published 0.82; the MAD of each plate alone does not."""
    wells = bbbc021(real_data)
    control = pl.col("Metadata_compound") == "DMSO"

    def nsc(method: str, statistic: str, **options: float) -> float:
        normalized = normalize(wells, method, reference=control, **options)
        treated = normalized.filter(~control & pl.col("Metadata_moa").is_not_null())
        profiles = consensus(treated, ["Metadata_compound", "Metadata_Concentration"], statistic)
        assert profiles.height == 103
        result = moa_accuracy(profiles, n_shuffles=100)
        assert result.n == 103
        assert result.shuffled_accuracy < 0.2
        return result.accuracy

    assert nsc("standardize", "mean") == pytest.approx(0.82, abs=0.01)
    naive = nsc("mad_robust", "mean", pooling=0, floor=0)
    default = nsc("mad_robust", "mean")
    assert naive < 0.7
    assert default > 0.83
    assert nsc("mad_robust", "median") > 0.83


@pytest.mark.real
def test_recipes_on_bbbc021(real_data: Path) -> None:
    """The named recipes on a published screen with six controls per plate."""
    from phenoprint.profiles import RECIPES, Recipe, apply_recipe

    control = pl.col("Metadata_compound") == "DMSO"
    wells = bbbc021(real_data).with_columns(
        Metadata_pert_type=pl.when(control).then(pl.lit("negcon")).otherwise(pl.lit("trt")),
        Metadata_Batch=pl.col("Metadata_Plate").str.split("_").list.first(),
    )

    treatment = ["Metadata_compound", "Metadata_Concentration"]

    def accuracies(recipe: Recipe) -> tuple[float, float]:
        profiles = apply_recipe(wells, recipe)[-1].frame.filter(~control & pl.col("Metadata_moa").is_not_null())
        batches = profiles.group_by(treatment).agg(pl.col("Metadata_Batch").first())
        level5 = consensus(profiles.drop("Metadata_Batch"), treatment).join(batches, on=treatment)
        nsc = moa_accuracy(level5, n_shuffles=0)
        several = level5.filter(~pl.col("Metadata_moa").is_in(["Cholesterol-lowering", "Kinase inhibitors"]))
        nscb = moa_accuracy(several, not_same=["Metadata_compound", "Metadata_Batch"], n_shuffles=0)
        assert (nsc.n, nscb.n) == (103, 92)
        return round(nsc.accuracy, 2), round(nscb.accuracy, 2)

    # As in the table of the README.
    assert accuracies(RECIPES["phenoprint"]) == (0.90, 0.74)
    assert accuracies(RECIPES["phenoprint-sphering"]) == (0.93, 0.83)
    assert accuracies(RECIPES["profiling-recipe"]) == (0.68, 0.53)
    assert accuracies(RECIPES["jump-production"].without("harmony"))[0] > 0.8
    controls = [{**step, "reference": "negcon"} if step["operation"] == "normalize" else step
                for step in RECIPES["profiling-recipe"].to_list()]  # fmt: skip
    assert accuracies(Recipe.of("with controls", controls)) == (0.78, 0.78)


def test_it_prints_as_one_line_with_its_number_and_baselines() -> None:
    result = moa_accuracy(treatments(), n_shuffles=50)
    text = str(result)
    assert "\n" not in text
    assert text == repr(result)
    assert text.startswith("moa_accuracy(Metadata_moa, not same Metadata_compound) = 1.000, n = 24; shuffled labels 0.")
    assert "cell count alone 1.000, well position alone not known; 12 features" in text
    alone = moa_accuracy(treatments(n_moa=2, compounds=1, doses=1).head(1), n_shuffles=5)
    assert str(alone).startswith(
        "moa_accuracy(Metadata_moa, not same Metadata_compound) = nan, n = 0, 1 without prediction"
    )
